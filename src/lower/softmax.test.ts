import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gradients, innerProduct } from "../autodiff/gradients.ts";
import { randomStream } from "../common/random.ts";
import { elementCount, Graph, type Shape } from "../graph/graph.ts";
import { nodesOf } from "../graph/walk.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { logSoftmax, softmax } from "../ops/softmax.ts";
import { alongAxis } from "../testing/naive.ts";
import { assertClose, evaluate } from "../testing/numeric.ts";
import { lower } from "./lower.ts";

const cases: readonly (readonly [shape: Shape, axis: number])[] = [
  [[2, 5, 3, 4], 1],
  [[2, 1, 3], 1],
  [[4, 6], 0],
  [[3, 2, 4], -2],
  [[4, 6], -1],
  [[2, 3, 4], 2],
];

describe("softmax in reductions", () => {
  for (const type of ["float32", "float64"] as const) {
    for (const [shape, axis] of cases) {
      test(`${type} [${shape.join(", ")}], axis ${axis}: the definition, and its gradient, without overflow`, async () => {
        const random = randomStream(1, `${shape} ${axis}`);
        const draw = (mean: number) =>
          Array.from({ length: elementCount(shape) }, () => Math.fround(mean + random.normal()));
        // e to the power of 1,000 is beyond float64.
        const [numbers, weights] = [draw(1000), draw(0)];
        const graph = new Graph();
        const [x, seen] = [graph.input("x", type, shape), graph.input("seen", type, shape)];
        const [p, logP] = [softmax(x, axis), logSoftmax(x, axis)];
        const [dP] = gradients(innerProduct([p], [seen]), [x]);
        const [dLog] = gradients(innerProduct([logP], [seen]), [x]);
        const found = await evaluate(
          { p, logP, dP, dLog },
          { x: tensorData(numbers, shape, type), seen: tensorData(weights, shape, type) },
        );

        const at = axis < 0 ? axis + shape.length : axis;
        const log = (line: number[]) => {
          const largest = Math.max(...line);
          const sum = line.reduce((total, value) => total + Math.exp(value - largest), 0);
          return line.map((value) => value - largest - Math.log(sum));
        };
        const along = (data: number[], rewrite: (line: number[]) => number[]) =>
          Array.from(alongAxis({ shape, data }, at, rewrite).data);
        const totals = (data: number[]) =>
          along(data, (line) => line.map(() => line.reduce((total, value) => total + value, 0)));
        const expectedLog = along(numbers, log);
        const expected = expectedLog.map(Math.exp);
        const [total, weighted] = [totals(weights), totals(expected.map((value, i) => value * weights[i]))];
        const tolerance = type === "float32" ? 2e-5 : 1e-12;
        assertClose(found.p, expected, tolerance, "softmax");
        assertClose(found.logP, expectedLog, tolerance, "log softmax");
        const ofP = expected.map((value, i) => value * (weights[i] - weighted[i]));
        assertClose(found.dP, ofP, tolerance, "gradient of softmax");
        const ofLog = expected.map((value, i) => weights[i] - value * total[i]);
        assertClose(found.dLog, ofLog, tolerance, "gradient of log softmax");
      });
    }
  }

  test("takes the place of the operators along any axis but the last, and in no model file", () => {
    const operators = (axis: number, plain: boolean) => {
      const graph = new Graph();
      const x = graph.input("x", "float32", [2, 3, 4]);
      graph.output("p", softmax(x, axis));
      graph.output("log", logSoftmax(x, axis));
      return nodesOf(lower(graph, { plain }).outputs.values()).map(({ operator }) => operator);
    };
    assert.ok(!operators(1, false).some((operator) => /Softmax/.test(operator)));
    for (const kept of [operators(1, true), operators(2, false)])
      assert.deepEqual(kept.toSorted(), ["LogSoftmax", "Softmax"]);
  });
});
