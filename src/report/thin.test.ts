import assert from "node:assert/strict";
import { test } from "node:test";
import type { StepRecord } from "../train/records.ts";
import { binSteps, sampleSteps } from "./thin.ts";

/** Steps whose ς is the step's place in its epoch, 1 to `perEpoch`. */
function steps(epochs: number, perEpoch: number): StepRecord[] {
  return Array.from({ length: epochs * perEpoch }, (_, index) => ({
    type: "step",
    step: index + 1,
    epoch: Math.floor(index / perEpoch) + 1,
    scalars: {},
    learningRate: 0.1,
    loss: 1,
    gradNorm: 1,
    directionNorm: 1,
    scale: (index % perEpoch) + 1,
  }));
}

test("forty epochs become forty bins with the median and the middle 80 % of each", () => {
  const bins = binSteps(steps(40, 31), ["scale", "cosGradMin"]);
  assert.equal(bins.stepsPerBin, 31);
  assert.equal(bins.epochsPerBin, 1);
  assert.deepEqual(Object.keys(bins.columns), ["step", "scale", "scaleLow", "scaleHigh"]);
  assert.deepEqual(
    bins.columns.step,
    Array.from({ length: 40 }, (_, index) => (index + 1) * 31),
  );
  // Of 1 … 31: the median is 16, the 10th and 90th percentiles are 4 and 28.
  assert.ok(bins.columns.scale!.every((value) => value === 16));
  assert.ok(bins.columns.scaleLow!.every((value) => value === 4));
  assert.ok(bins.columns.scaleHigh!.every((value) => value === 28));
});

test("a long run joins epochs and a short one splits them, so that a chart has a sensible number of points", () => {
  const long = binSteps(steps(1000, 20), ["scale"]);
  assert.ok(long.epochsPerBin > 1);
  assert.ok(long.columns.step!.length <= 240, String(long.columns.step!.length));
  const short = binSteps(steps(2, 1000), ["scale"]);
  assert.ok(short.epochsPerBin < 1);
  assert.ok(short.columns.step!.length >= 100 && short.columns.step!.length <= 240);
});

test("bins without a finite value are null, missing stretches make no bins, no steps make no columns", () => {
  const run = steps(40, 10);
  for (const step of run.slice(0, 10)) step.scale = Number.NaN;
  const withoutThird = run.filter((step) => step.epoch !== 3);
  const { columns } = binSteps(withoutThird, ["scale"]);
  assert.equal(columns.scale!.length, 39);
  assert.equal(columns.scale![0], null);
  assert.deepEqual(columns.step!.slice(0, 3), [10, 20, 40]);
  assert.deepEqual(binSteps([], ["scale"]).columns, {});
});

test("a sample holds the first and the last step", () => {
  const sample = sampleSteps(steps(100, 1000));
  assert.equal(sample.length, 200);
  assert.equal(sample[0]!.step, 1);
  assert.equal(sample.at(-1)!.step, 100_000);
  assert.equal(new Set(sample.map((step) => step.step)).size, 200);
});
