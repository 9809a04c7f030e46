import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { compile } from "../lower/compile.ts";
import { readModel, writeModel } from "../onnx/model.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { int } from "../ops/operator.ts";
import { onnxModel, runModel } from "../testing/onnx-models.ts";
import { fromOnnx } from "./from-onnx.ts";
import { loadModel } from "./load.ts";
import { narrowed, widened } from "./narrow-types.ts";
import { readWeights } from "./weights.ts";

const half = (type: "float16" | "bfloat16", ...bits: number[]) =>
  ({ type, shape: [bits.length], data: Uint16Array.from(bits) }) as TensorData;
const single = (...values: number[]): TensorData => ({
  type: "float32",
  shape: [values.length],
  data: Float32Array.from(values),
});

// The values of IEEE 754's binary16 and of bfloat16, from the tables of their definitions.
const values: [type: "float16" | "bfloat16", bits: number, value: number][] = [
  ["float16", 0x0000, 0],
  ["float16", 0x8000, -0],
  ["float16", 0x3c00, 1],
  ["float16", 0xc000, -2],
  ["float16", 0x7bff, 65504],
  ["float16", 0x0400, 2 ** -14],
  ["float16", 0x03ff, (1023 / 1024) * 2 ** -14],
  ["float16", 0x0001, 2 ** -24],
  ["float16", 0x3555, 0.333251953125],
  ["float16", 0x7c00, Number.POSITIVE_INFINITY],
  ["float16", 0xfc00, Number.NEGATIVE_INFINITY],
  ["bfloat16", 0x3f80, 1],
  ["bfloat16", 0xc000, -2],
  ["bfloat16", 0x4049, 3.140625],
  ["bfloat16", 0x7f80, Number.POSITIVE_INFINITY],
];

test("half precision is read and written by its definition", () => {
  for (const [type, bits, value] of values) {
    assert.deepEqual(widened(half(type, bits)).data, Float32Array.of(value), `${type} ${bits.toString(16)}`);
    assert.deepEqual(narrowed(single(value), type).data, Uint16Array.of(bits), `${type} ${value}`);
  }
  for (const type of ["float16", "bfloat16"] as const)
    assert.deepEqual(widened(narrowed(single(Number.NaN), type)).data, Float32Array.of(Number.NaN));
});

test("rounding is to the nearest, ties to even", () => {
  const rounded = (value: number, type: "float16" | "bfloat16") =>
    (widened(narrowed(single(value), type)).data as Float32Array)[0];
  assert.equal(rounded(1 + 2 ** -11, "float16"), 1);
  assert.equal(rounded(1 + 3 * 2 ** -11, "float16"), 1 + 2 ** -9);
  assert.equal(rounded(1.5 * 2 ** -24, "float16"), 2 ** -23);
  assert.equal(rounded(65519, "float16"), 65504);
  assert.equal(rounded(65520, "float16"), Number.POSITIVE_INFINITY);
  assert.equal(rounded(1 + 2 ** -8, "bfloat16"), 1);
  assert.equal(rounded(1 + 3 * 2 ** -8, "bfloat16"), 1 + 2 ** -6);
  fc.assert(
    fc.property(fc.float({ noNaN: true, min: -65000, max: 65000 }), (value) => {
      const error = Math.abs(rounded(value, "float16") - value);
      assert.ok(error <= Math.max(2 ** -11 * Math.abs(value), 2 ** -25));
    }),
  );
});

test("all finite values of 16 bits survive", () => {
  const bits = Array.from({ length: 0x7c00 }, (_, index) => index);
  assert.deepEqual(narrowed(widened(half("float16", ...bits)), "float16").data, Uint16Array.from(bits));
});

test("a model of float16 is trained in float32 and written back in float16", async () => {
  const weight = { ...half("float16", 0x3c00, 0xc000, 0x3800, 0x4000), shape: [2, 2] } as TensorData;
  const source = onnxModel({
    inputs: { x: [3, 2] },
    weights: { w: weight },
    nodes: [
      ["Cast", ["x"], ["narrow"], { to: int(10) }],
      ["MatMul", ["narrow", "w"], ["y"]],
    ],
    outputs: ["y"],
  });
  const model = await loadModel(writeModel(source));
  assert.deepEqual(model.tensors.w, { type: "float32", shape: [2, 2], data: Float32Array.of(1, -2, 0.5, 2) });
  assert.equal(model.build({ training: true }).outputs.get("y")!.type, "float32");
  const written = readModel(model.write({ w: { ...model.tensors.w, data: Float32Array.of(1, 2, 3, 0.1) } }));
  const { dataType, rawData } = written.graph!.initializer[0];
  assert.equal(dataType, 10);
  assert.deepEqual(
    Uint16Array.from(new Uint16Array(new Uint8Array(rawData).buffer)),
    Uint16Array.of(0x3c00, 0x4000, 0x4200, 0x2e66),
  );
  assert.deepEqual(readWeights(written.graph!).get("w")!.shape, [2, 2]);
});

test("small floats are rounded to by casts, and weights of them are trained and written back", async () => {
  const weight: TensorData = {
    type: "float8e4m3fn",
    shape: [2, 2],
    data: Uint8Array.of(0x38, 0xc0, 0x30, 0x7e),
  };
  const source = onnxModel({
    opset: 21,
    inputs: { x: [1, 2] },
    weights: { w: weight, scale: single(2) },
    nodes: [
      ["Cast", ["x"], ["narrow"], { to: int(17) }],
      ["DequantizeLinear", ["w", "scale"], ["wide"]],
      ["MatMul", ["narrow", "wide"], ["y"]],
    ],
    outputs: ["y"],
  });
  const model = await loadModel(writeModel(source));
  assert.deepEqual(model.tensors.w.data, Float32Array.of(1, -2, 0.5, 448));
  const { graph } = fromOnnx(source, { isInput: () => false });
  const { y } = await runModel(compile(graph), { x: { ...single(1.03, 500), shape: [1, 2] } });
  assert.deepEqual(y.data, Float32Array.of(2 * (1 + 448 * 0.5), 2 * (-2 + 448 * 448)));
  const written = readModel(
    model.write({ w: { ...model.tensors.w, data: Float32Array.of(1.03, 2, 9e5, -0) } }),
  );
  assert.deepEqual([...written.graph!.initializer[0].rawData], [0x38, 0x40, 0x7e, 0x80]);
});
