import assert from "node:assert/strict";
import { test } from "node:test";
import { UserError } from "../../common/errors.ts";
import { loadDataset } from "../../data/catalogue.ts";
import { type DatasetPair, selected } from "../../data/source.ts";
import { Graph } from "../../graph/graph.ts";
import { createModel } from "../../nn/models.ts";
import { buildModel, initialTensors } from "../../nn/module.ts";
import { tensorData } from "../../onnx/tensor-data.ts";
import { parseRun } from "../../runs/configuration.ts";
import { openTask } from "../../runs/open-task.ts";
import { train } from "../../runs/train.ts";
import { assertClose, evaluate } from "../../testing/numeric.ts";
import { usingSurface } from "../../testing/surfaces.ts";
import type { StepRecord } from "../../train/records.ts";
import { preparedNetwork, targetInputs } from "../task-network.ts";
import { taskSurface } from "../task-surface.ts";
import { weightOfClasses } from "./class-weights.ts";

const labels = Int32Array.from([0, 0, 0, 0, 0, 0, 1, 1, 1, 2]);
const classNames = ["cat", "dog", "emu"];
const source = { name: "animals", classNames, labels };

test("balanced: n/(k·n_c), whose mean over the samples is 1", () => {
  // scikit-learn: compute_class_weight("balanced", classes=[0, 1, 2], y=labels).
  assertClose(weightOfClasses("balanced", source)!, [10 / 18, 10 / 9, 10 / 3], 1e-12);
  assert.equal(weightOfClasses("none", source), undefined);
});

test("balanced: a class without samples is not counted", () => {
  const more = { ...source, classNames: ["bee", ...classNames], labels: labels.map((label) => label + 1) };
  assertClose(weightOfClasses("balanced", more)!, [1, 10 / 18, 10 / 9, 10 / 3], 1e-12);
});

test("by name: those not named weigh 1; the scale is that of a mean of 1", () => {
  // 6·1 + 3·3 + 1·1 = 16 for 10 samples.
  assertClose(weightOfClasses({ dog: 3 }, source)!, [1 / 1.6, 3 / 1.6, 1 / 1.6], 1e-12);
});

test("a name that is no class, and weights that leave nothing to train on, are refused", () => {
  assert.throws(
    () => weightOfClasses({ dog: 2, cow: 3 }, source),
    new UserError('classWeights: animals has no class "cow"; choose from cat, dog, emu'),
  );
  // Names that every object answers to are no classes either.
  assert.throws(() => weightOfClasses({ constructor: 3 }, source), /has no class "constructor"/);
  assert.throws(
    () => weightOfClasses({ cat: 0, dog: 0, emu: 0 }, source),
    new UserError(
      "classWeights gives 0 to every class that animals has images of; give at least one of them more than 0",
    ),
  );
  const many = { ...source, classNames: Array.from({ length: 1000 }, (_, index) => `c${index}`) };
  assert.throws(() => weightOfClasses({ x: 2 }, many), /choose from c0, .*, c19 and 980 more$/);
});

test("settings: a word that is none, and a negative weight", () => {
  assert.throws(() => parseRun({ classWeights: "even" }), /^UserError: classWeights.*none, balanced/);
  assert.throws(
    () => parseRun({ classWeights: { cat: -1 } }),
    new UserError("classWeights.cat is -1; it has to be at least 0"),
  );
});

/** Digits where 0 has few training images and 1 even fewer. */
async function unevenDigits(): Promise<DatasetPair> {
  const { train: all, test: held } = await loadDataset("digits");
  const places = [...all.labels.keys()].filter((place) => {
    const label = all.labels[place];
    return label > 1 || place % (label === 0 ? 4 : 9) === 0;
  });
  return { train: selected(all, places), test: held };
}

test("the loss of training is PyTorch's weighted mean, that of tests has no weights", async () => {
  const data = await unevenDigits();
  const weights = weightOfClasses("balanced", data.train)!;
  const { task } = await openTask(parseRun({ classWeights: "balanced", labelSmoothing: 0 }), data);
  const logits = Array.from({ length: 30 }, (_, index) => Math.sin(3 * index));
  const classes = [0, 1, 7];
  const graph = new Graph();
  const output = graph.input("logits", "float64", [3, 10]);
  const targets = targetInputs(graph, task, 3);
  const outputs = await evaluate(
    {
      training: task.loss(output, targets, "training"),
      tests: task.loss(output, targets, "test"),
      weight: task.weight!(targets, "training")!,
    },
    { logits: tensorData(logits, [3, 10], "float64"), target: tensorData(classes, [3], "int32") },
  );
  // By hand: l = ln Σ exp(z) − z of the right class; Σ w·l / Σ w.
  const losses = classes.map((right, row) => {
    const own = logits.slice(10 * row, 10 * row + 10);
    return Math.log(own.reduce((sum, z) => sum + Math.exp(z), 0)) - own[right];
  });
  const total = weights[0] + weights[1] + weights[7];
  const expected = (weights[0] * losses[0] + weights[1] * losses[1] + weights[7] * losses[2]) / total;
  assertClose(outputs.training, [expected], 1e-12);
  assertClose(outputs.tests, [(losses[0] + losses[1] + losses[2]) / 3], 1e-12);
  assertClose(outputs.weight, [total], 1e-6);
});

test("a run with class weights is the same in micro-batches", async () => {
  const data = await unevenDigits();
  const steps = async (microBatches: number) => {
    const records: StepRecord[] = [];
    const { summary } = await train({
      ...{ data, model: "mlp", classWeights: "balanced", microBatches, epochs: 1, batchSize: 64, threads: 1 },
      ...{ optimizer: { method: "bilateral-sam" }, sharpness: { images: 64 } },
      onStep: (record) => records.push(record),
    });
    return { records, summary: summary! };
  };
  const [whole, parts] = [await steps(1), await steps(8)];
  assert.ok(whole.records.length > 10);
  for (const key of ["loss", "lossMax", "lossMin", "gradNorm"] as const)
    assertClose(
      parts.records.map((record) => record[key]!),
      whole.records.map((record) => record[key]!),
      1e-4,
      key,
    );
  assertClose([parts.summary.testLoss], [whole.summary.testLoss], 1e-4);
});

test("the loss that flatness is measured of does not depend on its batches", async () => {
  const data = await unevenDigits();
  const { task } = await openTask(parseRun({ classWeights: "balanced" }), data);
  const network = preparedNetwork(
    createModel("mlp", { channels: 1, height: 8, width: 8, classes: 10 }),
    task,
  );
  const built = buildModel(network.layer, { inputShape: task.input, batchSize: 1, training: false });
  const lossIn = async (batchSize: number) => {
    const surface = taskSurface(
      network,
      initialTensors(built, 1),
      { task, source: data.train },
      { batchSize },
    );
    return usingSurface(surface, async (opened) => (await opened.evaluate()).loss);
  };
  // Over all training samples the mean weight is 1: the sum is the weighted mean of the whole set.
  const whole = await lossIn(data.train.count);
  assertClose([await lossIn(7), await lossIn(100)], [whole, whole], 1e-5);
});
