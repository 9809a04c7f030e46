import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { randomStream } from "../common/random.ts";
import { writeModel } from "../onnx/model.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import type { Tensors } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { openEngine } from "../runtime/remote.ts";
import { assertClose } from "../testing/numeric.ts";
import { onnxModel } from "../testing/onnx-models.ts";
import { isQuantized, withFloatWeights } from "./float-weights.ts";
import { quantizeModel } from "./quantize.ts";

const engine = openEngine({ threads: 1, fuse: false });
after(() => engine.close());

const random = randomStream(1, "float weights");
const normal = (shape: number[], scale: number) =>
  tensorData(
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => scale * random.normal()),
    shape,
    "float32",
  );
const network = onnxModel({
  inputs: { x: ["batch", 3, 6, 6] },
  weights: {
    ...{ "conv.weight": normal([6, 3, 3, 3], 0.3), "conv.bias": normal([6], 0.2) },
    ...{ "fc.weight": normal([6, 4], 0.5), "fc.bias": normal([4], 0.1) },
  },
  nodes: [
    ["Conv", ["x", "conv.weight", "conv.bias"], ["a"]],
    ["Relu", ["a"], ["b"]],
    ["GlobalAveragePool", ["b"], ["c"]],
    ["Flatten", ["c"], ["d"]],
    ["Gemm", ["d", "fc.weight", "fc.bias"], ["y"]],
  ],
  outputs: ["y"],
});
const x = normal([5, 3, 6, 6], 1);

async function outputOf(model: ModelProto, scale = 1): Promise<number[]> {
  await engine.load("model", writeModel(model));
  const data = Float32Array.from(x.data as Float32Array, (value) => scale * value);
  const { outputs } = await engine.run("model", { x: { type: "float32", shape: x.shape, data } });
  return Array.from(outputs.y.data, Number);
}

async function* batches(): AsyncGenerator<Tensors> {
  yield { x: { ...x, data: x.data.slice() } as Tensors[string] };
}

describe("a quantized model with float weights again", () => {
  for (const bits of [8, 4]) {
    test(`${bits} bits: rounded it gives what it gave, under the names that weights had`, async () => {
      const options = {
        weights: bits,
        activations: bits,
        layers: { "*": { weights: bits, activations: bits } },
      };
      const { model } = await quantizeModel(network, options, { engine, batches });
      assert.ok(isQuantized(model) && !isQuantized(network));
      const rounded = withFloatWeights(model, "rounded");
      assert.deepEqual(await outputOf(rounded), await outputOf(model));
      const names = rounded.graph!.initializer.map(({ name }) => name);
      for (const name of ["conv.weight", "conv.bias", "fc.weight", "fc.bias"])
        assert.ok(names.includes(name), names.join());
    });

    test(`${bits} bits: clipped nothing is rounded but the weights, and ReLU is still there`, async () => {
      const options = { weights: bits, activations: 8, layers: { "*": { weights: bits, activations: 8 } } };
      const { model } = await quantizeModel(network, options, { engine, batches });
      const clipped = withFloatWeights(model, "clipped");
      assert.ok(!isQuantized(clipped));
      // The float network with the rounded weights in place of its own, on smaller images, which stay within all ranges.
      const moved = onnxModel({ nodes: [], outputs: [] });
      moved.graph = structuredClone(network.graph);
      moved.opsetImport = network.opsetImport;
      const stored = new Map(clipped.graph!.initializer.map((tensor) => [tensor.name, tensor]));
      moved.graph!.initializer = network.graph!.initializer.map(({ name }) => stored.get(name)!);
      assertClose(await outputOf(clipped, 0.5), await outputOf(moved, 0.5), 1e-5);
      // 4 bits are other weights.
      if (bits === 4) assert.notDeepEqual(await outputOf(moved), await outputOf(network));
    });
  }

  test("float weights that a model rounds are no integers", () => {
    const rounding = onnxModel({
      inputs: { x: [1, 4] },
      weights: {
        scale: tensorData([0.1], [], "float32"),
        zero: tensorData([0], [], "int8"),
        w: tensorData([1, 2, 3, 4], [4, 1], "float32"),
      },
      nodes: [
        ["QuantizeLinear", ["w", "scale", "zero"], ["q"]],
        ["DequantizeLinear", ["q", "scale", "zero"], ["r"]],
        ["MatMul", ["x", "r"], ["y"]],
      ],
      outputs: ["y"],
    });
    assert.ok(!isQuantized(rounding));
  });

  test("integers that a model computes with cannot be moved", () => {
    const integers = onnxModel({
      inputs: { x: [1, 4] },
      weights: {
        scale: tensorData([0.1], [], "float32"),
        zero: tensorData([0], [], "uint8"),
        w: tensorData([1, 2, 3, 4], [4, 1], "int8"),
        "w.zero": tensorData([0], [], "int8"),
      },
      nodes: [
        ["QuantizeLinear", ["x", "scale", "zero"], ["q"]],
        ["QLinearMatMul", ["q", "scale", "zero", "w", "scale", "w.zero", "scale", "zero"], ["p"]],
        ["DequantizeLinear", ["p", "scale", "zero"], ["y"]],
      ],
      outputs: ["y"],
    });
    assert.throws(
      () => withFloatWeights(integers, "rounded"),
      /^UserError: the model computes with QLinearMatMul; .* QuantizeLinear and DequantizeLinear \(QDQ\)/,
    );
    const pooled = onnxModel({
      inputs: { x: [1, 1, 4] },
      weights: { scale: tensorData([0.1], [], "float32"), zero: tensorData([0], [], "uint8") },
      nodes: [
        ["QuantizeLinear", ["x", "scale", "zero"], ["q"]],
        ["MaxPool", ["q"], ["p"], { kernel_shape: { ints: [2] } }],
        ["DequantizeLinear", ["p", "scale", "zero"], ["y"]],
      ],
      outputs: ["y"],
    });
    assert.throws(() => withFloatWeights(pooled, "clipped"), /p are integers that the model computes with/);
  });
});
