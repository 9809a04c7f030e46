import { test } from "node:test";
import { elementCount } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { concat, reshape } from "../ops/movement.ts";
import { assertClose, evaluate } from "../testing/numeric.ts";
import { buildProblem, type CurvatureFixture, readFixture } from "../testing/problems.ts";
import { gradients, hessianVectorProduct } from "./gradients.ts";

// Against the gradient and the Hessian-vector product of an independent float64 program.

for (const problem of ["mlp", "cnn"] as const) {
  for (const [type, tolerance] of [
    ["float64", 1e-9],
    ["float32", 1e-4],
  ] as const) {
    test(`gradient and Hessian-vector product of ${problem} in ${type}`, async () => {
      const expected = readFixture<CurvatureFixture>(`curvature-${problem}`);
      const { objective, start } = buildProblem(problem, type);
      const { loss } = objective;
      const parameters = [...objective.parameters.values()];
      let offset = 0;
      const probe = parameters.map(({ shape }) => {
        const part = expected.probe.data.slice(offset, offset + elementCount(shape));
        offset += part.length;
        return loss.graph.constant(tensorData(part, shape, type));
      });
      const flat = (values: typeof parameters) =>
        concat(
          values.map((value) => reshape(value, [elementCount(value.shape)])),
          0,
        );
      const actual = await evaluate(
        {
          loss,
          gradient: flat(gradients(loss, parameters)),
          product: flat(hessianVectorProduct(loss, parameters, probe)),
        },
        start,
      );
      assertClose(actual.loss, [expected.loss], tolerance, "loss");
      assertClose(actual.gradient, expected.gradient.data, tolerance, "gradient");
      assertClose(actual.product, expected.hessianVectorProduct.data, tolerance, "Hessian-vector product");
    });
  }
}
