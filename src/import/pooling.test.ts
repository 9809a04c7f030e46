import assert from "node:assert/strict";
import { test } from "node:test";
import { gradients } from "../autodiff/gradients.ts";
import { compile } from "../lower/compile.ts";
import type { AttributeValue } from "../onnx/attributes.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { int, ints } from "../ops/operator.ts";
import { reduceSum } from "../ops/reduction.ts";
import { numbers } from "../testing/networks.ts";
import { assertClose } from "../testing/numeric.ts";
import { onnxModel, runModel } from "../testing/onnx-models.ts";
import { fromOnnx } from "./from-onnx.ts";

// Pools whose output ONNX Runtime sizes otherwise than ONNX does, or did.

const x = tensorData([1, 2, 4, 8, 16, 32], [1, 1, 6], "float32");

/** The output of a pool of x and the gradient of its sum, run as one program. */
async function pooled(operator: string, attributes: Record<string, AttributeValue>) {
  const model = onnxModel({
    opset: 19,
    inputs: { x: x.shape },
    nodes: [[operator, ["x"], ["y"], attributes]],
    outputs: ["y"],
  });
  const { graph, inputs, outputs } = fromOnnx(model);
  const y = outputs.get("y")!;
  graph.output("gradient", gradients(reduceSum(y), [inputs.get("x")!])[0]);
  const results = await runModel(compile(graph), { x });
  assert.deepEqual(results.y.shape, y.shape);
  return { y: numbers(results.y), gradient: numbers(results.gradient) };
}

// Taps are two elements apart, so that a pool of equal size has one element of padding on both sides.
const dilated = { kernel_shape: ints([2]), dilations: ints([2]) };
const definitions: Record<string, { y: number[]; gradient: number[] }> = {
  AveragePool: { y: [2, 2.5, 5, 10, 20, 16], gradient: [0.5, 1.5, 1, 1, 1.5, 0.5] },
  MaxPool: { y: [2, 4, 8, 16, 32, 16], gradient: [0, 1, 1, 1, 2, 1] },
};

for (const [operator, expected] of Object.entries(definitions)) {
  for (const mode of ["SAME_UPPER", "SAME_LOWER"]) {
    test(`${operator} with dilations is as long as its input with ${mode}`, async () => {
      const { y, gradient } = await pooled(operator, { ...dilated, auto_pad: { string: mode } });
      assertClose(y, expected.y, 1e-6);
      assertClose(gradient, expected.gradient, 1e-6);
    });
  }
}

for (const operator of ["AveragePool", "LpPool", "MaxPool"]) {
  test(`${operator} rounding up leaves out a window that begins behind the end`, async () => {
    const attributes = { kernel_shape: ints([1]), strides: ints([4]), ceil_mode: int(1) };
    const { y, gradient } = await pooled(operator, attributes);
    assertClose(y, [1, 16], 1e-6);
    assertClose(gradient, [1, 0, 0, 0, 1, 0], 1e-6);
  });
}
