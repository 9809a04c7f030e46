import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { randomStream } from "../common/random.ts";
import { loadDataset } from "../data/catalogue.ts";
import type { DatasetPair } from "../data/source.ts";
import { loadModel, TrainableModel } from "../import/load.ts";
import { compile } from "../lower/compile.ts";
import { evaluateModel } from "../model-files/evaluate.ts";
import { createModel } from "../nn/models.ts";
import { buildModel, initialTensors } from "../nn/module.ts";
import { readModel, writeModel } from "../onnx/model.ts";
import { writeTensor } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { temporaryFolder } from "../testing/cli.ts";
import { normalized } from "../testing/images.ts";
import { assertClose } from "../testing/numeric.ts";
import { type ModelText, onnxModel, runModel } from "../testing/onnx-models.ts";
import type { EpochRecord, StepRecord } from "../train/records.ts";
import { type TrainOptions, train } from "./train.ts";

// Runs whose network is an ONNX file.

const folder = temporaryFolder();
const shape = { channels: 1, height: 8, width: 8, classes: 10 };
const inputShape = [1, 8, 8];
const quick = {
  data: "digits",
  limit: 256,
  batchSize: 64,
  epochs: 2,
  threads: 1,
  learningRate: 0.02,
} as const;

/** An untrained network as somebody's file. */
function fileOf(name: "cnn" | "mlp", classes: number, seed: number): string {
  const layer = createModel(name, { ...shape, classes });
  const model = buildModel(layer, { inputShape, batchSize: 1, training: false });
  model.graph.output("logits", model.logits);
  const weights = new Map(Object.entries(initialTensors(model, seed)));
  const path = join(folder, `${name}-${classes}.onnx`);
  if (!existsSync(path)) writeFileSync(path, compile(model.graph, { weights, symbolicBatch: "batch" }));
  return path;
}

async function recorded(options: TrainOptions) {
  const [steps, epochs, notes]: [StepRecord[], EpochRecord[], string[]] = [[], [], []];
  const result = await train({
    ...quick,
    ...options,
    onStep: (record) => steps.push(record),
    onEpoch: (record) => epochs.push(record),
    onNote: (note) => notes.push(note),
  });
  return { ...result, steps, epochs, notes };
}

let digits: DatasetPair;
before(async () => {
  digits = await loadDataset("digits");
});

for (const name of ["mlp", "cnn"] as const) {
  test(`${name} read from a file trains as the same network built by name`, async () => {
    const built = await recorded({ model: name, seed: 5 });
    const read = await recorded({ model: { file: fileOf(name, 10, 5) }, seed: 5 });
    const [images, trains, ...others] = read.notes;
    assert.equal(images, "images 1×8×8, normalized by mean 0.3053 and deviation 0.3761 (dataset)");
    assert.match(
      trains,
      name === "mlp"
        ? /^trains 50,826 of 50,826 elements$/
        : /^trains 70,330 of 70,746 elements; frozen: running statistics 416$/,
    );
    assert.deepEqual(others, []);
    for (const key of ["loss", "lossMax", "lossMin", "gradNorm", "scale"] as const) {
      const numbers = ({ steps }: { steps: StepRecord[] }) => steps.map((step) => step[key]!);
      assertClose(numbers(read), numbers(built), 1e-3, key);
    }
    assertClose([read.summary!.testLoss], [built.summary!.testLoss], 1e-3, "test loss");
    assertClose(
      [read.summary!.sharpness!.maxSharpness],
      [built.summary!.sharpness!.maxSharpness],
      1e-2,
      "MaxS, which needs inference mode",
    );
    for (const [key, { data }] of Object.entries(built.tensors)) {
      assertClose(read.tensors[key].data as Float32Array, data as Float32Array, 1e-3, key);
    }
  });
}

test("the file that is written has the names that came in, and the accuracy of the summary in a bare session", async () => {
  const file = fileOf("cnn", 10, 5);
  const { model, summary } = await recorded({ model: { file }, epochs: 3 });
  const { graph } = readModel(model);
  assert.deepEqual(
    graph!.input.map(({ name }) => name),
    ["input"],
  );
  assert.deepEqual(
    graph!.output.map(({ name }) => name),
    ["logits"],
  );
  const { count, channels, height, width, labels } = digits.test;
  const { logits } = await runModel(model, {
    input: { type: "float32", shape: [count, channels, height, width], data: normalized(digits.test) },
  });
  const rows = logits.data as Float32Array;
  const right = Array.from(labels).filter((label, index) => {
    const row = Array.from(rows.subarray(index * 10, index * 10 + 10));
    return row.indexOf(Math.max(...row)) === label;
  });
  assert.equal(right.length / count, summary!.metrics.accuracy);
});

test("a run builds its file once for each batch size and mode", async (context) => {
  const build = context.mock.method(TrainableModel.prototype, "build");
  await recorded({ model: { file: fileOf("cnn", 10, 5) }, averaging: { name: "exponential" } });
  const built = build.mock.calls.map(({ arguments: [options] }) => JSON.stringify(options));
  assert.deepEqual(built, [...new Set(built)]);
  const modes = build.mock.calls.map(({ arguments: [{ training, batchSize, statisticsMomentum }] }) =>
    [training ? "training" : "inference", batchSize, statisticsMomentum].join(" "),
  );
  // Evaluation takes 250 images and the 110 that are left of 360, training 64; the average's statistics are a batch's own.
  assert.deepEqual(modes.sort(), ["inference 110 ", "inference 250 ", "training 64 ", "training 64 1"]);
});

test("a head of other classes is re-initialized, under its own names, and is said", async () => {
  const { model, notes, summary } = await recorded({ model: { file: fileOf("cnn", 4, 5) } });
  assert.match(
    notes[0],
    /^the head, node "fc\/\w+" \(\w+\), is re-initialized: 64 features → 10 classes in place of 4$/,
  );
  assert.equal(summary!.status, "finished");
  const loaded = await loadModel(model);
  assert.deepEqual(loaded.parameters.find(({ name }) => name === "fc.weight")?.shape, [10, 64]);
});

test("frozen parameters and the statistics of frozen layers keep every bit; the rest trains", async () => {
  const file = fileOf("cnn", 10, 5);
  const before = await loadModel(file);
  const { model, summary } = await recorded({ model: { file, frozen: ["conv*", "bn*"] }, epochs: 1 });
  const after = await loadModel(model);
  for (const { name } of before.parameters) {
    const same = JSON.stringify(before.tensors[name]?.data) === JSON.stringify(after.tensors[name]?.data);
    assert.equal(same, !name.startsWith("fc."), name);
  }
  assert.equal(summary!.parameters, 650);
});

test("layer-wise learning rates: a factor of 0 leaves a layer where it was", async () => {
  const file = fileOf("mlp", 10, 5);
  const groups = [{ names: "fc1.*", learningRate: 0 }];
  const { tensors } = await recorded({ model: { file }, epochs: 1, parameters: { groups } });
  const start = (await loadModel(file)).tensors;
  assert.deepEqual(tensors["fc1.weight"].data, start["fc1.weight"].data);
  assert.notDeepEqual(tensors["fc2.weight"].data, start["fc2.weight"].data);
});

test("a run that was stopped goes on to the same model", async () => {
  const file = fileOf("cnn", 4, 5);
  const whole = await recorded({ model: { file } });
  const stop = new AbortController();
  const out = join(folder, "resumed");
  await train({ ...quick, model: { file }, out, signal: stop.signal, onEpoch: () => stop.abort() });
  const resumed = await recorded({ model: { file }, out, existing: "resume" });
  assert.ok(Buffer.from(resumed.model).equals(Buffer.from(whole.model)));
});

test("averaged weights get statistics of their own", async () => {
  const file = fileOf("cnn", 10, 5);
  const averaging = { name: "exponential", decay: 0.5 } as const;
  const built = await recorded({ model: "cnn", seed: 5, averaging });
  const read = await recorded({ model: { file }, seed: 5, averaging });
  assertClose([read.summary!.averaged!.testLoss], [built.summary!.averaged!.testLoss], 1e-3, "averaged");
});

describe("mistakes are reported in one sentence", () => {
  const cases: [string, () => TrainOptions["model"], RegExp][] = [
    [
      "too few classes",
      () => ({ file: fileOf("cnn", 10, 5), classes: 4 }),
      /^classes is 4; digits has 10, so it has to be at least that$/,
    ],
    ["no such file", () => ({ file: "gone.onnx" }), /^there is no file gone\.onnx$/],
    [
      "a pattern that fits nothing",
      () => ({ file: fileOf("cnn", 10, 5), frozen: "backbone.*" }),
      /^frozen: "backbone\.\*" fits no parameter/,
    ],
    [
      "no such head",
      () => ({ file: fileOf("cnn", 10, 5), head: "classifier" }),
      /^head: the model has no node "classifier"$/,
    ],
    ["everything frozen", () => ({ file: fileOf("cnn", 10, 5), frozen: "*" }), /^all parameters are frozen/],
  ];
  for (const [name, model, sentence] of cases) {
    test(name, () => assert.rejects(recorded({ model: model() }), { name: "UserError", message: sentence }));
  }
});

describe("a file for a batch of its own", () => {
  const field = (name: string) =>
    fileURLToPath(new URL(`../../fixtures/field/fixed-batch/${name}`, import.meta.url));

  /** The same file for any batch: its Reshape to [1, 256] keeps the first axis. */
  function forAnyBatch(): string {
    const model = readModel(readFileSync(field("reshape_one.onnx")));
    const graph = model.graph!;
    graph.initializer = graph.initializer.map((tensor) =>
      tensor.name === "sh" ? writeTensor("sh", tensorData([0, 256], [2], "int64")) : tensor,
    );
    const path = join(folder, "any-batch.onnx");
    writeFileSync(path, writeModel(model));
    return path;
  }

  test("trains by accumulated gradients as the same file for any batch", async () => {
    const own = { ...quick, limit: 64, batchSize: 8, epochs: 1, optimizer: { method: "sam" } } as const;
    const any = await recorded({ ...own, model: { file: forAnyBatch() } });
    const fixed = await recorded({ ...own, model: { file: field("reshape_one.onnx") } });
    assertClose(
      fixed.steps.map(({ loss }) => loss),
      any.steps.map(({ loss }) => loss),
      1e-4,
      "losses",
    );
    assertClose([fixed.summary!.testLoss], [any.summary!.testLoss], 1e-4, "test loss");
    assert.ok(
      fixed.notes.includes(
        "the file takes one example at a time: a batch is computed in micro-batches of one example",
      ),
      fixed.notes.join("; "),
    );
  });

  test("trains and is evaluated, as a converter of CNTK wrote it", async () => {
    const out = join(folder, "cntk");
    const { summary } = await recorded({ model: { file: field("cntk.onnx") }, batchSize: 8, limit: 64, out });
    const { loss, metrics } = await evaluateModel(join(out, "model.onnx"), digits.test, { threads: 1 });
    assertClose([loss, metrics.accuracy], [summary!.testLoss, summary!.metrics.accuracy], 1e-4);
  });

  test("micro-batches of another size are refused", () =>
    assert.rejects(recorded({ model: { file: field("reshape_one.onnx") }, batchSize: 8, microBatches: 2 }), {
      name: "UserError",
      message: "microBatches is 2; the model takes 1 examples at a time, so a batch of 8 has 8 micro-batches",
    }));

  const random = randomStream(9, "files for a batch of one");
  const floats = (...shape: number[]) =>
    tensorData(
      Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () => random.normal() / 4),
      shape,
      "float32",
    );
  const whole = (...values: number[]) => tensorData(values, [values.length], "int64");
  const written = (name: string, text: Omit<ModelText, "inputs" | "outputs">) => {
    const path = join(folder, name);
    writeFileSync(path, writeModel(onnxModel({ ...text, inputs: { x: ["N", 1, 8, 8] }, outputs: ["y"] })));
    return path;
  };
  const ones = (value: number) => tensorData([value, value], [2], "float32");

  test("the state of an LSTM for one image: the loss is that of ONNX Runtime, image by image", async () => {
    const file = written("lstm.onnx", {
      weights: {
        ...{ W: floats(1, 24, 8), R: floats(1, 24, 6), B: floats(1, 48), fc: floats(6, 10) },
        ...{ h0: floats(1, 1, 6), c0: floats(1, 1, 6), one: whole(1), zero: whole(0) },
      },
      nodes: [
        ["Squeeze", ["x", "one"], ["s"]],
        ["Transpose", ["s"], ["t"], { perm: { ints: [1, 0, 2] } }],
        ["LSTM", ["t", "W", "R", "B", "", "h0", "c0"], ["Y", "h"], { hidden_size: { int: 6 } }],
        ["Squeeze", ["h", "zero"], ["f"]],
        ["MatMul", ["f", "fc"], ["y"]],
      ],
    });
    const out = join(folder, "lstm");
    const { summary } = await recorded({ model: { file }, batchSize: 4, limit: 16, epochs: 1, out });
    const { loss } = await evaluateModel(join(out, "model.onnx"), digits.test, { threads: 1 });
    assertClose([loss], [summary!.testLoss], 1e-4);
  });

  test("BatchNorm keeps its running statistics where the batch is one image", async () => {
    const file = written("batch-norm.onnx", {
      weights: {
        ...{ w: floats(2, 1, 3, 3), gamma: ones(1.5), beta: ones(0.5), mean: ones(0.1), variance: ones(2) },
        ...{ shape: whole(1, 128), fc: floats(128, 10) },
      },
      nodes: [
        ["Conv", ["x", "w"], ["c"], { pads: { ints: [1, 1, 1, 1] } }],
        ["BatchNormalization", ["c", "gamma", "beta", "mean", "variance"], ["b"]],
        ["Reshape", ["b", "shape"], ["f"]],
        ["MatMul", ["f", "fc"], ["y"]],
      ],
    });
    const { model, notes, summary } = await recorded({ model: { file }, batchSize: 4, limit: 16, epochs: 1 });
    assert.ok(
      notes.includes("BatchNorm keeps its running statistics: one example has none of its own"),
      notes.join(),
    );
    const stored = (bytes: Uint8Array) =>
      readModel(bytes).graph!.initializer.filter(({ name }) => ["mean", "variance"].includes(name));
    assert.deepEqual(stored(model), stored(readFileSync(file)));
    const { loss } = await evaluateModel(model, digits.test, { threads: 1 });
    assertClose([loss], [summary!.testLoss], 1e-4);
  });
});

test("a network whose output is of another kind than the task takes is refused, with those that fit", async () => {
  await assert.rejects(
    train({ ...quick, model: "simple-baseline-small" }),
    /simple-baseline-small gives a map for each joint or class, the task takes a number for each class; choose one of mlp, /,
  );
});
