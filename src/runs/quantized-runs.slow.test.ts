import assert from "node:assert/strict";
import { join } from "node:path";
import { before, test } from "node:test";
import { loadDataset } from "../data/catalogue.ts";
import type { DatasetPair } from "../data/source.ts";
import { evaluateModel } from "../model-files/evaluate.ts";
import * as nn from "../nn/layers.ts";
import type { Tensors } from "../onnx/tensor.ts";
import { temporaryFolder } from "../testing/cli.ts";
import { assertClose } from "../testing/numeric.ts";
import { recordedRun } from "../testing/recorded-run.ts";
import type { Measurements } from "../train/records.ts";
import { type TrainOptions, train } from "./train.ts";

// Runs of networks of small integers. What a run measures of its network is what ONNX Runtime gives for the file of integers.

const folder = temporaryFolder();
const float = join(folder, "float");
let digits: DatasetPair;
const quick = {
  data: "digits",
  limit: 128,
  batchSize: 32,
  epochs: 1,
  threads: 1,
  learningRate: 0.01,
  sharpness: { images: 64 },
  optimizer: { method: "sgd" },
} as const;

before(async () => {
  digits = await loadDataset("digits");
  await train({ ...quick, model: "cnn", limit: undefined, learningRate: 0.05, out: float });
});

const recorded = (options: TrainOptions) => recordedRun({ ...quick, ...options });

const w4a4 = { weights: 4, activations: 4 };
const fromFile = { model: { file: join(float, "model.onnx") } };
const fromWeights = { model: "cnn" as const, weights: join(float, "model.safetensors") };

const runs: Record<string, TrainOptions> = {
  "a file, bilateral SAM": { ...fromFile, quantization: w4a4, optimizer: { method: "bilateral-sam" } },
  "a network by name in micro-batches, SAM of latent weights": {
    ...{ ...fromWeights, microBatches: 2, optimizer: { method: "sam" } },
    quantization: { ...w4a4, perturb: "latent", perChannel: false },
  },
  "the last stages of a file": { ...fromFile, quantization: w4a4, parameters: { train: "last:2" } },
  "the last stages of a network by name, with an average": {
    ...{ ...fromWeights, quantization: w4a4, parameters: { train: "last:2" } },
    averaging: { name: "exponential", decay: 0.9 },
  },
};

for (const [name, options] of Object.entries(runs)) {
  test(`${name}: the file gives what the run measures`, async () => {
    const { summary, model, averagedModel, skippedSteps } = await recorded(options);
    assert.equal(skippedSteps, 0);
    const files: { bytes: Uint8Array; measured: Pick<Measurements, "testLoss" | "metrics"> }[] = [
      { bytes: model, measured: summary! },
      ...(averagedModel ? [{ bytes: averagedModel, measured: summary!.averaged! }] : []),
    ];
    assert.equal(files.length, "averaging" in options ? 2 : 1);
    for (const { bytes, measured: own } of files) {
      const evaluated = await evaluateModel(bytes, digits.test, { threads: 1 });
      assert.ok(own.metrics.accuracy > 0.8, String(own.metrics.accuracy));
      assertClose([evaluated.loss], [own.testLoss], 1e-4);
      assert.equal(evaluated.metrics.accuracy, own.metrics.accuracy);
    }
  });
}

test("a perturbation of steps is another one, and a run that goes on from its steps keeps them", async () => {
  const options = { ...fromWeights, optimizer: { method: "sam" } } as const;
  const still = await recorded({ ...options, quantization: w4a4 });
  const moved = await recorded({ ...options, quantization: { ...w4a4, perturbSteps: true } });
  assert.equal(still.steps[0].loss, moved.steps[0].loss);
  assert.notEqual(still.steps[0].lossMax, moved.steps[0].lossMax);
  for (const { integersChanged } of still.steps) assert.equal(integersChanged, 0);
  const { model: _, weights: __, ...others } = options;
  const next = await recorded({
    ...{ ...others, model: "cnn", quantization: w4a4, learningRate: 1e-9 },
    weights: { tensors: still.tensors },
  });
  const steps = (tensors: Tensors) =>
    Object.entries(tensors)
      .filter(([name]) => name.endsWith("Step"))
      .flatMap(([, { data }]) => Array.from(data, Number));
  assert.ok(steps(still.tensors).length > 6);
  assertClose(steps(next.tensors), steps(still.tensors), 1e-6);
});

test("what is 0 on all examples has a step of 1, which a note says", async () => {
  const layer = nn.sequential({
    flatten: nn.flatten(),
    fc1: nn.linear(64, 8, { biasInitializer: () => () => -100 }),
    relu: nn.relu(),
    fc2: nn.linear(8, 10),
  });
  const { notes, tensors } = await recorded({
    ...{ model: layer, quantization: w4a4 },
  });
  assert.ok(
    notes.includes("0 on all training examples that were measured, so the step starts at 1: fc2.inputStep"),
    notes.join("\n"),
  );
  assert.equal(tensors["fc2.inputStep"].data[0], 1);
});
