import assert from "node:assert/strict";
import { test } from "node:test";
import { randomStream } from "../common/random.ts";
import { elementCount, type Shape } from "../graph/graph.ts";
import { nodesOf } from "../graph/walk.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { float, int, ints } from "../ops/operator.ts";
import { numbers } from "../testing/networks.ts";
import { assertClose } from "../testing/numeric.ts";
import { bothWays, type NodeText, onnxModel } from "../testing/onnx-models.ts";

// Models in older and newer forms, against ONNX Runtime on the file as it stands.

const random = randomStream(11, "opsets");
const normal = (shape: Shape): TensorData =>
  tensorData(
    Array.from({ length: elementCount(shape) }, () => random.normal()),
    shape,
    "float32",
  );
const vector = (...values: number[]) => tensorData(values, [values.length], "int64");
const single = (value: number) => tensorData([value], [], "float32");

/** A network that uses every operator whose form has changed. */
function changingForms(opset: number) {
  const weights: Record<string, TensorData> = {
    "conv.weight": normal([4, 3, 3, 3]),
    "conv.bias": normal([4]),
    "bn.weight": normal([4]),
    "bn.bias": normal([4]),
    "bn.running_mean": normal([4]),
    "bn.running_var": tensorData([1, 2, 0.5, 1.5], [4], "float32"),
    "fc.weight": normal([20, 3]),
  };
  /** Adds an input where the opset has it, or else gives the attribute. */
  const setting = (since: number, name: string, tensor: TensorData, value: ReturnType<typeof ints>) => {
    if (opset < since) return { inputs: [], attributes: { [name]: value } };
    const stored = `${name}_${Object.keys(weights).length}`;
    weights[stored] = tensor;
    return { inputs: [stored], attributes: {} };
  };
  const pads = setting(11, "pads", vector(0, 0, 1, 0, 0, 0, 0, 1), ints([0, 0, 1, 0, 0, 0, 0, 1]));
  const low = setting(11, "min", single(-0.5), float(-0.5));
  const high = setting(11, "max", single(1.5), float(1.5));
  const starts = setting(10, "starts", vector(0, -5), ints([0, -5]));
  const ends = setting(10, "ends", vector(4, 1000), ints([4, 1000]));
  const along = setting(10, "axes", vector(1, 3), ints([1, 3]));
  const meanAxes = setting(18, "axes", vector(-2), ints([2]));
  const sumAxes = setting(13, "axes", vector(1), ints([1]));
  const unsqueezed = setting(13, "axes", vector(1), ints([1]));
  const squeezed = setting(13, "axes", vector(1), ints([1]));
  const nodes: NodeText[] = [
    ["Pad", ["x", ...pads.inputs], ["padded"], { mode: { string: "constant" }, ...pads.attributes }],
    [
      "Conv",
      ["padded", "conv.weight", "conv.bias"],
      ["c"],
      { auto_pad: { string: "SAME_UPPER" }, kernel_shape: ints([3, 3]), strides: ints([1, 1]) },
    ],
    ["BatchNormalization", ["c", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"], ["b"]],
    ["Clip", ["b", ...low.inputs, ...high.inputs], ["clipped"], { ...low.attributes, ...high.attributes }],
    [
      "Slice",
      ["clipped", ...starts.inputs, ...ends.inputs, ...along.inputs],
      ["s"],
      { ...starts.attributes, ...ends.attributes, ...along.attributes },
    ],
    ["ReduceMean", ["s", ...meanAxes.inputs], ["m"], { keepdims: int(0), ...meanAxes.attributes }],
    ["Dropout", ["m"], ["d"]],
    ["Softmax", ["d"], ["p"], { axis: int(1) }],
    ["Flatten", ["p"], ["f"], { axis: int(-2) }],
    ["MatMul", ["f", "fc.weight"], ["h"]],
    ["Unsqueeze", ["h", ...unsqueezed.inputs], ["u"], unsqueezed.attributes],
    ["Squeeze", ["u", ...squeezed.inputs], ["q"], squeezed.attributes],
    ["ReduceSum", ["q", ...sumAxes.inputs], ["sum"], { keepdims: int(1), ...sumAxes.attributes }],
    ["Sub", ["q", "sum"], ["y"]],
  ];
  // Flatten counted axes from the front only, before opset 11.
  if (opset < 11) nodes[8] = ["Flatten", ["p"], ["f"], { axis: int(1) }];
  return onnxModel({ opset, inputs: { x: [2, 3, 6, 6] }, weights, nodes, outputs: ["y"] });
}

for (const opset of [9, 10, 11, 13, 17, 18, 21, 23]) {
  test(`a model of opset ${opset} gives the numbers that ONNX Runtime gives`, async () => {
    const { original, imported } = await bothWays(changingForms(opset), { x: normal([2, 3, 6, 6]) });
    assert.deepEqual(imported.y.shape, original.y.shape);
    assertClose(numbers(imported.y), numbers(original.y), 1e-5);
  });
}

const shaped: Record<
  string,
  [shape: Shape, nodes: readonly NodeText[], weights?: Record<string, TensorData>]
> = {
  "MaxPool rounding up": [
    [1, 2, 6, 7],
    [["MaxPool", ["x"], ["y"], { kernel_shape: ints([3, 3]), strides: ints([2, 2]), ceil_mode: int(1) }]],
  ],
  "AveragePool rounding up, padding not counted": [
    [1, 2, 6, 7],
    [["AveragePool", ["x"], ["y"], { kernel_shape: ints([3, 3]), strides: ints([2, 2]), ceil_mode: int(1) }]],
  ],
  "AveragePool with SAME_LOWER": [
    [1, 2, 6, 7],
    [["AveragePool", ["x"], ["y"], { kernel_shape: ints([3, 2]), auto_pad: { string: "SAME_LOWER" } }]],
  ],
  "ConvTranspose with an output shape": [
    [1, 2, 4, 4],
    [["ConvTranspose", ["x", "w"], ["y"], { strides: ints([2, 2]), output_shape: ints([8, 9]) }]],
    { w: normal([2, 3, 3, 3]) },
  ],
  "ConvTranspose with a bias": [
    [1, 2, 4, 4],
    [["ConvTranspose", ["x", "w", "b"], ["y"], { strides: ints([2, 2]), pads: ints([1, 1, 1, 1]) }]],
    { w: normal([2, 3, 3, 3]), b: normal([3]) },
  ],
  "reflected padding": [
    [2, 3, 4],
    [["Pad", ["x", "pads"], ["y"], { mode: { string: "reflect" } }]],
    { pads: vector(0, 1, 2, 0, 0, 3) },
  ],
  "repeated edges": [
    [2, 3, 4],
    [["Pad", ["x", "pads"], ["y"], { mode: { string: "edge" } }]],
    { pads: vector(0, 1, 2, 1, 0, 3) },
  ],
  "a slice that goes backward by two": [
    [3, 8],
    [["Slice", ["x", "from", "to", "axes", "steps"], ["y"]]],
    { from: vector(6, 0), to: vector(-1000, 3), axes: vector(1, 0), steps: vector(-2, 2) },
  ],
  "uneven parts": [
    [5, 7],
    [["Split", ["x", "sizes"], ["a", "y"], { axis: int(-1) }]],
    { sizes: vector(3, 4) },
  ],
  tiles: [[2, 3], [["Tile", ["x", "repeats"], ["y"]]], { repeats: vector(2, 3) }],
  "a vector times a matrix": [[4], [["MatMul", ["x", "w"], ["y"]]], { w: normal([2, 4, 3]) }],
  "a power of another type": [[2, 3], [["Pow", ["x", "two"], ["y"]]], { two: tensorData([2], [], "int64") }],
  "three summands": [[2, 3], [["Sum", ["x", "x", "w"], ["y"]]], { w: normal([3]) }],
  PRelu: [[2, 3], [["PRelu", ["x", "w"], ["y"]]], { w: normal([3]) }],
  HardSigmoid: [[2, 3], [["HardSigmoid", ["x"], ["y"], { alpha: float(0.3) }]]],
  "layer normalization": [
    [2, 3, 4],
    [["LayerNormalization", ["x", "w", "b"], ["y"], { epsilon: float(1e-3) }]],
    { w: normal([4]), b: normal([4]) },
  ],
};

for (const [name, [shape, nodes, weights]] of Object.entries(shaped)) {
  test(`${name}: as ONNX Runtime`, async () => {
    const model = onnxModel({ opset: 17, inputs: { x: shape }, weights, nodes, outputs: ["y"] });
    const { original, imported } = await bothWays(model, { x: normal(shape) });
    assert.deepEqual(imported.y.shape, original.y.shape);
    assertClose(numbers(imported.y), numbers(original.y), 1e-5);
  });
}

test("the chain that exporters write for view(size(0), -1) is folded into one Reshape", async () => {
  const model = onnxModel({
    inputs: { x: [3, 2, 4] },
    weights: { zero: tensorData([0], [], "int64"), first: vector(0), rest: vector(-1) },
    nodes: [
      ["Shape", ["x"], ["shape"]],
      ["Gather", ["shape", "zero"], ["size"], { axis: int(0) }],
      ["Unsqueeze", ["size", "first"], ["sizes"]],
      ["Concat", ["sizes", "rest"], ["wanted"], { axis: int(0) }],
      ["Reshape", ["x", "wanted"], ["y"]],
    ],
    outputs: ["y"],
  });
  const { graph, original, imported } = await bothWays(model, { x: normal([3, 2, 4]) });
  assert.deepEqual(
    nodesOf(graph.outputs.values()).map((node) => node.operator),
    ["Reshape"],
  );
  assert.deepEqual(imported.y, original.y);
});
