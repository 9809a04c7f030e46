import assert from "node:assert/strict";
import { test } from "node:test";
import { gradients } from "../autodiff/gradients.ts";
import { Graph } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { dataTypeNumber } from "../onnx/types.ts";
import { assertClose, evaluate, tensor } from "../testing/numeric.ts";
import { mul } from "./arithmetic.ts";
import { apply, int } from "./operator.ts";
import { fakeQuantize, type QuantizedType } from "./quantization.ts";
import { reduceSum } from "./reduction.ts";

// [2, 2, 2], one scale and zero point per channel; the last numbers are out of range.
const numbers = [0.3, -0.26, 1.4, 0.9, 0.04, 2.2, -70, 500];
const [scales, zeros] = [
  [0.1, 0.5],
  [10, 3],
];

test("quantizing is ONNX Runtime's QuantizeLinear and DequantizeLinear", async () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", [2, 2, 2]);
  const scale = graph.constant(tensorData(scales, [2], "float32"));
  const zero = (type: "float32" | "uint8") => graph.constant(tensorData(zeros, [2], type));
  const [whole] = apply("QuantizeLinear", [x, scale, zero("uint8")]);
  const [pair] = apply("DequantizeLinear", [whole, scale, zero("uint8")]);
  const feeds = { x: tensor(numbers, [2, 2, 2], "float32") };
  const { fake, kernel } = await evaluate(
    { fake: fakeQuantize(x, scale, zero("float32")), kernel: pair },
    feeds,
  );
  assertClose(fake, kernel, 1e-6);
});

test("the gradient passes within range, and the scale's is LSQ's", async () => {
  const graph = new Graph();
  const x = graph.input("x", "float64", [2, 2, 2]);
  const scale = graph.input("scale", "float64", [2]);
  const zero = graph.constant(tensorData(zeros, [2], "float64"));
  const [dx, dscale] = gradients(reduceSum(fakeQuantize(x, scale, zero)), [x, scale]);
  const feeds = { x: tensor(numbers, [2, 2, 2]), scale: tensor(scales, [2]) };
  const result = await evaluate({ dx, dscale }, feeds);
  assert.deepEqual(result.dx, [1, 1, 1, 1, 1, 1, 0, 0]);
  // 3 − 3, −3 + 2.6, 0 − 0.4, 22 − 22; then 3 − 2.8, 2 − 1.8, −3 and 252.
  assertClose(result.dscale, [-0.8, 0.2 + 0.2 - 3 + 252], 1e-12);
});

test("the gradient of a dequantized tensor for its scale", async () => {
  const graph = new Graph();
  const whole = graph.constant(tensorData([1, 2, 3, 9], [1, 2, 2], "uint8"));
  const scale = graph.input("scale", "float32", [2]);
  const zero = graph.constant(tensorData(zeros, [2], "uint8"));
  const [y] = apply("DequantizeLinear", [whole, scale, zero]);
  const [dscale] = gradients(reduceSum(y), [scale]);
  const result = await evaluate({ dscale }, { scale: tensor(scales, [2], "float32") });
  assert.deepEqual(result.dscale, [-17, 6]);
});

test("a scale for each block of an axis, and integers of every width", async () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", [2, 3]);
  const scale = graph.constant(tensorData([1, 2, 0.5, 4], [2, 2], "float32"));
  const blocks = { axis: int(1), block_size: int(2) };
  const quantizedTo = (type: QuantizedType) =>
    apply("QuantizeLinear", [x, scale], { ...blocks, output_dtype: int(dataTypeNumber(type)) })[0];
  const [wide, narrow] = [quantizedTo("int16"), quantizedTo("uint2")];
  const results = { wide, narrow, back: apply("DequantizeLinear", [wide, scale], blocks)[0] };
  const feeds = { x: tensor([1.4, -2.6, 5, 0.6, 300, 60_000_000], [2, 3], "float32") };
  const { wide: q, narrow: few, back } = await evaluate(results, feeds);
  assert.deepEqual(q, [1, -3, 2, 1, 600, 32767]);
  assert.deepEqual(few, [1, 0, 2, 1, 3, 3]);
  assert.deepEqual(back, [1, -3, 4, 0.5, 300, 131068]);
});

test("the gradient for the scale of each block", async () => {
  const graph = new Graph();
  const whole = graph.constant(tensorData([1, 2, 3, 4, 5, 6], [2, 3], "int8"));
  const scale = graph.input("scale", "float64", [2, 2]);
  const [y] = apply("DequantizeLinear", [whole, scale], { axis: int(1), block_size: int(2) });
  const weights = graph.constant(tensorData([1, 10, 100, 1, 10, 100], [2, 3], "float64"));
  const [dscale] = gradients(reduceSum(mul(y, weights)), [scale]);
  const result = await evaluate({ dscale }, { scale: tensor([1, 2, 3, 4], [2, 2]) });
  assert.deepEqual(result.dscale, [21, 300, 54, 600]);
});
