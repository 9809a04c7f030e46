import assert from "node:assert/strict";
import { test } from "node:test";
import { Graph } from "../graph/graph.ts";
import { nodesOf } from "../graph/walk.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { ints } from "../ops/operator.ts";
import { insertZeros } from "../ops/slicing.ts";
import { numbers } from "../testing/networks.ts";
import { assertClose } from "../testing/numeric.ts";
import { bothWays, type NodeText, onnxModel } from "../testing/onnx-models.ts";
import { lower } from "./lower.ts";

// A column that is padded on its right is a product with a matrix, if zeros are what it is padded with.

const x = tensorData([1, -2, 3], [3, 1], "float32");
const weights = {
  amounts: tensorData([0, 0, 0, 2], [4], "int64"),
  one: tensorData([0, 0, 0, 1], [4], "int64"),
  behind: tensorData([0, 2], [2], "int64"),
  axis: tensorData([1], [1], "int64"),
  seven: tensorData([7], [], "float32"),
};

const cases: Record<string, NodeText> = {
  zeros: ["Pad", ["x", "amounts"], ["y"]],
  "another number": ["Pad", ["x", "amounts", "seven"], ["y"]],
  "one axis by its number": ["Pad", ["x", "behind", "", "axis"], ["y"]],
  "one axis and another number": ["Pad", ["x", "behind", "seven", "axis"], ["y"]],
  "the edge": ["Pad", ["x", "amounts"], ["y"], { mode: { string: "edge" } }],
  "what is at the other end": ["Pad", ["x", "one"], ["y"], { mode: { string: "wrap" } }],
};

for (const [name, node] of Object.entries(cases)) {
  test(`a column is padded with ${name}`, async () => {
    const model = onnxModel({ opset: 19, inputs: { x: [3, 1] }, weights, nodes: [node], outputs: ["y"] });
    const { original, imported } = await bothWays(model, { x });
    assert.deepEqual(imported.y.shape, original.y.shape);
    assertClose(numbers(imported.y), numbers(original.y), 0);
  });
}

test("zeros between neighbors are a product", () => {
  const graph = new Graph();
  graph.output("y", insertZeros(graph.input("x", "float32", [4, 6]), [1, 2]));
  const operators = nodesOf(lower(graph).outputs.values()).map(({ operator }) => operator);
  assert.ok(operators.includes("MatMul") && !operators.includes("Pad"), operators.join());
});

test("maxima are put back where they stood, and compared with what is there if a file asks for that", async () => {
  for (const reduction of ["none", "add", "mul", "max", "min"]) {
    const model = onnxModel({
      opset: 18,
      inputs: { x: [1, 1, 4, 4] },
      weights: {
        flat: tensorData([-1], [1], "int64"),
        size: tensorData([16], [1], "int64"),
        zero: tensorData([0], [1], "float32"),
      },
      nodes: [
        ["MaxPool", ["x"], ["m", "places"], { kernel_shape: ints([2, 2]), strides: ints([2, 2]) }],
        ["Reshape", ["places", "flat"], ["at"]],
        ["Reshape", ["m", "flat"], ["updates"]],
        ["Expand", ["zero", "size"], ["zeros"]],
        ["ScatterElements", ["zeros", "at", "updates"], ["y"], { reduction: { string: reduction } }],
      ],
      outputs: ["y"],
    });
    const data = Array.from({ length: 16 }, (_, at) => Math.sin(7 * at) - 0.5);
    const { original, imported } = await bothWays(model, { x: tensorData(data, [1, 1, 4, 4], "float32") });
    assertClose(numbers(imported.y), numbers(original.y), 0);
  }
});
