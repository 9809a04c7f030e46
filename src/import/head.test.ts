import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { readModel, writeModel } from "../onnx/model.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import { tensorData } from "../onnx/tensor-data.ts";
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
  "MatMul by a weight whose Transpose leaves the axes as they are": {
    inputs,
    weights: { w: weights(4, 5) },
    nodes: [
      ["Transpose", ["w"], ["t"], { perm: { ints: [0, 1] } }],
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

describe("the last linear layer is found and re-initialized", () => {
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

const sizes = (...values: number[]) => tensorData(values, [values.length], "int64");
const convolution = { inputs: { x: ["N", 4, 1, 1] }, outputs: ["y"] };

describe("sizes behind the head follow its classes", () => {
  const kernel = { w: weights(5, 4, 1, 1), b: weights(5) };
  const conv = ["Conv", ["x", "w", "b"], ["c"], {}, "fc"] as const;
  const cases: Record<string, ModelText> = {
    "Reshape to [-1, 5]": {
      ...convolution,
      weights: { ...kernel, to: sizes(-1, 5) },
      nodes: [conv, ["Reshape", ["c", "to"], ["y"]]],
    },
    "Reshape to [0, 5]": {
      ...convolution,
      weights: { ...kernel, to: sizes(0, 5) },
      nodes: [conv, ["Reshape", ["c", "to"], ["y"]]],
    },
    "sizes of a Constant node": {
      ...convolution,
      weights: kernel,
      nodes: [
        conv,
        ["Constant", [], ["to"], { value_ints: { ints: [-1, 5] } }],
        ["Reshape", ["c", "to"], ["y"]],
      ],
    },
    "sizes that are put together": {
      ...convolution,
      weights: {
        ...kernel,
        zero: tensorData([0], [], "int64"),
        classes: tensorData([5], [], "int64"),
        axis: sizes(0),
      },
      nodes: [
        conv,
        ["Shape", ["x"], ["shape"]],
        ["Gather", ["shape", "zero"], ["batch"]],
        ["Unsqueeze", ["batch", "axis"], ["rows"]],
        ["Unsqueeze", ["classes", "axis"], ["columns"]],
        ["Concat", ["rows", "columns"], ["to"], { axis: { int: 0 } }],
        ["Reshape", ["c", "to"], ["y"]],
      ],
    },
    "sizes that something before the head reads too": {
      inputs: { x: ["N", 5] },
      outputs: ["y"],
      weights: { w: weights(5, 5), to: sizes(-1, 5) },
      nodes: [
        ["Reshape", ["x", "to"], ["same"]],
        ["MatMul", ["same", "w"], ["h"], {}, "fc"],
        ["Reshape", ["h", "to"], ["y"]],
      ],
    },
    "two in a row, and one that has no classes in it": {
      ...convolution,
      weights: { ...kernel, to: sizes(-1, 5, 1), back: sizes(0, 5), flat: sizes(0, -1) },
      nodes: [
        conv,
        ["Reshape", ["c", "to"], ["d"]],
        ["Reshape", ["d", "back"], ["e"]],
        ["Reshape", ["e", "flat"], ["y"]],
      ],
    },
  };
  for (const [name, text] of Object.entries(cases)) {
    test(name, async () => {
      const model = onnxModel(text);
      replaceHead(model, 7);
      const shape = text.inputs!.x.map((size) => (size === "N" ? 2 : Number(size)));
      const { y } = await runModel(writeModel(model), { x: weights(...shape) });
      assert.deepEqual(y.shape, [2, 7]);
    });
  }
  for (const file of ["neg", "zero"]) {
    test(`head_reshape_${file}.onnx of 7 classes becomes one of 10`, async () => {
      const path = new URL(
        `../../fixtures/field/head-behind-reshape/head_reshape_${file}.onnx`,
        import.meta.url,
      );
      const model = readModel(readFileSync(path));
      assert.equal(replaceHead(model, 10).classes, 7);
      const { y } = await runModel(writeModel(model), { x: weights(2, 1, 8, 8) });
      assert.deepEqual(y.shape, [2, 10]);
    });
  }
});

describe("what is made for the old classes is refused with what to do", () => {
  const kernel = { w: weights(5, 4, 1, 1) };
  const conv = ["Conv", ["x", "w"], ["c"], {}, "fc"] as const;
  const cases: Record<string, [ModelText, RegExp]> = {
    "a product of classes and places": [
      {
        inputs: { x: ["N", 4, 2, 2] },
        weights: { ...kernel, to: sizes(-1, 20) },
        nodes: [conv, ["Reshape", ["c", "to"], ["y"], {}, "flat"]],
        outputs: ["y"],
      },
      /^node "flat" \(Reshape\) behind the head has the sizes \[-1, 20\], .*; export the model for 7 classes$/,
    ],
    "two sizes that may be the classes": [
      {
        inputs: { x: [5, 4, 1, 1] },
        weights: { ...kernel, to: sizes(5, 5) },
        nodes: [conv, ["Reshape", ["c", "to"], ["y"], {}, "flat"]],
        outputs: ["y"],
      },
      /^node "flat" \(Reshape\) behind the head has the sizes \[5, 5\]/,
    ],
    "a scale of each class": [
      {
        ...convolution,
        weights: { ...kernel, scale: weights(1, 5, 1, 1) },
        nodes: [conv, ["Mul", ["c", "scale"], ["y"], {}, "scaled"]],
      },
      /^node "scaled" \(Mul\) behind the head reads "scale", float32 \[1, 5, 1, 1\], which is made for 5 classes; export/,
    ],
  };
  for (const [name, [text, sentence]] of Object.entries(cases)) {
    test(name, () =>
      assert.throws(() => replaceHead(onnxModel(text), 7, { name: "fc" }), { message: sentence }),
    );
  }
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
      /^node "fc" \(MatMul\) cannot be re-initialized as a head: "w" is also used elsewhere$/,
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
