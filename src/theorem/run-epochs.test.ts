import assert from "node:assert/strict";
import { test } from "node:test";
import type { StepRecord } from "../train/records.ts";
import { scalesByEpoch } from "./run-epochs.ts";

const step = (number: number, epoch: number, own: Partial<StepRecord>): StepRecord => ({
  ...{
    type: "step",
    step: number,
    epoch,
    learningRate: 0.1 / epoch,
    scalars: { rhoMax: 0.05, rhoMin: 0.04 },
  },
  ...{ loss: 1, gradNorm: 1, directionNorm: 1, ...own },
});
const scaled = (scale: number) => ({
  scale,
  theoremOne: (1 - scale) / (1 + scale ** 2),
  cosGradMin: 2 - scale,
});

test("ς by epoch: shares and quantiles of the steps that have one", () => {
  const steps = [
    ...[0.5, 1, 1.5, 2, 2.5].map((scale, index) => step(index + 1, 1, scaled(scale))),
    step(6, 2, scaled(3)),
    // A term was left out for want of a gradient, or the step was dropped: neither has a ς that means anything.
    step(7, 2, { ...scaled(0), zeroGradient: true }),
    step(8, 2, { ...scaled(0.1), skipped: true }),
    step(9, 3, {}),
  ];
  const [first, second, ...others] = scalesByEpoch(steps);
  assert.deepEqual(others, []);
  assert.deepEqual(first, {
    ...{ epoch: 1, learningRate: 0.1, rhoMax: 0.05, rhoMin: 0.04, steps: 5 },
    ...{ shareAtLeastOne: 0.8, shareInConflict: 0.2 },
    scale: { low: 0.5, median: 1.5, high: 2.5 },
    theoremOne: { low: -6 / 29, median: -2 / 13, high: 0.4 },
  });
  assert.deepEqual([second.steps, second.shareAtLeastOne, second.scale.median], [1, 1, 3]);
});
