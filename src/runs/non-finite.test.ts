import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readModel } from "../onnx/model.ts";
import { readTensor } from "../onnx/tensor.ts";
import { bilateralSam } from "../optim/bilateral-sam.ts";
import type { Schedule } from "../optim/schedules.ts";
import { sgd } from "../optim/sgd.ts";
import { readJsonFile, readMetrics, temporaryFolder } from "../testing/cli.ts";
import { type TrainOptions, train } from "./train.ts";

// Rule 5: what is not finite ends the run or costs one step, and never reaches the weights.

const root = temporaryFolder();

const settings: TrainOptions = {
  data: "digits",
  model: "mlp",
  limit: 704,
  batchSize: 64,
  sharpness: { images: 64 },
  threads: 1,
};
/** One good epoch, then a learning rate of 5e28. */
const breaking: TrainOptions = { ...settings, epochs: 3, schedule: { name: "step", epochs: 1, gamma: 1e30 } };
const stepsPerEpoch = 11;

/** The parameters of a written model; the constants that normalize its input are named otherwise. */
function weightsOf(model: Uint8Array): number[] {
  const stored = readModel(model).graph!.initializer.filter(({ name }) => /\.(weight|bias)$/.test(name));
  assert.ok(stored.length > 0);
  return stored.flatMap((tensor) =>
    Array.from(readTensor(tensor).data as ArrayLike<number | bigint>, Number),
  );
}

const broken = {
  sgd: /^step 13 \(epoch 2\): the loss of pass 1 \(at w\) is (NaN|Infinity); /,
  sam: /^step 13 \(epoch 2\): the loss of pass 1 \(at w\) is (NaN|Infinity); /,
  // ρ_min follows the learning rate.
  "bilateral-sam": /^step 12 \(epoch 2\): the loss of pass 3 \(at w − ε_min\) is (NaN|Infinity); /,
};

for (const method of ["sgd", "sam", "bilateral-sam"] as const) {
  test(`${method}: a run that diverges ends with the last finished epoch's weights and says where it broke`, async () => {
    const out = join(root, method);
    const { failure, summary, model } = await train({ ...breaking, optimizer: { method }, out });
    assert.match(failure!.message, broken[method]);
    assert.match(failure!.message, /; the weights of the end of epoch 1 are kept \([^\n.]+\)$/);
    assert.equal(summary!.status, "diverged");
    assert.deepEqual([summary!.epochs, summary!.steps], [1, stepsPerEpoch]);
    assert.deepEqual(readJsonFile(out, "summary.json"), JSON.parse(JSON.stringify(summary)));

    const good = await train({ ...breaking, optimizer: { method }, epochs: 1 });
    assert.ok(Buffer.from(model).equals(Buffer.from(good.model)), "the weights of a run of one epoch");
    assert.ok(readFileSync(join(out, "model.onnx")).equals(Buffer.from(model)));
    assert.ok(weightsOf(model).every(Number.isFinite));
    assert.equal(summary!.metrics.accuracy, good.summary!.metrics.accuracy);
  });
}

test("a run that breaks in its first epoch has no summary; its model is the initial one", async () => {
  const out = join(root, "at-once");
  const { failure, summary, model, epochs } = await train({ ...settings, learningRate: 1e30, out });
  assert.match(failure!.message, /^step 2 \(epoch 1\): .* the initial weights are kept/);
  assert.equal(summary, undefined);
  assert.deepEqual(epochs, []);
  assert.ok(!existsSync(join(out, "summary.json")));
  assert.equal(readMetrics(out).steps.length, 1);
  // Initial weights are drawn within ±1/√fan-in.
  assert.ok(weightsOf(model).every((weight) => Math.abs(weight) <= 1 / Math.sqrt(64)));
});

test("an update that is not finite is refused too", async () => {
  const { failure } = await train({ ...settings, learningRate: 1e39, optimizer: { method: "sgd" } });
  assert.match(failure!.message, /^step 1 \(epoch 1\): the update after the last pass gives weights/);
});

test("with skip the run goes on: dropped steps are marked, the weights stay finite", async () => {
  const out = join(root, "skip");
  const { failure, summary, model, skippedSteps } = await train({
    ...breaking,
    optimizer: { method: "sgd" },
    onNonFinite: "skip",
    out,
  });
  assert.equal(failure, undefined);
  assert.deepEqual([summary!.status, summary!.epochs, summary!.steps], ["finished", 3, 3 * stepsPerEpoch]);
  const skipped = readMetrics(out).steps.filter((step) => step.skipped);
  // The 12th step makes the weights huge, but finite; nothing after it can be computed.
  assert.deepEqual(
    skipped.map(({ step }) => step),
    Array.from({ length: 2 * stepsPerEpoch - 1 }, (_, index) => stepsPerEpoch + 2 + index),
  );
  assert.equal(skippedSteps, skipped.length);
  assert.ok(weightsOf(model).every(Number.isFinite));
});

test("a step that is dropped leaves no trace: training goes on from the weights before it", async () => {
  // A radius that float32 has no number for spoils one step, the last or another.
  const spoiltAt = (...spoilt: number[]): Schedule => ({
    config: { name: "spoilt" },
    at: ({ step }) => (spoilt.includes(step) ? 1e39 : 0.05),
  });
  const run = async (...spoilt: number[]) => {
    const steps: (number | undefined)[] = [];
    const { model, summary } = await train({
      ...settings,
      epochs: 2,
      onNonFinite: "skip",
      optimizer: bilateralSam(sgd({ momentum: 0.9 }), { rhoMax: spoiltAt(...spoilt) }),
      onStep: ({ loss, skipped }) => steps.push(skipped ? undefined : loss),
    });
    return { steps, accuracy: summary!.metrics.accuracy, weights: weightsOf(model) };
  };
  const whole = await run();
  const one = await run(5);
  assert.deepEqual(one.steps.slice(0, 5), whole.steps.slice(0, 5));
  assert.equal(one.steps[5], undefined);
  assert.notEqual(one.steps[6], whole.steps[6]);
  assert.ok(one.accuracy > 0.5, `accuracy ${one.accuracy}`);
  // All steps of the second epoch dropped: the weights, and so the test loss, are those of the first.
  const half = await run(...Array.from({ length: stepsPerEpoch }, (_, index) => stepsPerEpoch + index));
  assert.deepEqual(half.steps.slice(0, stepsPerEpoch), whole.steps.slice(0, stepsPerEpoch));
  const controller = new AbortController();
  const first = await train({
    ...settings,
    epochs: 2,
    optimizer: bilateralSam(sgd({ momentum: 0.9 }), { rhoMax: spoiltAt() }),
    onEpoch: () => controller.abort(),
    signal: controller.signal,
  });
  assert.equal(first.summary!.status, "interrupted");
  assert.deepEqual(half.weights, weightsOf(first.model));
});
