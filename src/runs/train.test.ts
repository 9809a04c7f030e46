import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { UserError } from "../common/errors.ts";
import { loadDataset } from "../data/catalogue.ts";
import { type DatasetPair, type ImageClasses, selected } from "../data/source.ts";
// As a user of the library has them.
import { bilateralSam, nn, ops, type optim, sgd, type Tensors, train } from "../index.ts";
import { readRun } from "../report/read.ts";
import { readJsonFile, readMetrics, temporaryFolder, timelessMetrics } from "../testing/cli.ts";
import { assertSameTensors } from "../testing/networks.ts";
import type { EpochRecord, RunSummary } from "../train/records.ts";
import type { TrainOptions } from "./train.ts";

const root = temporaryFolder();

const quick: TrainOptions = {
  data: "digits",
  epochs: 1,
  batchSize: 64,
  limit: 320,
  sharpness: { images: 64 },
  threads: 1,
};

test("a dozen lines train digits to 90 % and more, and report every step and epoch", async () => {
  const accuracies: number[] = [];
  const { summary, model, epochs, failure } = await train({
    data: "digits",
    model: "mlp",
    optimizer: bilateralSam(sgd({ momentum: 0.9, weightDecay: 1e-3 }), { rhoMax: 0.05 }),
    learningRate: 0.05,
    epochs: 20,
    threads: 1,
    onEpoch: ({ metrics }) => accuracies.push(metrics!.accuracy),
  });
  assert.equal(failure, undefined);
  assert.ok(summary!.metrics.accuracy >= 0.9, `test accuracy ${summary!.metrics.accuracy}`);
  assert.equal(summary!.status, "finished");
  assert.equal(summary!.name, "run");
  assert.equal(summary!.optimizer, "bilateral-sam (paper, ρmax 0.05, ρmin 0.05→0)");
  assert.deepEqual([summary!.method, summary!.base, summary!.variant], ["bilateral-sam", "sgd", "paper"]);
  // 64·256 + 256·128 + 128·10 weights and 256 + 128 + 10 biases; 1,437 images are 11 batches of 128.
  assert.equal(summary!.parameters, 50_826);
  assert.deepEqual([summary!.steps, summary!.gradientEvaluations], [220, 660]);
  assert.equal(accuracies.length, 20);
  assert.equal(accuracies.at(-1), summary!.metrics.accuracy);
  assert.deepEqual(
    epochs.map(({ metrics }) => metrics!.accuracy),
    accuracies,
  );
  assert.ok(summary!.sharpness!.maxSharpness > 0);
  assert.ok(model.length > 4 * 50_826);
});

test("hooks are called once a run, once a step and once an epoch, with the run's size first", async () => {
  const calls: string[] = [];
  await train({
    ...quick,
    epochs: 2,
    onStart: ({ task, ...run }) => calls.push(`start ${task.name} ${JSON.stringify(run)}`),
    onStep: ({ step, epoch }) => calls.push(`step ${epoch}.${step}`),
    onEpoch: ({ epoch, gradientEvaluations }) =>
      calls.push(`epoch ${epoch}, ${gradientEvaluations} gradients`),
  });
  assert.deepEqual(calls, [
    'start classification {"totalSteps":10,"finishedSteps":0,"stepsPerEpoch":5,"batchSize":64,"device":{"name":"cpu"}}',
    ...["step 1.1", "step 1.2", "step 1.3", "step 1.4", "step 1.5", "epoch 1, 15 gradients"],
    ...["step 2.6", "step 2.7", "step 2.8", "step 2.9", "step 2.10", "epoch 2, 30 gradients"],
  ]);
});

test("a network and images of one's own: odd digits from even ones, on a layer that is no model's", async () => {
  const digits = await loadDataset("digits");
  const parity = (dataset: ImageClasses): ImageClasses => ({
    ...dataset,
    name: "parity",
    labels: dataset.labels.map((label) => label % 2),
    classNames: ["even", "odd"],
  });
  const data: DatasetPair = { train: parity(digits.train), test: parity(digits.test) };
  const out = join(root, "parity");
  const { summary } = await train({
    data,
    model: nn.sequential([
      nn.conv2d(1, 8, 3, { padding: 1 }),
      nn.batchNorm(8),
      nn.relu(),
      nn.flatten(),
      nn.linear(512, 2),
    ]),
    epochs: 4,
    batchSize: 64,
    learningRate: 0.1,
    threads: 1,
    out,
  });
  assert.ok(summary!.metrics.accuracy > 0.85, `test accuracy ${summary!.metrics.accuracy}`);
  // 72 + 8 of the convolution, 16 of BatchNorm, 1,024 + 2 of the last layer.
  assert.equal(summary!.parameters, 1_122);
  const { configuration } = readJsonFile(out, "run.json");
  assert.deepEqual([configuration.data, configuration.model], ["parity", "custom"]);
});

test("a validation part is measured every epoch as a test part would be, and changes nothing else", async () => {
  const { train: training, test: held } = await loadDataset("digits");
  const [validation, rest] = [0, 1].map((start) =>
    selected(
      held,
      Array.from({ length: held.count }, (_, index) => index).filter((index) => index % 2 === start),
    ),
  );
  const options = { ...quick, epochs: 2, evaluateEvery: 1 };
  const both = await train({ ...options, data: { train: training, validation, test: rest } });
  const [asTest, without] = [
    await train({ ...options, data: { train: training, test: validation } }),
    await train({ ...options, data: { train: training, test: rest } }),
  ];
  for (const [index, { metrics }] of both.epochs.entries()) {
    const { testLoss, metrics: expected } = asTest.epochs[index];
    assert.deepEqual(metrics, {
      ...without.epochs[index].metrics,
      validationAccuracy: expected?.accuracy,
      validationLoss: testLoss,
    });
  }
  assert.deepEqual(both.summary?.metrics, both.epochs.at(-1)?.metrics);
  assertSameTensors(both.tensors, without.tensors);
  assert.deepEqual(both.task.metrics.slice(0, -2), without.task.metrics);
  assert.deepEqual(
    both.task.metrics.slice(-2).map(({ name, label, better }) => [name, label, better]),
    [
      ["validationAccuracy", "validation accuracy", "higher"],
      ["validationLoss", "validation loss", "lower"],
    ],
  );
});

test("an optimizer of one's own: doubled gradients at half the learning rate are plain SGD, to the last bit", async () => {
  // Multiplying by 2 is exact, and so is everything linear in it.
  const base = sgd({ momentum: 0.9 });
  const doubled: optim.Optimizer = {
    ...base,
    config: { method: "doubled", base: base.base.config },
    steps: {
      step: {
        gradientEvaluations: 1,
        direction: ({ first }) => ({
          direction: first.gradients.map((gradient) => ops.mul(gradient, 2)),
          diagnostics: {},
        }),
      },
    },
  };
  const out = join(root, "doubled");
  const own = await train({ ...quick, optimizer: doubled, learningRate: 0.025, out });
  const plain = await train({ ...quick, optimizer: sgd({ momentum: 0.9 }), learningRate: 0.05 });
  assert.ok(Buffer.from(own.model).equals(Buffer.from(plain.model)));
  assert.equal(own.summary!.optimizer, "doubled");
  assert.deepEqual(readJsonFile(out, "run.json").configuration.optimizer, {
    method: "doubled",
    base: { name: "sgd", momentum: 0.9, nesterov: false, weightDecay: 0 },
  });
});

test("an optimizer object and the settings that describe it are one", async () => {
  const model = async (optimizer: TrainOptions["optimizer"]) =>
    Buffer.from((await train({ ...quick, optimizer })).model);
  const settings = await model({
    method: "bilateral-sam",
    rhoMax: 0.1,
    base: { momentum: 0.5, weightDecay: 0 },
  });
  assert.ok(settings.equals(await model(bilateralSam(sgd({ momentum: 0.5 }), { rhoMax: 0.1 }))));
  assert.ok(!settings.equals(await model(bilateralSam(sgd({ momentum: 0.5 }), { rhoMax: 0.2 }))));
});

test("an abort ends the run after the step that is running and keeps the epochs before", async () => {
  const controller = new AbortController();
  let steps = 0;
  const out = join(root, "aborted");
  const { summary, failure } = await train({
    ...quick,
    epochs: 10,
    out,
    signal: controller.signal,
    onStep: () => {
      if (++steps === 8) controller.abort();
    },
  });
  assert.equal(failure, undefined);
  assert.deepEqual([steps, summary!.status, summary!.epochs, summary!.steps], [8, "interrupted", 1, 5]);
  assert.equal(readMetrics(out).steps.length, 8);

  const early = await train({ ...quick, signal: AbortSignal.abort() });
  assert.deepEqual([early.summary, early.epochs], [undefined, []]);
});

test("accuracy and sharpness every few epochs: at the last one, and wherever a run ends, they are the same", async () => {
  const measuredAt = ({ metrics, testLoss, sharpness }: EpochRecord | RunSummary) => [
    metrics,
    testLoss,
    sharpness,
  ];
  const all = await train({ ...quick, epochs: 5 });
  const some = await train({ ...quick, epochs: 5, evaluateEvery: 2 });
  const expected = all.epochs.map((epoch, index) => (index === 0 || index === 2 ? [] : measuredAt(epoch)));
  assert.deepEqual(
    some.epochs.map((epoch) => measuredAt(epoch).filter((value) => value !== undefined)),
    expected,
  );
  assert.deepEqual(some.tensors, all.tensors);

  const out = join(root, "looked-at-seldom");
  const controller = new AbortController();
  const onEpoch = ({ epoch }: EpochRecord) => epoch === 3 && controller.abort();
  const stopped = await train({
    ...quick,
    epochs: 5,
    evaluateEvery: 2,
    out,
    signal: controller.signal,
    onEpoch,
  });
  assert.deepEqual(measuredAt(stopped.summary!), measuredAt(all.epochs[2]));
  assert.deepEqual((await readRun(out)).outcome!.metrics, all.epochs[2].metrics);
  const resumed = await train({ ...quick, epochs: 5, evaluateEvery: 2, out, existing: "resume" });
  assert.deepEqual(resumed.tensors, all.tensors);
  assert.deepEqual(measuredAt(resumed.summary!), measuredAt(all.epochs[4]));
});

test("a resumed run has all its epochs, and ends as one that never stopped", async () => {
  const options: TrainOptions = { ...quick, epochs: 4, augmentation: { crop: 1 } };
  const whole = await train({ ...options, out: join(root, "whole") });
  const out = join(root, "parts");
  for (const stop of [1, 3]) {
    const controller = new AbortController();
    const onEpoch = ({ epoch }: { epoch: number }) => epoch === stop && controller.abort();
    const part = await train({ ...options, out, existing: "resume", onEpoch, signal: controller.signal });
    assert.deepEqual(
      part.epochs.map(({ epoch }) => epoch),
      Array.from({ length: stop }, (_, index) => index + 1),
    );
  }
  const last = await train({ ...options, out, existing: "resume" });
  assert.equal(last.epochs.length, 4);
  assert.deepEqual(timelessMetrics(out), timelessMetrics(join(root, "whole")));
  assert.ok(Buffer.from(last.model).equals(Buffer.from(whole.model)));
  // What is finished is not trained again.
  let steps = 0;
  const again = await train({ ...options, out, existing: "resume", onStep: () => steps++ });
  assert.equal(steps, 0);
  assert.deepEqual({ ...again.summary }, { ...last.summary });
});

test("a run starts from the weights of another, by name, and the excepted ones are drawn by the seed", async () => {
  const out = join(root, "first");
  const first = await train({ ...quick, model: "cnn", out });
  // At a learning rate of next to nothing a run ends where it starts; BatchNorm's statistics move regardless.
  const still: TrainOptions = {
    ...quick,
    model: "cnn",
    learningRate: 1e-30,
    optimizer: { method: "sgd" },
    seed: 2,
  };
  const file = join(out, "model.safetensors");
  const numbersOf = (tensors: Tensors, name: string) => Array.from(tensors[name].data as Float32Array);
  const parameters = Object.keys(first.tensors).filter((name) => !name.includes("running"));
  const again = await train({ ...still, weights: file, out: join(root, "again") });
  for (const name of parameters) {
    assert.deepEqual(numbersOf(again.tensors, name), numbersOf(first.tensors, name), name);
  }
  assert.deepEqual(readJsonFile(join(root, "again"), "run.json").configuration.weights, { file, except: [] });
  const fresh = await train(still);
  const mixed = await train({ ...still, weights: { tensors: first.tensors, except: "fc.*" } });
  for (const name of parameters) {
    const from = name.startsWith("fc.") ? fresh : first;
    assert.deepEqual(numbersOf(mixed.tensors, name), numbersOf(from.tensors, name), name);
  }
  assert.notDeepEqual(numbersOf(first.tensors, "fc.weight"), numbersOf(fresh.tensors, "fc.weight"));
  // What a file has beside the network, such as an auxiliary classifier, is left out by the same pattern.
  const more = { ...first.tensors, "aux_classifier.4.weight": first.tensors["fc.weight"] };
  const left = await train({ ...still, weights: { tensors: more, except: "aux_classifier.*" } });
  assert.deepEqual(numbersOf(left.tensors, "fc.weight"), numbersOf(first.tensors, "fc.weight"));
  for (const [weights, expected] of [
    [join(out, "none"), /the weights .*none cannot be read \(ENOENT/],
    [join(out, "run.json"), /run\.json is damaged/],
    [{ file, except: "head.*" }, /"head\.\*", excepted from the weights, fits no name/],
    [{ tensors: {} }, /the weights in the tensors given do not fit the network: it lacks conv1\.weight/],
  ] as const) {
    await assert.rejects(train({ ...still, weights }), expected);
  }
  const other = train({ ...still, model: "mlp", weights: file });
  await assert.rejects(other, /it lacks fc1\.weight.*; it has .* which the network does not$/);
});

test("a run that is written is named by its folder, however the path is written", async () => {
  const out = join(root, "named");
  const { summary } = await train({ ...quick, out: `${out}/` });
  assert.equal(summary!.name, "named");
  assert.equal(readJsonFile(out, "run.json").name, "named");
});

test("what does not fit is refused before anything is written", async () => {
  const out = join(root, "refused");
  const digits = await loadDataset("digits");
  const labels = digits.test.labels.with(7, 255);
  const labeled255 = { ...digits.test, labels };
  const refusals: [TrainOptions, RegExp][] = [
    [{ batchSize: 321 }, /batch size 321 is larger than the 320 training samples/],
    [{ limit: 1438 }, /a subset of 1438 images/],
    [{ model: "lenet5" }, /lenet5 needs images of at least 12×12/],
    [{ model: nn.sequential([nn.globalAveragePool(), nn.linear(7, 10)]) }, /7/],
    [
      { model: nn.sequential([nn.flatten(), nn.linear(64, 5)]) },
      /the network gives \[64, 5\].* digits has 10 classes/,
    ],
    [{ data: { train: digits.train, test: labeled255 } }, /label 255 of image 7 is out of bounds/],
    [{ data: { train: labeled255, test: digits.test } }, /label 255 of image 7 is out of bounds/],
    [{ epochs: 0 }, /epochs is 0/],
    [{ optimizer: { method: "sgd", base: { momentum: 0, nesterov: true } } }, /nesterov needs a momentum/],
    [
      { lerningRate: 1 } as TrainOptions,
      /train: there is no option "lerningRate"; did you mean "learningRate"\?/,
    ],
    [{ data: "imagenet" as "digits" }, /choose one of fashion-mnist, mnist, digits/],
    [{ optimizer: "sam" as never }, /optimizer is "sam"; it has to be an object/],
  ];
  for (const [options, expected] of refusals) {
    await assert.rejects(train({ ...quick, ...options, out }), (error: Error) => {
      assert.ok(error instanceof UserError, error.stack);
      assert.match(error.message, expected);
      return true;
    });
    assert.ok(!existsSync(out), String(expected));
  }
});
