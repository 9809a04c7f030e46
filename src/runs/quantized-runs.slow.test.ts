import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
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
import { readSafetensors } from "../weights/safetensors.ts";
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
      // Sums in another order may round a value at a tie to the next step, which changes the loss of one of 360 images.
      assertClose([evaluated.loss], [own.testLoss], 1e-3);
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
  // Behind the quantizer ε is far less than half a step nearly everywhere.
  for (const { integersChanged } of still.steps) assert.ok(integersChanged! < 0.01, String(integersChanged));
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

test("first steps have the least squared error, and stay where their learning rate is 0", async () => {
  const options = { ...fromWeights, limit: 256 };
  const stepsOf = async (quantization: TrainOptions["quantization"]) => {
    const { tensors } = await recorded({ ...options, quantization });
    return (name: string) => Array.from(tensors[name].data, Number);
  };
  const still = await stepsOf({ ...w4a4, stepLearningRate: 0 });
  const slow = await stepsOf(w4a4);
  const asPublished = await stepsOf({ ...w4a4, firstSteps: "mean", stepLearningRate: 0 });
  const { tensors } = readSafetensors(readFileSync(fromWeights.weights), "weights");
  const { data, shape } = tensors["conv2.weight"];
  const size = data.length / shape[0];
  for (const [channel, step] of still("conv2.weightStep").entries()) {
    const weights = Array.from(data.slice(channel * size, (channel + 1) * size), Number);
    const error = (of: number) =>
      weights.reduce((sum, w) => sum + (w - of * Math.max(-8, Math.min(7, Math.round(w / of)))) ** 2, 0);
    const largest = Math.max(...weights.map(Math.abs)) / 7;
    const least = Math.min(...Array.from({ length: 999 }, (_, at) => error((largest * (at + 1)) / 999)));
    assert.ok(error(step) <= 1.02 * least, `channel ${channel}: ${error(step)} ${least}`);
    assertClose([asPublished("conv2.weightStep")[channel]], [meanStep(weights, 7)], 1e-5);
    const moved = Math.abs(slow("conv2.weightStep")[channel] / step - 1);
    assert.ok(moved > 0 && moved < 0.2, `channel ${channel} moved by ${moved}`);
  }
  // Of 8 bits the published step covers many times the range.
  for (const name of ["conv1.weightStep", "conv1.inputStep", "fc.inputStep"])
    for (const [at, step] of still(name).entries())
      assert.ok(step < 0.6 * asPublished(name)[at], `${name}: ${step} ${asPublished(name)[at]}`);
});

/** The published first step. */
function meanStep(values: readonly number[], high: number): number {
  const mean = values.reduce((sum, value) => sum + Math.abs(value), 0) / values.length;
  return (2 * mean) / Math.sqrt(high);
}

test("what is 0 on all examples has a step for values up to 1, which a note says", async () => {
  const layer = nn.sequential({
    flatten: nn.flatten(),
    fc1: nn.linear(64, 8, { biasInitializer: () => () => -100 }),
    relu: nn.relu(),
    fc2: nn.linear(8, 10),
  });
  for (const firstSteps of ["mse", "mean"] as const) {
    const { notes, tensors } = await recorded({ model: layer, quantization: { ...w4a4, firstSteps } });
    const note =
      "0 on all training examples that were measured, so the step is for values up to 1: fc2.inputStep";
    assert.ok(notes.includes(note), notes.join("\n"));
    // The last layer reads 8 bits. Nothing moves a step whose values are all 0.
    assertClose([Number(tensors["fc2.inputStep"].data[0])], [1 / 255], 1e-6);
  }
});
