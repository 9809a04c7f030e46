import { UserError } from "../common/errors.ts";
import { every, reuse, startingAt } from "../optim/cheaper.ts";
import type { Optimizer, OptimizerConfig } from "../optim/optimizer.ts";
import { scalarWords } from "../optim/scalars.ts";
import {
  constantRate,
  cosine,
  type LearningRateSchedule,
  linear,
  polynomial,
  type ScheduleConfig,
  stepDecay,
  warmUp,
} from "../optim/schedules.ts";
import { progressAt } from "../train/loop.ts";
import type { RunConfiguration } from "./configuration.ts";
import { createMethod, type OptimizerSettings, type ScheduleSettings } from "./optimizer-settings.ts";

// From the plain settings of a configuration to optimizers and schedules, and to the names people read.

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

/** What other programs know an optimizer by; results have it beside the label for readers. */
export interface OptimizerIdentity {
  method: string;
  /** The name of its base update. */
  base: string;
  /** Of a method that has several. */
  variant?: string;
}

export function optimizerIdentity({ method, base, variant }: OptimizerConfig): OptimizerIdentity {
  return { method, base: base.name, ...(typeof variant === "string" && { variant }) };
}

/** An optimizer as a reader would name it, e.g. `bilateral-sam (paper, ρmax 0.05, ρmin 0.05→0)`. */
export function optimizerLabel({ method, base, ...settings }: OptimizerConfig): string {
  const entries = Object.entries(settings);
  const details = [
    ...entries.filter(([, value]) => typeof value === "string").map(([, value]) => value),
    ...entries.filter(([, value]) => value === true).map(([name]) => name),
    ...entries.flatMap(([name, value]) => {
      const amount = amountLabel(value);
      return amount === undefined ? [] : [`${scalarWords(name).symbol} ${amount}`];
    }),
    ...(base.name === "sgd" || base.name === method ? [] : [`over ${base.name}`]),
  ];
  return details.length > 0 ? `${method} (${details.join(", ")})` : method;
}

/** A number, or a schedule by its numbers. */
function amountLabel(value: unknown): string | undefined {
  if (typeof value === "number") return String(value);
  if (typeof value !== "object" || value === null || !("name" in value)) return undefined;
  const { name, value: constant, high, low } = value as ScheduleConfig;
  if (constant !== undefined) return String(constant);
  return high === undefined ? name : `${high}→${low}`;
}
