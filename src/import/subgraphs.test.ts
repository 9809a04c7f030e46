import assert from "node:assert/strict";
import { test } from "node:test";
import { gradients } from "../autodiff/gradients.ts";
import type { GraphProto } from "../onnx/onnx_pb.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { dataTypeNumber } from "../onnx/types.ts";
import { reduceSum } from "../ops/reduction.ts";
import { numbers } from "../testing/networks.ts";
import { evaluate } from "../testing/numeric.ts";
import { bothWays, type ModelText, type NodeText, onnxModel } from "../testing/onnx-models.ts";
import { fromOnnx } from "./from-onnx.ts";

// Bodies that are repeated, against ONNX Runtime on the file as it stands.

const x = tensorData([0.5, -1, 2], [3], "float32");
const weights = {
  times: tensorData([3], [], "int64"),
  yes: { type: "bool", shape: [], data: Uint8Array.of(1) },
  two: tensorData([2], [], "int64"),
} as const;

const body = (text: ModelText): GraphProto => onnxModel(text).graph!;

/** Each time x becomes x·x + the number of the time; what it was is collected. */
const squares = body({
  inputs: { time: [], before: [], carried: [3] },
  nodes: [
    ["Mul", ["carried", "carried"], ["square"]],
    ["Cast", ["time"], ["number"], { to: { int: 1 } }],
    ["Add", ["square", "number"], ["next"]],
    ["Identity", ["carried"], ["was"]],
    ["Less", ["time", "two"], ["after"]],
  ],
  outputs: ["after", "next", "was"],
});
for (const [index, type] of (["int64", "bool"] as const).entries()) {
  const kind = squares.input[index].type!.value;
  if (kind.case === "tensorType") kind.value.elemType = dataTypeNumber(type);
}

const loop = (inputs: readonly string[]): NodeText[] => [
  ["Loop", [...inputs, "x"], ["y", "all"], { body: { graph: squares } }],
];

test("a body is repeated as often as is said, or as long as its condition holds", async () => {
  for (const inputs of [
    ["times", "yes"],
    ["times", ""],
    ["", "yes"],
  ]) {
    const model = onnxModel({ inputs: { x: [3] }, weights, nodes: loop(inputs), outputs: ["y", "all"] });
    const { original, imported } = await bothWays(model, { x });
    for (const name of ["y", "all"]) {
      assert.deepEqual(imported[name].shape, original[name].shape);
      assert.deepEqual(numbers(imported[name]), numbers(original[name]));
    }
  }
});

test("the gradient goes through all times", async () => {
  const nodes = loop(["two", "yes"]);
  const { graph, inputs, outputs } = fromOnnx(
    onnxModel({ inputs: { x: [3] }, weights, nodes, outputs: ["y"] }),
  );
  const [dx] = gradients(reduceSum(outputs.get("y")!), [inputs.get("x")!]);
  graph.outputs.clear();
  // (x²)² + 1
  assert.deepEqual((await evaluate({ dx }, { x })).dx, [0.5, -4, 32]);
});

test("what is not known before is refused", () => {
  const model = (nodes: readonly NodeText[]) =>
    onnxModel({ inputs: { x: [3], n: [] }, weights, nodes, outputs: ["y"] });
  assert.throws(() => fromOnnx(model(loop(["n", "yes"]))), /its number of times are computed while running/);
  assert.throws(() => fromOnnx(model(loop(["times", "n"]))), /its condition is computed while running/);
});

test("loops in loops end before the memory does", () => {
  const many = tensorData([1000], [], "int64");
  const nested = (depth: number): NodeText[] => {
    const text = { inputs: { time: [], before: [], carried: [3] }, outputs: ["before", "next"] };
    const inside: NodeText[] = depth > 1 ? nested(depth - 1) : [["Neg", ["carried"], ["next"]]];
    return [
      [
        "Loop",
        ["many", "", depth === 3 ? "x" : "carried"],
        [depth === 3 ? "y" : "next"],
        { body: { graph: body({ ...text, nodes: inside }) } },
      ],
    ];
  };
  const model = onnxModel({ inputs: { x: [3] }, weights: { many }, nodes: nested(3), outputs: ["y"] });
  assert.throws(() => fromOnnx(model), /the model's loops, written out, are more than 200000 nodes/);
});
