import assert from "node:assert/strict";
import { test } from "node:test";
import { writeModel } from "../onnx/model.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { type ModelText, onnxModel } from "../testing/onnx-models.ts";
import { inspectModel } from "./inspect.ts";

const zeros = (...shape: number[]) =>
  tensorData(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape, "float32");

const inspect = (model: ModelText, options = {}) => inspectModel(writeModel(onnxModel(model)), options);

const classifier: ModelText = {
  inputs: { image: ["N", 3, "height", 8] },
  weights: {
    "conv.weight": zeros(16, 3, 3, 3),
    "conv.bias": zeros(16),
    "bn.weight": zeros(16),
    "bn.bias": zeros(16),
    "bn.mean": zeros(16),
    "bn.var": zeros(16),
    "fc.weight": zeros(16, 10),
  },
  nodes: [
    ["Conv", ["image", "conv.weight", "conv.bias"], ["a"], { pads: { ints: [1, 1, 1, 1] } }, "conv"],
    ["BatchNormalization", ["a", "bn.weight", "bn.bias", "bn.mean", "bn.var"], ["b"], {}, "bn"],
    ["Relu", ["b"], ["c"]],
    ["GlobalAveragePool", ["c"], ["d"]],
    ["Flatten", ["d"], ["e"]],
    ["MatMul", ["e", "fc.weight"], ["f"], {}, "fc"],
    ["Softmax", ["f"], ["probabilities"]],
  ],
  outputs: ["probabilities"],
};

test("a classifier: what goes in and out, parameters with their roles, multiply-adds, logits", async () => {
  const model = await inspect(classifier, { batchSize: 2, dimensions: { height: 6 } });
  assert.deepEqual(model.inputs, [{ name: "image", type: "float32", shape: ["N", 3, "height", 8] }]);
  assert.deepEqual(model.outputs, [{ name: "probabilities", type: "float32", shape: [2, 10] }]);
  assert.deepEqual(
    model.parameters.map(({ name, role, trainable, reason }) => [name, role, trainable, reason]),
    [
      ["conv.weight", "weight", true, undefined],
      ["conv.bias", "bias", true, undefined],
      ["bn.weight", "norm-weight", true, undefined],
      ["bn.bias", "norm-bias", true, undefined],
      ["bn.mean", "running-statistic", false, "running statistic"],
      ["bn.var", "running-statistic", false, "running statistic"],
      ["fc.weight", "weight", true, undefined],
    ],
  );
  const trained = 16 * 27 + 16 + 16 + 16 + 160;
  assert.deepEqual(model.totals, {
    parameters: trained + 32,
    trainable: trained,
    bytes: 4 * (trained + 32),
  });
  assert.deepEqual(model.multiplyAdds?.byOperator, { Conv: 2 * 16 * 6 * 8 * 27, MatMul: 2 * 16 * 10 });
  assert.deepEqual(model.training, {
    possible: true,
    logits: [{ output: "probabilities", shape: [2, 10], without: "Softmax" }],
    blockers: [],
    notes: ["trains 640 of 672 elements; frozen: running statistics 32"],
  });
});

test("a size that the file leaves open is told, and the rest is described all the same", async () => {
  const { training, multiplyAdds, totals, operators } = await inspect(classifier);
  assert.equal(training.possible, false);
  assert.match(training.reason!, /^input "image": axis 2 is "height"; give dimensions/);
  assert.equal(multiplyAdds, undefined);
  assert.ok(totals.trainable > 0);
  assert.deepEqual(operators[0], { name: "BatchNormalization", count: 1, gradient: "yes" });
});

test("multiply-adds of groups, transposed convolution, batched products and Einsum", async () => {
  const { multiplyAdds } = await inspect({
    inputs: { x: [1, 4, 5, 5], a: [2, 3, 4], b: [2, 4, 6] },
    weights: { grouped: zeros(8, 1, 3, 3), back: zeros(8, 2, 2, 2) },
    nodes: [
      ["Conv", ["x", "grouped"], ["y"], { group: { int: 4 } }],
      ["ConvTranspose", ["y", "back"], ["z"], { strides: { ints: [2, 2] } }],
      ["MatMul", ["a", "b"], ["m"]],
      ["Einsum", ["a", "b"], ["e"], { equation: { string: "bij,bjk->bik" } }],
    ],
    outputs: ["z", "m", "e"],
  });
  assert.deepEqual(multiplyAdds?.byOperator, {
    Conv: 8 * 9 * 9,
    ConvTranspose: 8 * 9 * 2 * 4,
    MatMul: 2 * 3 * 4 * 6,
    Einsum: 2 * 3 * 4 * 6,
  });
});

test("what is frozen, what is a constant and what nothing reads is said", async () => {
  const { parameters, training } = await inspect(
    {
      inputs: { x: [4, 2] },
      weights: { w: zeros(2, 3), b: zeros(3), unread: zeros(5, 5), high: tensorData([6], [], "float32") },
      nodes: [
        ["MatMul", ["x", "w"], ["h"]],
        ["Add", ["h", "b"], ["i"]],
        ["Min", ["i", "high"], ["y"]],
      ],
      outputs: ["y"],
    },
    { frozen: "b" },
  );
  assert.deepEqual(
    parameters.map(({ name, trainable, reason }) => [name, trainable, reason]),
    [
      ["w", true, undefined],
      ["b", false, "frozen"],
      ["unread", false, "no output depends on it"],
      ["high", false, "single element"],
    ],
  );
  assert.equal(training.possible, true);
});

test("an operator without a rule: node, path, and that the model is not read", async () => {
  const { training, operators } = await inspect({
    inputs: { x: [4, 2] },
    weights: { w: zeros(2, 3) },
    nodes: [
      ["MatMul", ["x", "w"], ["h"], {}, "fc"],
      ["Frobnicate", ["h"], ["f"], {}, "odd"],
      ["Relu", ["f"], ["y"], {}, "act"],
    ],
    outputs: ["y"],
  });
  assert.equal(training.possible, false);
  assert.deepEqual(training.blockers, [
    {
      operator: "Frobnicate",
      node: 'node "odd" (Frobnicate)',
      path: '"w" → fc → odd → act → "y"',
      parameters: [],
      advice: "it has no rule here: export the model without it",
    },
  ]);
  assert.equal(operators.find(({ name }) => name === "Frobnicate")?.gradient, "none");
});

test("parameters that no gradient comes back to are named with the node that ends the way", async () => {
  const { parameters, training } = await inspect({
    inputs: { x: [4, 2] },
    weights: { before: zeros(2, 3), after: zeros(3, 3) },
    nodes: [
      ["MatMul", ["x", "before"], ["h"], {}, "first"],
      ["Sign", ["h"], ["s"], {}, "wall"],
      ["MatMul", ["s", "after"], ["y"], {}, "second"],
    ],
    outputs: ["y"],
  });
  assert.equal(training.possible, true);
  assert.deepEqual(training.blockers, [
    {
      operator: "Sign",
      node: 'node "wall" (Sign)',
      parameters: ["before"],
      advice: "no gradient comes back through Sign: what is before it does not train",
    },
  ]);
  assert.deepEqual(
    parameters.map(({ name, trainable }) => [name, trainable]),
    [
      ["before", false],
      ["after", true],
    ],
  );
});
