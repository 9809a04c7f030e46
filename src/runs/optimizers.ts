import { UserError } from "../common/errors.ts";
import { every, reuse, startingAt } from "../optim/cheaper.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import {
  constantRate,
  cosine,
  type LearningRateSchedule,
  linear,
  polynomial,
  stepDecay,
  warmUp,
} from "../optim/schedules.ts";
import { progressAt } from "../train/loop.ts";
import type { RunConfiguration } from "./configuration.ts";
import { createMethod, type OptimizerSettings, type ScheduleSettings } from "./optimizer-settings.ts";

// From the plain settings of a configuration to optimizers and schedules.

/** The optimizer that checked settings describe. */
export function createOptimizer(settings: OptimizerSettings): Optimizer {
  const method = createMethod(settings);
  const none = { every: undefined, reuse: undefined, from: undefined };
  const { every: k, reuse: kept, from } = { ...none, ...settings };
  if (k !== undefined && kept !== undefined) {
    throw new UserError(`optimizer: every ${k} and reuse ${kept} exclude each other; choose one`);
  }
  const thinned = k !== undefined ? every(method, k) : kept !== undefined ? reuse(method, kept) : method;
  return from === undefined ? thinned : startingAt(thinned, from);
}

/** The learning rate schedule that checked settings describe. */
export function createSchedule(settings: ScheduleSettings): LearningRateSchedule {
  switch (settings.name) {
    case "constant":
      return constantRate();
    case "cosine":
      return cosine();
    case "linear":
      return linear({ end: settings.end });
    case "polynomial":
      return polynomial({ power: settings.power });
    case "step":
      return stepDecay({ epochs: settings.epochs, gamma: settings.gamma });
    case "warm-up":
      return warmUp({ epochs: settings.epochs, start: settings.start }, createSchedule(settings.after));
    default:
      return settings satisfies never;
  }
}

/** Mini-batch gradients that a step of a run computes on average. */
export function evaluationsPerStep(configuration: RunConfiguration, stepsPerEpoch: number): number {
  const optimizer = createOptimizer(configuration.optimizer);
  const run = { ...configuration, stepsPerEpoch, schedule: createSchedule(configuration.schedule) };
  const totalSteps = configuration.epochs * stepsPerEpoch;
  let sum = 0;
  for (let step = 0; step < totalSteps; step++) {
    sum += optimizer.steps[optimizer.stepAt(progressAt(run, step))].gradientEvaluations;
  }
  return sum / totalSteps;
}
