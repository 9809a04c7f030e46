import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { randomStream } from "../common/random.ts";
import { compile } from "../lower/compile.ts";
import { writeModel } from "../onnx/model.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { assertClose } from "../testing/numeric.ts";
import { type ModelText, type NodeText, onnxModel, runModel } from "../testing/onnx-models.ts";
import { type LoadModelOptions, loadModel } from "./load.ts";
import { classLogits } from "./logits.ts";

// The loss that is taken of an output, against what ONNX Runtime gives for the file as it is: a row's own −ln p.

const [batch, features, classes] = [4, 8, 5];
const random = randomStream(7, "ends of classifiers");
const floats = (...shape: number[]) =>
  tensorData(
    Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () => random.normal()),
    shape,
    "float32",
  );
const numbers = (...values: number[]) => tensorData(values, [values.length], "int64");
const scalar = (value: number) => tensorData([value], [], "float32");

const x = floats(batch, features);
const shared: Record<string, TensorData> = {
  w: floats(features, classes),
  w2: floats(features, classes),
  bias: floats(classes),
  rows: numbers(-1, classes),
  four: numbers(0, classes, 1, 1),
  last: numbers(0, 1, 1, classes),
  axis1: numbers(1),
  axes23: numbers(2, 3),
  start: numbers(0),
  second: numbers(1),
  end: numbers(2 ** 31),
  hundred: scalar(100),
  hundredth: scalar(0.01),
  half: scalar(0.5),
  one: scalar(1),
  tiny: scalar(1e-7),
  almost: scalar(1 - 1e-7),
  quarter: scalar(0.25),
};

/** A linear layer z [4, 5] and, behind it, the given nodes up to y. */
function classifier(nodes: readonly NodeText[], opset = 17): ModelText {
  const all: NodeText[] = [["MatMul", ["x", "w"], ["z"]], ["MatMul", ["x", "w2"], ["z2"]], ...nodes];
  const used = new Set(all.flatMap(([, inputs]) => inputs));
  const weights = Object.fromEntries(Object.entries(shared).filter(([name]) => used.has(name)));
  return { opset, inputs: { x: ["batch", features] }, weights, nodes: all, outputs: ["y"] };
}

async function endOf(text: ModelText, options: LoadModelOptions = {}, training = false) {
  const model = onnxModel(text);
  const loaded = await loadModel(writeModel(model), { batchSize: batch, ...options });
  return { model, loaded, network: loaded.build({ training }) };
}

/** The softmax cross entropy of every class of every row, by its definition. */
function losses({ data }: TensorData): number[] {
  const rows = Array.from({ length: batch }, (_, row) =>
    Array.from((data as Float32Array).slice(row * classes, (row + 1) * classes), Number),
  );
  return rows.flatMap((row) => {
    const sum = row.reduce((total, logit) => total + Math.exp(logit), 0);
    return row.map((logit) => Math.log(sum) - logit);
  });
}

async function lossesOfTraining(text: ModelText, options?: LoadModelOptions, training?: boolean) {
  const { loaded, network } = await endOf(text, options, training);
  const { logits } = classLogits(network);
  assert.deepEqual(logits.shape, [batch, classes]);
  const feeds = { x, ...loaded.tensors };
  network.graph.outputs.clear();
  network.graph.output("logits", logits);
  return { losses: losses((await runModel(compile(network.graph), feeds)).logits), network };
}

const softmaxTo = (to: string, from = "z"): NodeText => ["Softmax", [from], [to], { axis: { int: -1 } }];
const found: Record<
  string,
  readonly [readonly NodeText[], { scale?: number; opset?: number; without?: string }?]
> = {
  "a Softmax": [[softmaxTo("y")]],
  "a Softmax before a Reshape": [[softmaxTo("p"), ["Reshape", ["p", "rows"], ["y"]]]],
  "a Softmax before a Reshape to four axes": [[softmaxTo("p"), ["Reshape", ["p", "four"], ["y"]]]],
  "a Softmax of four axes before a Squeeze": [
    [
      ["Reshape", ["z", "four"], ["f"]],
      ["Softmax", ["f"], ["p"], { axis: { int: 1 } }],
      ["Squeeze", ["p", "axes23"], ["y"]],
    ],
  ],
  "channels last": [[["Reshape", ["z", "last"], ["f"]], softmaxTo("y", "f")]],
  "four axes in opset 11, which flattens from the axis": [
    [
      ["Reshape", ["z", "four"], ["f"]],
      ["Softmax", ["f"], ["p"], { axis: { int: 1 } }],
      ["Flatten", ["p"], ["y"]],
    ],
    { opset: 11 },
  ],
  "channels last in opset 11": [
    [
      ["Reshape", ["z", "last"], ["f"]],
      ["Softmax", ["f"], ["y"], { axis: { int: 1 } }],
    ],
    { opset: 11 },
  ],
  "a Softmax before Flatten, Unsqueeze, Squeeze and Identity": [
    [
      softmaxTo("p"),
      ["Flatten", ["p"], ["a"]],
      ["Unsqueeze", ["a", "axis1"], ["b"]],
      ["Squeeze", ["b", "axis1"], ["c"]],
      ["Identity", ["c"], ["y"]],
    ],
  ],
  "a Softmax over the first axis that is turned": [
    [
      ["Transpose", ["z"], ["t"], { perm: { ints: [1, 0] } }],
      ["Softmax", ["t"], ["p"], { axis: { int: 0 } }],
      ["Transpose", ["p"], ["y"], { perm: { ints: [1, 0] } }],
    ],
  ],
  "a Softmax before Concat of one, and a Slice of all": [
    [
      softmaxTo("p"),
      ["Concat", ["p"], ["a"], { axis: { int: 1 } }],
      ["Slice", ["a", "start", "end", "axis1"], ["y"]],
    ],
  ],
  "a Softmax before casts": [
    [softmaxTo("p"), ["Cast", ["p"], ["a"], { to: { int: 11 } }], ["Cast", ["a"], ["y"], { to: { int: 1 } }]],
  ],
  "a Softmax that is clipped": [[softmaxTo("p"), ["Clip", ["p", "tiny", "almost"], ["y"]]]],
  "a Softmax in percent": [[softmaxTo("p"), ["Mul", ["p", "hundred"], ["y"]]], { scale: 100 }],
  "a Softmax in percent, divided": [[softmaxTo("p"), ["Div", ["p", "hundredth"], ["y"]]], { scale: 100 }],
  "a Softmax before Dropout": [[softmaxTo("p"), ["Dropout", ["p", "half"], ["y"]]]],
  "a Softmax divided by its sum": [
    [softmaxTo("p"), ["ReduceSum", ["p", "axis1"], ["s"]], ["Div", ["p", "s"], ["y"]]],
  ],
  "a Softmax written out": [
    [
      ["Exp", ["z"], ["e"]],
      ["ReduceSum", ["e", "axis1"], ["s"]],
      ["Div", ["e", "s"], ["y"]],
    ],
  ],
  "a Softmax written out with its maximum and a product": [
    [
      ["ReduceMax", ["z"], ["m"], { axes: { ints: [1] } }],
      ["Sub", ["z", "m"], ["d"]],
      ["Exp", ["d"], ["e"]],
      ["ReduceSum", ["e", "axis1"], ["s"]],
      ["Reciprocal", ["s"], ["r"]],
      ["Mul", ["e", "r"], ["p"]],
      ["Reshape", ["p", "rows"], ["y"]],
    ],
  ],
  "the exponential of a LogSoftmax": [
    [
      ["LogSoftmax", ["z"], ["l"], { axis: { int: 1 } }],
      ["Exp", ["l"], ["y"]],
    ],
  ],
};

describe("the loss is −ln p of the file's own probabilities", () => {
  for (const [name, [nodes, { scale = 1, opset } = {}]] of Object.entries(found)) {
    test(name, async () => {
      const text = classifier(nodes, opset);
      const { y } = await runModel(writeModel(onnxModel(text)), { x });
      const expected = Array.from(y.data as Float32Array, (value) => -Math.log(value / scale));
      const { losses: own, network } = await lossesOfTraining(text);
      assertClose(own, expected, 1e-4, name);
      assert.equal(network.ends.get("y")?.without, "Softmax");
      assertClose([network.ends.get("y")?.scale ?? 0], [scale], 1e-6, "scale");
      assertClose((await lossesOfTraining(text, {}, true)).losses, expected, 1e-4, "in training");
    });
  }
});

const logarithms: Record<string, readonly NodeText[]> = {
  "a LogSoftmax": [["LogSoftmax", ["z"], ["y"], { axis: { int: 1 } }]],
  "a LogSoftmax before a Reshape": [
    ["LogSoftmax", ["z"], ["l"], { axis: { int: 1 } }],
    ["Reshape", ["l", "four"], ["y"]],
  ],
  "the logarithm of a Softmax": [softmaxTo("p"), ["Log", ["p"], ["y"]]],
  "the logarithm of a Softmax above 0": [
    softmaxTo("p"),
    ["Add", ["p", "tiny"], ["a"]],
    ["Log", ["a"], ["y"]],
  ],
  "logits less the logarithm of their sum": [
    ["ReduceLogSumExp", ["z"], ["s"], { axes: { ints: [1] } }],
    ["Sub", ["z", "s"], ["y"]],
  ],
};

describe("log-probabilities are logits", () => {
  for (const [name, nodes] of Object.entries(logarithms)) {
    test(name, async () => {
      const text = classifier(nodes);
      const { y } = await runModel(writeModel(onnxModel(text)), { x });
      const expected = Array.from(y.data as Float32Array, (value) => -value);
      const { losses: own, network } = await lossesOfTraining(text);
      // An addend of 1e-7 counts for a probability of 1e-4.
      assertClose(own, expected, 1e-3, name);
      assert.equal(network.ends.get("y")?.kind, "logits");
      assert.match(network.ends.get("y")?.without ?? "", /^(Log)?Softmax$/);
    });
  }
});

const sigmoids: Record<string, readonly NodeText[]> = {
  "a Sigmoid": [["Sigmoid", ["z"], ["y"]]],
  "a Sigmoid before a Reshape, in percent": [
    ["Sigmoid", ["z"], ["p"]],
    ["Reshape", ["p", "four"], ["a"]],
    ["Mul", ["a", "hundred"], ["y"]],
  ],
  "a Sigmoid written out": [
    ["Neg", ["z"], ["n"]],
    ["Exp", ["n"], ["e"]],
    ["Add", ["e", "one"], ["s"]],
    ["Div", ["one", "s"], ["y"]],
  ],
};

describe("of a Sigmoid the loss is that of the logits before it", () => {
  for (const [name, nodes] of Object.entries(sigmoids)) {
    test(name, async () => {
      const { losses: own, network } = await lossesOfTraining(classifier(nodes));
      const plain = classifier([["Identity", ["z"], ["y"]]]);
      const { y } = await runModel(writeModel(onnxModel(plain)), { x });
      assertClose(own, losses(y), 1e-5, name);
      const end = network.ends.get("y");
      assert.deepEqual([end?.kind, end?.without], ["independent", "Sigmoid"]);
    });
  }
});

const untouched: Record<string, readonly NodeText[]> = {
  "a linear layer": [["Add", ["z", "bias"], ["y"]]],
  "attention over the classes": [softmaxTo("p"), ["Mul", ["p", "z2"], ["y"]]],
  "a scaled LogSoftmax": [
    ["LogSoftmax", ["z"], ["l"], { axis: { int: 1 } }],
    ["Mul", ["l", "hundredth"], ["y"]],
  ],
  "a LogSoftmax over the batch": [["LogSoftmax", ["z"], ["y"], { axis: { int: 0 } }]],
};

describe("other outputs are logits as they are", () => {
  for (const [name, nodes] of Object.entries(untouched)) {
    test(name, async () => {
      const text = classifier(nodes);
      const { y } = await runModel(writeModel(onnxModel(text)), { x });
      const { losses: own, network } = await lossesOfTraining(text);
      assertClose(own, losses(y), 1e-4, name);
      assert.equal(network.ends.get("y")?.without, undefined);
    });
  }
});

const refused: Record<string, readonly [readonly NodeText[], RegExp]> = {
  "a Softmax over the batch": [
    [["Softmax", ["z"], ["y"], { axis: { int: 0 } }]],
    /\(Softmax and another axis than that of the classes\)/,
  ],
  "a Softmax of one element each": [
    [
      ["Reshape", ["z", "four"], ["f"]],
      ["Softmax", ["f"], ["y"], { axis: { int: -1 } }],
    ],
    /\(Softmax and another axis/,
  ],
  "a part of the classes": [[softmaxTo("p"), ["Slice", ["p", "second", "end", "axis1"], ["y"]]], /\(Slice\)/],
  "the mean of two": [
    [softmaxTo("a"), softmaxTo("b", "z2"), ["Add", ["a", "b"], ["s"]], ["Mul", ["s", "half"], ["y"]]],
    /\(Mul\)/,
  ],
  "one weight for each class": [[softmaxTo("p"), ["Mul", ["p", "priors"], ["y"]]], /\(Mul\)/],
  "bounds that cut": [[softmaxTo("p"), ["Clip", ["p", "quarter"], ["y"]]], /\(Softmax and Clip\)/],
  "one less": [[softmaxTo("p"), ["Sub", ["one", "p"], ["y"]]], /\(Sub\)/],
  "a root": [[softmaxTo("p"), ["Sqrt", ["p"], ["y"]]], /\(Sqrt\)/],
  "a Softmax turned over": [[softmaxTo("p"), ["Neg", ["p"], ["y"]]], /\(Neg\)/],
  "Sigmoids divided by their sum": [
    [
      ["Sigmoid", ["z"], ["p"]],
      ["ReduceSum", ["p", "axis1"], ["s"]],
      ["Div", ["p", "s"], ["y"]],
    ],
    /\(Sigmoid and Div\)/,
  ],
  "numbers divided by their sum": [
    [
      ["Softplus", ["z"], ["p"]],
      ["ReduceSum", ["p", "axis1"], ["s"]],
      ["Div", ["p", "s"], ["y"]],
    ],
    /\(Div\)/,
  ],
  "a Softmax over the batch by its own sum": [
    [
      ["Exp", ["z"], ["e"]],
      ["ReduceSum", ["e", "start"], ["s"]],
      ["Div", ["e", "s"], ["y"]],
    ],
    /\(Softmax and another axis/,
  ],
};

describe("probabilities that cannot be undone are refused in one sentence", () => {
  for (const [name, [nodes, what]] of Object.entries(refused)) {
    test(name, async () => {
      const text = classifier(nodes);
      const weights = { ...text.weights, priors: tensorData([1, 2, 3, 4, 5], [1, classes], "float32") };
      const { network } = await endOf({ ...text, weights }, { frozen: "priors" });
      assert.throws(() => classLogits(network), {
        name: "UserError",
        message:
          /^output "y" holds probabilities that cannot be undone .*--output.* or export the model without its \w+$/,
      });
      assert.throws(() => classLogits(network), what);
    });
  }
});
