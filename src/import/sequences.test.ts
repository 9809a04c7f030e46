import assert from "node:assert/strict";
import { test } from "node:test";
import { constantNumbers } from "../graph/constants.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { int } from "../ops/operator.ts";
import { numbers } from "../testing/networks.ts";
import { bothWays, type NodeText, onnxModel } from "../testing/onnx-models.ts";
import { fromOnnx } from "./from-onnx.ts";

// Sequences of tensors, against ONNX Runtime on the file as it stands.

const x = tensorData(
  Array.from({ length: 10 }, (_, index) => index),
  [2, 5],
  "float32",
);
const whole = (...values: number[]) =>
  tensorData(values, values.length === 1 ? [] : [values.length], "int64");
const weights = { one: whole(1), two: whole(2), last: whole(-1), sizes: whole(1, 4) };
const split: NodeText = ["SplitToSequence", ["x", "two"], ["s"], { axis: int(1) }];

const cases: Record<string, NodeText[]> = {
  "parts of two": [split, ["SequenceAt", ["s", "last"], ["y"]]],
  "parts of given sizes": [
    ["SplitToSequence", ["x", "sizes"], ["s"], { axis: int(-1) }],
    ["SequenceAt", ["s", "one"], ["y"]],
  ],
  "single rows without their axis": [
    ["SplitToSequence", ["x"], ["s"], { axis: int(0), keepdims: int(0) }],
    ["SequenceAt", ["s", "one"], ["y"]],
  ],
  "put together again": [
    split,
    ["Identity", ["s"], ["t"]],
    ["SequenceInsert", ["t", "x", "one"], ["u"]],
    ["SequenceInsert", ["u", "x"], ["v"]],
    ["SequenceErase", ["v", "last"], ["w"]],
    ["ConcatFromSequence", ["w"], ["y"], { axis: int(1) }],
  ],
  stacked: [
    ["SequenceConstruct", ["x", "x"], ["s"]],
    ["ConcatFromSequence", ["s"], ["y"], { axis: int(-1), new_axis: int(1) }],
  ],
  "their length": [split, ["SequenceLength", ["s"], ["y"]]],
};

for (const [name, nodes] of Object.entries(cases)) {
  test(`sequences: ${name}`, async () => {
    const model = onnxModel({ inputs: { x: [2, 5] }, weights, nodes, outputs: ["y"] });
    const { original, imported } = await bothWays(model, { x });
    assert.deepEqual(imported.y.shape, original.y.shape);
    assert.deepEqual(numbers(imported.y), numbers(original.y));
  });
}

test("what cannot be known of a sequence is refused", () => {
  const refuse = (nodes: NodeText[], sentence: RegExp) =>
    assert.throws(
      () => fromOnnx(onnxModel({ inputs: { x: [2, 5] }, weights, nodes, outputs: ["y"] })),
      sentence,
    );
  refuse([split, ["Relu", ["s"], ["y"]]], /\(Relu\): its input 0 is a sequence of tensors/);
  refuse(
    [
      ["Optional", [], ["o"]],
      ["OptionalGetElement", ["o"], ["y"]],
    ],
    /the optional holds nothing/,
  );
  refuse([["SequenceAt", ["x", "one"], ["y"]]], /its first input is no sequence/);
  refuse(
    [
      ["SplitToSequence", ["x", "two"], ["s"]],
      ["SequenceAt", ["s", "two"], ["y"]],
    ],
    /its position is 2, and the sequence has no such entry/,
  );
});

test("an output that is a sequence becomes one of each tensor", () => {
  const { outputs } = fromOnnx(onnxModel({ inputs: { x: [2, 5] }, weights, nodes: [split], outputs: ["s"] }));
  assert.deepEqual(
    [...outputs].map(([name, { shape }]) => [name, shape]),
    [
      ["s.0", [2, 2]],
      ["s.1", [2, 2]],
      ["s.2", [2, 1]],
    ],
  );
});

test("inputs that are sequences or optionals are what is said of them", () => {
  const model = onnxModel({
    inputs: { s: [1], o: [1] },
    nodes: [
      ["ConcatFromSequence", ["s"], ["y"], { axis: int(0) }],
      ["OptionalHasElement", ["o"], ["held"]],
    ],
    outputs: ["y", "held"],
  });
  const part = { type: "float32", shape: [2] } as const;
  const entries = new Map([
    ["s", [part, part]],
    ["o", null],
  ]);
  const { graph, outputs } = fromOnnx(model, { entries });
  assert.deepEqual([...graph.inputs.keys()], ["s.0", "s.1"]);
  assert.deepEqual(outputs.get("y")!.shape, [4]);
  assert.deepEqual(constantNumbers(outputs.get("held")), [0]);
});

test("a sequence of more tensors than any model has is refused", () => {
  const split = (length: number, parts: number) => () =>
    fromOnnx(
      onnxModel({
        inputs: { x: [length] },
        weights: { parts: tensorData([parts], [], "int64") },
        nodes: [
          ["SplitToSequence", ["x", "parts"], ["s"]],
          ["ConcatFromSequence", ["s"], ["y"], { axis: int(0) }],
        ],
        outputs: ["y"],
      }),
    );
  assert.throws(split(2e9, 1), /it splits into 2000000000 tensors; more than 10000 are not written out/);
  assert.throws(split(4, 0), /it splits into parts of 0; a part has 1 or more/);
});
