import assert from "node:assert/strict";
import { test } from "node:test";
import { gradients } from "../autodiff/gradients.ts";
import { randomStream } from "../common/random.ts";
import { elementCount, type Shape } from "../graph/graph.ts";
import { nodesOf } from "../graph/walk.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { float, int } from "../ops/operator.ts";
import { reduceSum } from "../ops/reduction.ts";
import { numbers } from "../testing/networks.ts";
import { assertClose } from "../testing/numeric.ts";
import { bothWays, type NodeText, onnxModel } from "../testing/onnx-models.ts";
import { fromOnnx } from "./from-onnx.ts";

// Outputs beyond the first, and pairs of nodes that become one, against ONNX Runtime on the file as it stands.

const random = randomStream(12, "further outputs");
const normal = (shape: Shape): TensorData =>
  tensorData(
    Array.from({ length: elementCount(shape) }, () => random.normal()),
    shape,
    "float32",
  );
const channels = { scale: normal([3]), bias: normal([3]), mean: normal([3]) };
const variance = tensorData([1, 2, 0.5], [3], "float32");
const quantizer = { step: tensorData([0.1, 0.05, 0.2], [3], "float32") };

const cases: Record<string, [node: readonly NodeText[], weights: Record<string, TensorData>, opset: number]> =
  {
    "LayerNormalization's mean and deviation": [
      [["LayerNormalization", ["x", "w"], ["y", "z0", "z1"], { axis: int(2), epsilon: float(0.1) }]],
      { w: normal([4]) },
      17,
    ],
    "BatchNormalization's next statistics": [
      [
        [
          "BatchNormalization",
          ["x", "scale", "bias", "mean", "variance"],
          ["y", "z0", "z1"],
          { training_mode: int(1), momentum: float(0.75) },
        ],
      ],
      { ...channels, variance },
      15,
    ],
    "a quantized tensor taken back": [
      [
        ["QuantizeLinear", ["x", "step", "zero"], ["q"], { axis: int(1) }],
        ["DequantizeLinear", ["q", "step", "zero"], ["y"], { axis: int(1) }],
      ],
      { ...quantizer, zero: tensorData([3, 128, 200], [3], "uint8") },
      13,
    ],
    "arithmetic of quantized numbers": [
      [
        ["DynamicQuantizeLinear", ["x"], ["a", "z0", "azero"]],
        ["MatMulInteger", ["a", "b", "azero", "bzero"], ["whole"]],
        ["Cast", ["whole"], ["y"], { to: int(1) }],
      ],
      { b: tensorData([1, 2, 3, 4, 5, 6, 7, 250], [4, 2], "uint8"), bzero: tensorData([2], [], "uint8") },
      13,
    ],
    "a quantized convolution": [
      [
        ["DynamicQuantizeLinear", ["image"], ["a", "ascale", "azero"]],
        ["QLinearConv", ["a", "ascale", "azero", "k", "kscale", "kzero", "yscale", "yzero"], ["q"]],
        ["DequantizeLinear", ["q", "yscale", "yzero"], ["z0"]],
        ["ConvInteger", ["a", "k", "azero", "kzero"], ["whole"]],
        ["Cast", ["whole"], ["y"], { to: int(1) }],
      ],
      {
        k: tensorData([1, 200, 3, 4], [1, 1, 2, 2], "uint8"),
        kscale: tensorData([0.1], [], "float32"),
        kzero: tensorData([100], [], "uint8"),
        yscale: tensorData([0.5], [], "float32"),
        yzero: tensorData([90], [], "uint8"),
      },
      13,
    ],
  };

for (const [name, [nodes, weights, opset]] of Object.entries(cases)) {
  test(`${name}: as ONNX Runtime`, async () => {
    const made = nodes.flatMap(([, , outputs]) => outputs);
    const outputs = ["y", "z0", "z1"].filter((output) => made.includes(output));
    const inputs = { x: [2, 3, 4], image: [1, 1, 5, 6] };
    const read = Object.entries(inputs).filter(([input]) => nodes[0][1].includes(input));
    const model = onnxModel({ opset, inputs: Object.fromEntries(read), weights, nodes, outputs });
    const { original, imported } = await bothWays(model, {
      x: normal([2, 3, 4]),
      image: normal([1, 1, 5, 6]),
    });
    for (const output of outputs) {
      assert.deepEqual(imported[output].shape, original[output].shape);
      assertClose(numbers(imported[output]), numbers(original[output]), 1e-5, output);
    }
  });
}

test("Dropout's mask keeps everything in inference", async () => {
  const model = onnxModel({
    inputs: { x: [2, 3] },
    nodes: [["Dropout", ["x"], ["y", "mask"]]],
    outputs: ["y", "mask"],
  });
  const { original, imported } = await bothWays(model, { x: normal([2, 3]) });
  assert.deepEqual(imported, original);
});

test("the gradient passes through a quantized tensor that is taken back", () => {
  const model = onnxModel({
    inputs: { x: [2, 3] },
    weights: {
      step: tensorData([0.1], [], "float32"),
      zero: tensorData([3], [], "uint8"),
      fc: normal([3, 3]),
    },
    nodes: [
      ["MatMul", ["x", "fc"], ["h"]],
      ["QuantizeLinear", ["h", "step", "zero"], ["q"]],
      ["DequantizeLinear", ["q", "step", "zero"], ["y"]],
    ],
    outputs: ["y"],
  });
  const { graph } = fromOnnx(model);
  const [gradient] = gradients(reduceSum(graph.outputs.get("y")!), [graph.inputs.get("fc")!]);
  assert.ok(nodesOf([gradient]).some(({ operator }) => operator === "MatMul" || operator === "Gemm"));
});

test("a loss behind quantized numbers is refused with the way there and what to freeze", () => {
  const model = onnxModel({
    inputs: { x: [2, 3] },
    weights: { fc: normal([3, 3]), k: tensorData([1, 2, 3], [3, 1], "uint8") },
    nodes: [
      ["MatMul", ["x", "fc"], ["h"], {}, "first"],
      ["DynamicQuantizeLinear", ["h"], ["q", "scale", "zero"], {}, "quantize"],
      ["MatMulInteger", ["q", "k", "zero"], ["whole"], {}, "product"],
      ["Cast", ["whole"], ["float"], { to: int(1) }, "cast"],
      ["Mul", ["float", "scale"], ["y"], {}, "scaled"],
    ],
    outputs: ["y"],
  });
  const { graph } = fromOnnx(model);
  const loss = graph.scoped("mean", () => reduceSum(graph.outputs.get("y")!));
  assert.throws(() => gradients(loss, [graph.inputs.get("fc")!]), {
    name: "UserError",
    message:
      'operator DynamicQuantizeLinear "quantize" has no gradient; it stands between a parameter and the loss: "fc" → first → quantize → scaled → mean → the loss; freeze "fc" to get by',
  });
});

test("numbers that stay quantized in between are refused too", () => {
  const model = onnxModel({
    inputs: { x: [2, 3] },
    weights: {
      step: tensorData([0.1], [], "float32"),
      zero: tensorData([3], [], "uint8"),
      fc: normal([3, 3]),
    },
    nodes: [
      ["MatMul", ["x", "fc"], ["h"], {}, "first"],
      ["QuantizeLinear", ["h", "step", "zero"], ["q"], {}, "quantize"],
      ["Transpose", ["q"], ["turned"], {}, "turn"],
      ["DequantizeLinear", ["turned", "step", "zero"], ["y"], {}, "back"],
    ],
    outputs: ["y"],
  });
  const { graph } = fromOnnx(model);
  const loss = graph.scoped("mean", () => reduceSum(graph.outputs.get("y")!));
  assert.throws(
    () => gradients(loss, [graph.inputs.get("fc")!]),
    /^UserError: operator DequantizeLinear "back" has no gradient; .*"fc" → first → quantize → turn → back → mean/,
  );
});
