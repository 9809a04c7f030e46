import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { UserError } from "../common/errors.ts";
import { bilateralSam } from "./bilateral-sam.ts";
import { sam } from "./sam.ts";
import {
  constant,
  constantRate,
  cosine,
  type LearningRateSchedule,
  type Progress,
  proportionalToLearningRate,
  type Schedule,
  stepDecay,
  warmUp,
} from "./schedules.ts";
import { sgd } from "./sgd.ts";

const close = (actual: number, expected: number, message?: string) =>
  assert.ok(Math.abs(actual - expected) < 1e-12, message ?? `got ${actual}, expected ${expected}`);

const factors = (schedule: LearningRateSchedule, totalSteps: number, stepsPerEpoch = 1) =>
  Array.from({ length: totalSteps }, (_, step) => schedule.factor({ step, totalSteps, stepsPerEpoch }));

/** A radius at every step of a run with a learning rate that follows `rate`. */
function radii(schedule: Schedule, rate: LearningRateSchedule, totalSteps: number, peak = 0.05): number[] {
  return factors(rate, totalSteps, 10).map((factor, step) => {
    const learningRate = { now: peak * factor, high: peak, low: peak * rate.low };
    return schedule.at({ step, totalSteps, stepsPerEpoch: 10, learningRate } satisfies Progress);
  });
}

describe("learning rates", () => {
  test("constant", () => {
    assert.deepEqual(factors(constantRate(), 3), [1, 1, 1]);
  });

  test("cosine follows the recurrence that PyTorch's CosineAnnealingLR steps by", () => {
    // η(t) = η(t−1)·(1 + cos(πt/T))/(1 + cos(π(t−1)/T)) with η_min = 0, from its documentation.
    const total = 200;
    let expected = 1;
    for (const [t, factor] of factors(cosine(), total).entries()) {
      if (t > 0) {
        expected *= (1 + Math.cos((Math.PI * t) / total)) / (1 + Math.cos((Math.PI * (t - 1)) / total));
      }
      close(factor, expected, `step ${t}: got ${factor}, expected ${expected}`);
    }
    close(cosine().factor({ step: 100, totalSteps: 200, stepsPerEpoch: 1 }), 0.5);
    close(cosine().factor({ step: 200, totalSteps: 200, stepsPerEpoch: 1 }), 0);
    // cos 60° = 1/2 a third of the way: ¾ is left.
    close(cosine().factor({ step: 50, totalSteps: 150, stepsPerEpoch: 7 }), 0.75);
  });

  test("step decay changes between epochs only", () => {
    const schedule = stepDecay({ epochs: 2, gamma: 0.5 });
    assert.deepEqual(factors(schedule, 18, 3), [
      ...Array(6).fill(1),
      ...Array(6).fill(0.5),
      ...Array(6).fill(0.25),
    ]);
    close(stepDecay({ epochs: 30 }).factor({ step: 60, totalSteps: 90, stepsPerEpoch: 1 }), 0.01);
  });

  test("warm-up rises in equal steps to the peak, then the other schedule begins at its beginning", () => {
    const schedule = warmUp({ epochs: 2, start: 0.2 }, cosine());
    const actual = factors(schedule, 12, 2);
    for (const [index, expected] of [0.2, 0.4, 0.6, 0.8].entries()) close(actual[index], expected);
    for (const [index, factor] of factors(cosine(), 8, 2).entries()) close(actual[4 + index], factor);
    assert.equal(schedule.low, 0);
  });

  test("a warm-up longer than the run rises as in a longer run, and the run ends within it", () => {
    // PyTorch's LinearLR(start_factor=0, total_iters=50) after 0, 1, …, 9 steps.
    const actual = factors(warmUp({ epochs: 50, start: 0 }, cosine()), 10, 1);
    for (const [index, factor] of actual.entries()) close(factor, index / 50);
    const whole = factors(warmUp({ epochs: 5 }, cosine()), 200, 11);
    assert.deepEqual(factors(warmUp({ epochs: 5 }, cosine()), 22, 11), whole.slice(0, 22));
  });
});

describe("radii", () => {
  test("constant", () => {
    assert.deepEqual(radii(constant(0.3), cosine(), 4), [0.3, 0.3, 0.3, 0.3]);
  });

  test("proportional to a cosine learning rate: the same cosine between the two ends", () => {
    const actual = radii(proportionalToLearningRate(0.05, 0.01), cosine(), 60);
    for (const [t, radius] of actual.entries()) {
      close(radius, 0.01 + 0.04 * Math.cos((Math.PI * t) / 120) ** 2);
    }
  });

  test("the authors' defaults: ρ_min is the learning rate", () => {
    const schedule = bilateralSam(sgd()).scalars.rhoMin;
    const rates = factors(cosine(), 40, 10).map((factor) => 0.05 * factor);
    for (const [t, radius] of radii(schedule, cosine(), 40).entries()) close(radius, rates[t]);
  });

  test("the high end where the learning rate never changes", () => {
    assert.deepEqual(radii(proportionalToLearningRate(0.05, 0.01), constantRate(), 3), [0.05, 0.05, 0.05]);
  });

  test("never negative, nor above its larger end, while the learning rate is within its range or below it", () => {
    const positive = fc.double({ min: 0, max: 10, noNaN: true });
    const rate = fc.record({
      now: fc.double({ min: 0, max: 1, noNaN: true }),
      low: fc.double({ min: 0, max: 0.9, noNaN: true }),
    });
    fc.assert(
      fc.property(positive, positive, rate, (high, low, { now, low: lowest }) => {
        const progress = { step: 0, totalSteps: 1, stepsPerEpoch: 1 };
        const learningRate = { now, high: 1, low: lowest };
        const radius = proportionalToLearningRate(high, low).at({ ...progress, learningRate });
        assert.ok(radius >= 0, `${radius}`);
        if (now >= lowest) assert.ok(radius <= Math.max(high, low) * (1 + 1e-12), `${radius}`);
      }),
    );
  });

  test("a warm-up that starts below the low end begins at a radius of 0", () => {
    const floor: LearningRateSchedule = { config: { name: "constant" }, factor: () => 1, low: 0.5 };
    const actual = radii(proportionalToLearningRate(0.05), warmUp({ epochs: 1, start: 0 }, floor), 12);
    assert.deepEqual(actual.slice(0, 6), [0, 0, 0, 0, 0, 0]);
    close(actual[8], (0.05 * (0.8 - 0.5)) / 0.5);
    close(actual[10], 0.05);
  });
});

describe("settings that cannot be meant are refused in one sentence", () => {
  const refused: [string, () => unknown, RegExp][] = [
    [
      "negative rho",
      () => sam(sgd(), { rho: -0.1 }),
      /^sam: rho is -0\.1; it has to be a number of 0 or more$/,
    ],
    [
      "negative rhoMax",
      () => bilateralSam(sgd(), { rhoMax: -1 }),
      /bilateralSam: rhoMax is -1; .* 0 or more/,
    ],
    ["NaN rhoMin", () => bilateralSam(sgd(), { rhoMin: Number.NaN }), /rhoMin is NaN/],
    ["infinite radius", () => constant(Number.POSITIVE_INFINITY), /radius is Infinity/],
    ["negative end", () => proportionalToLearningRate(0.1, -0.2), /lowest learning rate is -0\.2/],
    ["negative start", () => proportionalToLearningRate(-0.1), /highest learning rate is -0\.1/],
    ["momentum 1", () => sgd({ momentum: 1 }), /momentum is 1; .* at least 0 and below 1/],
    ["negative momentum", () => sgd({ momentum: -0.5 }), /momentum is -0\.5/],
    ["nesterov alone", () => sgd({ nesterov: true }), /nesterov needs a momentum above 0/],
    ["negative decay", () => sgd({ weightDecay: -1 }), /weightDecay is -1; .* 0 or more/],
    ["NaN decay", () => sgd({ weightDecay: Number.NaN }), /weightDecay is NaN/],
    [
      "unknown variant",
      () => bilateralSam(sgd(), { variant: "original" as "paper" }),
      /variant is "original"; choose one of paper, released/,
    ],
    ["step decay every 0 epochs", () => stepDecay({ epochs: 0 }), /epochs is 0; it has to be above 0/],
    ["gamma 0", () => stepDecay({ epochs: 1, gamma: 0 }), /gamma is 0/],
    ["warm-up of no length", () => warmUp({ epochs: 0 }), /warm-up: epochs is 0/],
    ["warm-up from below 0", () => warmUp({ epochs: 1, start: -0.1 }), /warm-up: start is -0\.1/],
  ];
  for (const [name, build, message] of refused) {
    test(name, () => {
      assert.throws(build, (error) => error instanceof UserError && message.test(error.message));
    });
  }

  test("the least and the largest settings that can be meant are taken", () => {
    for (const momentum of [0, 0.999]) assert.equal(sgd({ momentum }).base.config.momentum, momentum);
    assert.equal(constant(0).at({} as Progress), 0);
  });
});

test("an optimizer's configuration says everything that tells it from another, as plain data", () => {
  const optimizer = bilateralSam(sgd({ momentum: 0.9, nesterov: true, weightDecay: 0.001 }), {
    rhoMax: 0.1,
    variant: "released",
  });
  assert.deepEqual(JSON.parse(JSON.stringify(optimizer.config)), {
    method: "bilateral-sam",
    variant: "released",
    rhoMax: { name: "constant", value: 0.1 },
    rhoMin: { name: "proportional-to-learning-rate", high: 0.05, low: 0 },
    adaptive: false,
    base: { name: "sgd", momentum: 0.9, nesterov: true, weightDecay: 0.001 },
  });
  assert.deepEqual(
    [sgd(), sam(sgd()), bilateralSam(sgd())].map(({ steps }) => steps.step.gradientEvaluations),
    [1, 2, 3],
  );
});
