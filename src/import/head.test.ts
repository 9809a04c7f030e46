import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { tensorData } from "../graph/constants.ts";
import { writeModel } from "../onnx/model.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import { type ModelText, onnxModel, runModel } from "../testing/onnx-models.ts";
import { findHead, replaceHead } from "./head.ts";
import { readWeights } from "./weights.ts";

const weights = (...shape: number[]) =>
  tensorData(
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, index) => Math.sin(index)),
    shape,
    "float32",
  );

const inputs = { x: ["N", 4] };

const models: Record<string, ModelText> = {
  "Gemm with a transposed weight": {
    inputs,
    weights: { w: weights(5, 4), b: weights(5) },
    nodes: [["Gemm", ["x", "w", "b"], ["y"], { transB: { int: 1 } }, "fc"]],
    outputs: ["y"],
  },
  "Gemm as it is, with a Softmax behind it": {
    inputs,
    weights: { w: weights(4, 5), b: weights(5) },
    nodes: [
      ["Gemm", ["x", "w", "b"], ["h"], {}, "fc"],
      ["Softmax", ["h"], ["y"]],
    ],
    outputs: ["y"],
  },
  "MatMul and Add": {
    inputs,
    weights: { w: weights(4, 5), b: weights(5) },
    nodes: [
      ["MatMul", ["x", "w"], ["h"], {}, "fc"],
      ["Add", ["b", "h"], ["y"]],
    ],
    outputs: ["y"],
  },
  "MatMul by a weight that is transposed in the graph": {
    inputs,
    weights: { w: weights(5, 4) },
    nodes: [
      ["Transpose", ["w"], ["t"], { perm: { ints: [1, 0] } }],
      ["MatMul", ["x", "t"], ["y"], {}, "fc"],
    ],
    outputs: ["y"],
  },
  "1×1 convolution before a pool": {
    inputs: { x: ["N", 4, 3, 3] },
    weights: { w: weights(5, 4, 1, 1), b: weights(5) },
    nodes: [
      ["Conv", ["x", "w", "b"], ["c"], {}, "fc"],
      ["GlobalAveragePool", ["c"], ["p"]],
      ["Flatten", ["p"], ["y"]],
    ],
    outputs: ["y"],
  },
};

describe("the last linear layer is found and made anew", () => {
  for (const [name, text] of Object.entries(models)) {
    test(name, async () => {
      const model: ModelProto = onnxModel(text);
      const head = findHead(model);
      assert.equal(head.classes, 5);
      assert.equal(head.inputs, 4);
      assert.match(head.label, /^node "fc"/);
      replaceHead(model, 7, { seed: 3 });
      assert.equal(findHead(model).classes, 7);
      const stored = readWeights(model.graph!);
      const values = [...stored.values()].flatMap(({ data }) => Array.from(data as Float32Array));
      // ±1/√4, and not all alike.
      assert.ok(values.every((value) => Math.abs(value) <= 0.5));
      assert.ok(new Set(values).size > values.length / 2);
      const shape = text.inputs!.x.map((size) => (size === "N" ? 2 : Number(size)));
      const { y } = await runModel(writeModel(model), { x: weights(...shape) });
      assert.deepEqual(y.shape, [2, 7]);
    });
  }
});

test("the seed decides the new numbers", () => {
  const numbers = (seed: number) => {
    const model = onnxModel(models["MatMul and Add"]);
    replaceHead(model, 3, { seed });
    return readWeights(model.graph!).get("w")!.data;
  };
  assert.deepEqual(numbers(1), numbers(1));
  assert.notDeepEqual(numbers(1), numbers(2));
});

describe("what cannot be a head is refused in one sentence", () => {
  const cases: Record<string, [ModelText, { name?: string }, RegExp]> = {
    "no linear layer": [
      { inputs, nodes: [["Relu", ["x"], ["y"]]], outputs: ["y"] },
      {},
      /^the last linear layer is not found before output "y"; name it \(head\)$/,
    ],
    "another operator in between": [
      {
        inputs,
        weights: { w: weights(4, 5) },
        nodes: [
          ["MatMul", ["x", "w"], ["h"], {}, "fc"],
          ["Exp", ["h"], ["y"], {}, "odd"],
        ],
        outputs: ["y"],
      },
      {},
      /^the last linear layer is not found: before output "y" there is node "odd" \(Exp\); name the layer \(head\)$/,
    ],
    "a weight with two readers": [
      {
        inputs,
        weights: { w: weights(4, 4) },
        nodes: [
          ["MatMul", ["x", "w"], ["h"], {}, "first"],
          ["MatMul", ["h", "w"], ["y"], {}, "fc"],
        ],
        outputs: ["y"],
      },
      {},
      /^node "fc" \(MatMul\) cannot be made anew as a head: "w" is also used elsewhere$/,
    ],
    "a name that is not there": [
      models["MatMul and Add"],
      { name: "classifier" },
      /^head: the model has no node "classifier"$/,
    ],
    "two outputs": [
      { ...models["MatMul and Add"], outputs: ["y", "h"] },
      {},
      /^the model has the outputs y, h; say which one holds the logits \(output\)$/,
    ],
  };
  for (const [name, [model, options, sentence]] of Object.entries(cases)) {
    test(name, () => assert.throws(() => replaceHead(onnxModel(model), 3, options), { message: sentence }));
  }
});
