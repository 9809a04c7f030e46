import assert from "node:assert/strict";
import { test } from "node:test";
import { randomStream } from "../common/random.ts";
import { elementCount, type Shape, type Value } from "../graph/graph.ts";
import { leavesOf, nodesOf } from "../graph/walk.ts";
import { drawRandomInputs } from "../nn/module.ts";
import { readModel, writeModel } from "../onnx/model.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { float, int } from "../ops/operator.ts";
import { assertClose, evaluate } from "../testing/numeric.ts";
import { onnxModel } from "../testing/onnx-models.ts";
import { loadModel } from "./load.ts";

// What can be chosen of how a model trains.

const random = randomStream(5, "import options");
const normal = (shape: Shape) =>
  tensorData(
    Array.from({ length: elementCount(shape) }, () => random.normal()),
    shape,
    "float32",
  );
const filled = (value: number, shape: Shape) =>
  tensorData(new Array(elementCount(shape)).fill(value), shape, "float32");
const input = normal([6, 4]);

/** Linear, BatchNorm with ONNX's momentum 0.8, Dropout of a half, linear, and the function at the end. */
const bytes = (last = "Softmax") =>
  writeModel(
    onnxModel({
      opset: 11,
      inputs: { x: ["batch", 4] },
      weights: {
        "body.weight": normal([3, 4]),
        "body.bias": normal([3]),
        "norm.weight": normal([3]),
        "norm.bias": normal([3]),
        "norm.mean": filled(2, [3]),
        "norm.var": filled(3, [3]),
        "head.weight": normal([3, 2]),
        scale: filled(0.5, []),
      },
      nodes: [
        ["Gemm", ["x", "body.weight", "body.bias"], ["a"], { transB: int(1) }, "body"],
        [
          "BatchNormalization",
          ["a", "norm.weight", "norm.bias", "norm.mean", "norm.var"],
          ["b"],
          { momentum: float(0.8) },
        ],
        ["Dropout", ["b"], ["d"], { ratio: float(0.5) }, "drop"],
        ["MatMul", ["d", "head.weight"], ["h"]],
        ["Mul", ["h", "scale"], ["s"]],
        [last, ["s"], ["y"], {}],
      ],
      outputs: ["y"],
    }),
  );

const inputNames = (value: Value) =>
  leavesOf(nodesOf([value]), [value]).flatMap(({ origin }) => (origin.kind === "input" ? [origin.name] : []));

test("by default every weight trains; running statistics are buffers, single numbers constants", async () => {
  const model = await loadModel(bytes(), { batchSize: 6 });
  assert.deepEqual(
    model.parameters.map(({ name, role, trainable }) => `${name} ${role} ${trainable}`),
    [
      "body.weight weight true",
      "body.bias bias true",
      "norm.weight norm-weight true",
      "norm.bias norm-bias true",
      "norm.mean running-statistic false",
      "norm.var running-statistic false",
      "head.weight weight true",
      "scale constant false",
    ],
  );
  const network = model.build({ training: true });
  assert.deepEqual([...network.bufferUpdates.keys()], ["norm.mean", "norm.var"]);
  assert.deepEqual(
    [...network.parameters.keys()],
    model.trainable.map(({ name }) => name),
  );
});

test("running statistics move by the file's momentum, toward the unbiased variance", async () => {
  const model = await loadModel(bytes(), { batchSize: 6 });
  const network = model.build({ training: true });
  network.graph.outputs.clear();
  const { origin } = [...network.bufferUpdates.values()][0];
  assert.equal(origin.kind, "node");
  const batch = nodesOf([...network.bufferUpdates.values()]).find((node) => node.operator === "Gemm")!
    .outputs[0];
  const got = await evaluate(
    {
      batch,
      mean: network.bufferUpdates.get("norm.mean")!,
      variance: network.bufferUpdates.get("norm.var")!,
    },
    { ...model.tensors, x: input },
  );
  const columns = [0, 1, 2].map((column) => got.batch.filter((_, index) => index % 3 === column));
  const means = columns.map((values) => values.reduce((sum, value) => sum + value, 0) / 6);
  const variances = columns.map(
    (values, column) => values.reduce((sum, value) => sum + (value - means[column]) ** 2, 0) / 5,
  );
  assertClose(
    got.mean,
    means.map((mean) => 0.8 * 2 + 0.2 * mean),
    1e-5,
  );
  assertClose(
    got.variance,
    variances.map((variance) => 0.8 * 3 + 0.2 * variance),
    1e-5,
  );
});

test("frozen batch normalization and no dropout: training computes what inference does", async () => {
  const model = await loadModel(bytes(), { batchSize: 6, batchNormalization: "frozen", dropout: false });
  const [trained, inferred] = [true, false].map((training) => model.build({ training }));
  assert.equal(trained.bufferUpdates.size + trained.randomInputs.length, 0);
  const results = await Promise.all(
    [trained, inferred].map((network) => {
      const y = network.logits.get("y")!;
      y.graph.outputs.clear();
      return evaluate({ y }, { ...model.tensors, x: input });
    }),
  );
  assert.deepEqual(results[0], results[1]);
  assert.ok(!("norm.mean" in model.tensors));
});

test("dropout draws from an input of its own and keeps the mean", async () => {
  const model = await loadModel(bytes(), { batchSize: 6 });
  const network = model.build({ training: true });
  assert.deepEqual(
    network.randomInputs.map(({ origin, shape }) => [origin.kind === "input" && origin.name, shape]),
    [["d.uniform", [6, 3]]],
  );
  const drawn = drawRandomInputs(network, random);
  network.graph.outputs.clear();
  const product = nodesOf([network.logits.get("y")!]).find((node) => node.operator === "MatMul")!;
  const before = nodesOf([product.outputs[0]]).find((node) => node.operator === "BatchNormTraining")!;
  const got = await evaluate(
    { before: before.outputs[0], after: product.inputs[0]! },
    { ...model.tensors, ...drawn, x: input },
  );
  const kept = Array.from(drawn["d.uniform"].data as Float32Array, (value) => (value >= 0.5 ? 2 : 0));
  assertClose(
    got.after,
    got.before.map((value, index) => value * kept[index]),
    1e-6,
  );
});

test("a loss is taken of what stands before the last Softmax, LogSoftmax or Sigmoid", async () => {
  for (const last of ["Softmax", "LogSoftmax", "Sigmoid"]) {
    const network = (await loadModel(bytes(last), { batchSize: 6 })).build({ training: false });
    const { origin } = network.logits.get("y")!;
    assert.equal(origin.kind === "node" && origin.node.operator, "Mul");
  }
  const { outputs, logits } = (await loadModel(bytes("Relu"), { batchSize: 6 })).build({ training: false });
  assert.equal(outputs.get("y"), logits.get("y"));
});

test("parameters are chosen by patterns; the others are constants of the graph", async () => {
  const names = async (options: Parameters<typeof loadModel>[1]) => {
    const model = await loadModel(bytes(), { batchSize: 6, ...options });
    const network = model.build({ training: true });
    assert.deepEqual(
      Object.keys(model.tensors).sort(),
      inputNames(network.logits.get("y")!)
        .filter((name) => name !== "x" && name !== "d.uniform")
        .concat(...network.bufferUpdates.keys())
        .sort(),
    );
    return [...network.parameters.keys()];
  };
  assert.deepEqual(await names({ trainable: "head.*" }), ["head.weight"]);
  assert.deepEqual(await names({ frozen: ["body.*", "norm.*"] }), ["head.weight"]);
  // A step has a result called scale, so that the parameter goes by another name.
  assert.deepEqual(await names({ trainable: ["body.*", "scale"], frozen: "*.bias" }), [
    "body.weight",
    "scale_",
  ]);
});

test("only the weights change in the file that is written", async () => {
  const source = bytes();
  const model = await loadModel(source, { trainable: "head.*" });
  const head = normal([3, 2]);
  const written = readModel(model.write({ "head.weight": head, "head.weight.momentum": head }));
  const original = readModel(source);
  original.graph!.initializer.find(({ name }) => name === "head.weight")!.rawData = new Uint8Array(
    (head.data as Float32Array).buffer,
  );
  assert.deepEqual(Buffer.from(writeModel(written)), Buffer.from(writeModel(original)));
  assert.throws(() => model.write({ "head.weight": normal([2, 3]) }), {
    message: 'tensor "head.weight": the model stores float32 [3, 2], got float32 [2, 3]',
  });
});

test("scales of Resize that a file puts together are no parameters", async () => {
  const model = await loadModel(
    writeModel(
      onnxModel({
        inputs: { x: ["batch", 2, 3, 3] },
        weights: { kernel: normal([2, 2, 1, 1]), outer: filled(1, [2]), inner: filled(2, [2]) },
        nodes: [
          ["Conv", ["x", "kernel"], ["a"]],
          ["Concat", ["outer", "inner"], ["scales"], { axis: int(0) }],
          ["Resize", ["a", "", "scales"], ["y"]],
        ],
        outputs: ["y"],
      }),
    ),
  );
  assert.deepEqual(
    model.trainable.map(({ name }) => name),
    ["kernel"],
  );
  assert.deepEqual(model.build({ training: true, batchSize: 1 }).outputs.get("y")!.shape, [1, 2, 6, 6]);
});

test("masks of an attention are no parameters, biases of its places are", async () => {
  const mask = tensorData([0, -100, 0, 0, 0, -100, 0, 0, 0], [1, 3, 3], "float32");
  const model = await loadModel(
    writeModel(
      onnxModel({
        inputs: { scores: ["batch", 3, 3] },
        weights: { places: normal([1, 3, 3]), mask },
        nodes: [
          ["Add", ["scores", "places"], ["a"]],
          ["Add", ["a", "mask"], ["b"]],
          ["Softmax", ["b"], ["y"], { axis: int(-1) }],
        ],
        outputs: ["y"],
      }),
    ),
  );
  assert.deepEqual(
    model.trainable.map(({ name, kind }) => [name, kind]),
    [["places", "weight"]],
  );
});
