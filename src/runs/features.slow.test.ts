import assert from "node:assert/strict";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { randomStream } from "../common/random.ts";
import { conv2d, dropout, flatten, linear, relu, sequential } from "../nn/layers.ts";
import type { Layer } from "../nn/module.ts";
import { writeModel } from "../onnx/model.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { mul, sub } from "../ops/arithmetic.ts";
import { reduceMean } from "../ops/reduction.ts";
import { bilateralSam } from "../optim/bilateral-sam.ts";
import { sam } from "../optim/sam.ts";
import { sgd } from "../optim/sgd.ts";
import { fileRows } from "../platform/node-files.ts";
import { temporaryFolder } from "../testing/cli.ts";
import { assertClose } from "../testing/numeric.ts";
import { onnxModel } from "../testing/onnx-models.ts";
import type { StepRecord } from "../train/records.ts";
import { type TrainOptions, train } from "./train.ts";

// What frozen stages give is computed once: the same training as when it is computed at each step.

const folder = temporaryFolder();
const quick = {
  data: "digits",
  limit: 100,
  batchSize: 32,
  epochs: 3,
  threads: 1,
  learningRate: 0.05,
  optimizer: bilateralSam(sgd({ momentum: 0.9 }), { rhoMax: 0.05 }),
  sharpness: { images: 64 },
} as const;

async function recorded(options: TrainOptions) {
  const [steps, notes]: [StepRecord[], string[]] = [[], []];
  const passes: [number, number][] = [];
  const result = await train({
    ...quick,
    ...options,
    onStep: (record) => steps.push(record),
    onNote: (note) => notes.push(note),
    onFeatures: (...done) => passes.push(done),
  });
  return { ...result, steps, notes, passes };
}

const random = randomStream(5, "a file with frozen features");
const floats = (...shape: number[]) =>
  tensorData(
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => random.normal() / 4),
    shape,
    "float32",
  );

/** A file for three images at a time. */
function fileOfThree(): string {
  const path = join(folder, "three.onnx");
  if (existsSync(path)) return path;
  const model = onnxModel({
    inputs: { x: [3, 1, 8, 8] },
    weights: {
      w: floats(4, 1, 3, 3),
      own: tensorData([3, 144], [2], "int64"),
      v: floats(144, 10),
      c: floats(10),
    },
    nodes: [
      ["Conv", ["x", "w"], ["h"]],
      ["Relu", ["h"], ["r"]],
      ["Reshape", ["r", "own"], ["f"]],
      ["Gemm", ["f", "v", "c"], ["y"]],
    ],
    outputs: ["y"],
  });
  writeFileSync(path, writeModel(model));
  return path;
}

const withDropout: Layer = sequential({
  conv1: conv2d(1, 4, 3),
  relu: relu(),
  drop1: dropout(0.3),
  conv2: conv2d(4, 4, 3),
  f: flatten(),
  drop2: dropout(0.3),
  fc: linear(64, 10),
});

const cases: Record<string, TrainOptions & { features: string }> = {
  "the head of cnn": {
    model: "cnn",
    parameters: { train: "head" },
    features: "64 numbers for each of 100 images",
  },
  "the last two stages of cnn, with BatchNorm": {
    model: "cnn",
    parameters: { train: "last:2" },
    features: "256 numbers for each of 100 images",
  },
  "SAM with micro-batches": {
    model: "cnn",
    parameters: { train: "last:2" },
    microBatches: 4,
    perturbationPer: "micro-batch",
    optimizer: sam(sgd(), { rho: 0.1 }),
    features: "256 numbers",
  },
  "class weights in micro-batches": {
    model: "cnn",
    parameters: { train: "head" },
    microBatches: 4,
    classWeights: "balanced",
    features: "64 numbers",
  },
  "Dropout before the head": { model: withDropout, parameters: { train: "head" }, features: "64 numbers" },
  "parameters frozen by a group": {
    model: "mlp",
    parameters: { groups: [{ names: "fc1.*", frozen: true }] },
    features: "256 numbers",
  },
  "a file for three images at a time": {
    model: { file: fileOfThree() },
    parameters: { train: "head" },
    batchSize: 30,
    features: "144 numbers",
  },
  "parameters of a file frozen by pattern, balanced classes, noise": {
    model: { file: fileOfThree(), frozen: "w" },
    batchSize: 30,
    sampler: "balanced",
    labelNoise: 0.3,
    features: "144 numbers",
  },
};

describe("kept features train like computed ones", () => {
  for (const [name, { features, ...options }] of Object.entries(cases)) {
    test(name, async () => {
      const kept = await recorded(options);
      const computed = await recorded({
        ...options,
        parameters: { ...options.parameters, features: "compute" },
      });
      const note = kept.notes.find((line) =>
        line.startsWith("what the frozen stages give is computed once and kept: "),
      );
      assert.ok(note?.includes(`${features}`), kept.notes.join("\n"));
      assert.ok(!computed.notes.some((line) => line.includes("kept: ")), computed.notes.join("\n"));
      assert.deepEqual(kept.passes.at(-1), [100, 100]);
      assert.equal(computed.passes.length, 0);
      assertClose(
        kept.steps.map(({ loss }) => loss),
        computed.steps.map(({ loss }) => loss),
        1e-5,
      );
      for (const [tensor, { data }] of Object.entries(computed.tensors))
        assertClose(
          Array.from(kept.tensors[tensor].data as Float32Array),
          Array.from(data as Float32Array),
          1e-5,
        );
      assert.equal(kept.summary!.metrics.accuracy, computed.summary!.metrics.accuracy);
      assertClose([kept.summary!.sharpness!.maxSharpness], [computed.summary!.sharpness!.maxSharpness], 1e-3);
    });
  }
});

test("augmented images have no features to keep", async () => {
  const { notes, passes } = await recorded({
    model: "cnn",
    epochs: 1,
    augmentation: { flip: true },
    parameters: { train: "head" },
  });
  assert.ok(
    notes.includes("the frozen stages are computed at each step, since images are augmented"),
    notes.join("\n"),
  );
  assert.equal(passes.length, 0);
});

test("features that depend on the batch are not kept", async () => {
  const centered: Layer = (x, scope) => {
    const hidden = scope.within("fc1", linear(64, 8), flatten()(x, scope));
    return scope.within("fc2", linear(8, 10), mul(sub(hidden, reduceMean(hidden, [0], true)), 2));
  };
  const { notes } = await recorded({ model: centered, epochs: 1, parameters: { train: "head" } });
  assert.ok(
    notes.includes(
      "the frozen stages are computed at each step: what they give for an image depends on its batch",
    ),
    notes.join("\n"),
  );
});

test("nothing frozen, nothing kept", async () => {
  const { notes } = await recorded({ model: "mlp", epochs: 1 });
  assert.ok(!notes.some((note) => note.includes("frozen")), notes.join("\n"));
});

test("a run that is resumed ends with the same bits", async () => {
  const options = { model: "cnn", parameters: { train: "last:2" } } as const;
  const whole = await recorded(options);
  const out = join(folder, "resumed");
  const controller = new AbortController();
  await train({ ...quick, ...options, out, signal: controller.signal, onEpoch: () => controller.abort() });
  const { tensors } = await recorded({ ...options, out, existing: "resume" });
  assert.deepEqual(tensors, whole.tensors);
});

test("a file of features gives back what was written, in any order, and is removed", () => {
  const store = fileRows?.(folder, "rows", 3);
  assert.ok(store);
  store.write(0, Float32Array.of(1, 2, 3));
  store.write(1, Float32Array.of(4, 5, 6));
  assert.deepEqual(store.read(1), Float32Array.of(4, 5, 6));
  assert.deepEqual(store.read(0), Float32Array.of(1, 2, 3));
  store.close();
  assert.ok(!readdirSync(folder).includes("rows"));
});
