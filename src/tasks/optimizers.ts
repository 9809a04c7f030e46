import { UserError } from "../common/errors.ts";
import { adam, adamw, lion, rmsprop } from "../optim/adam.ts";
import { bilateralSam } from "../optim/bilateral-sam.ts";
import { every, reuse, startingAt } from "../optim/cheaper.ts";
import type { Optimizer, OptimizerConfig } from "../optim/optimizer.ts";
import { asam, gsam, momentumSam, sam } from "../optim/sam.ts";
import {
  constant,
  constantRate,
  cosine,
  type LearningRateSchedule,
  linear,
  polynomial,
  proportionalToLearningRate,
  type Schedule,
  type ScheduleConfig,
  stepDecay,
  warmUp,
} from "../optim/schedules.ts";
import { sgd } from "../optim/sgd.ts";
import { progressAt } from "../train/loop.ts";
import type { RunConfiguration } from "./configuration.ts";
import type {
  BaseSettings,
  OptimizerSettings,
  RadiusSettings,
  ScheduleSettings,
} from "./optimizer-settings.ts";

// From the plain settings of a configuration to optimizers and schedules, and to the names people read.

/** The optimizer that checked settings describe. */
export function createOptimizer(settings: OptimizerSettings): Optimizer {
  const method = createMethod(settings, createBase(settings.base));
  const none = { every: undefined, reuse: undefined, from: undefined };
  const { every: k, reuse: kept, from } = { ...none, ...settings };
  if (k !== undefined && kept !== undefined) {
    throw new UserError(`optimizer: every ${k} and reuse ${kept} exclude each other; choose one`);
  }
  const thinned = k !== undefined ? every(method, k) : kept !== undefined ? reuse(method, kept) : method;
  return from === undefined ? thinned : startingAt(thinned, from);
}

function createBase(settings: BaseSettings): Optimizer {
  switch (settings.name) {
    case "sgd":
      return sgd(settings);
    case "adam":
      return adam(settings);
    case "adamw":
      return adamw(settings);
    case "lion":
      return lion(settings);
    case "rmsprop":
      return rmsprop(settings);
  }
}

function createMethod(settings: OptimizerSettings, base: Optimizer): Optimizer {
  switch (settings.method) {
    case "sam":
      return sam(base, { rho: createRadius(settings.rho) });
    case "asam":
      return asam(base, { rho: createRadius(settings.rho) });
    case "gsam":
      return gsam(base, { rho: createRadius(settings.rho), alpha: settings.alpha });
    case "momentum-sam":
      return momentumSam(base, { rho: createRadius(settings.rho) });
    case "bilateral-sam": {
      const { variant, adaptive, rhoMax, rhoMin } = settings;
      return bilateralSam(base, {
        variant,
        adaptive,
        rhoMax: createRadius(rhoMax),
        rhoMin: createRadius(rhoMin),
      });
    }
    default:
      return base;
  }
}

/** The learning rate schedule that checked settings describe. */
export function createSchedule(settings: ScheduleSettings): LearningRateSchedule {
  switch (settings.name) {
    case "constant":
      return constantRate();
    case "cosine":
      return cosine();
    case "linear":
      return linear(settings);
    case "polynomial":
      return polynomial(settings);
    case "step":
      return stepDecay(settings);
    case "warm-up":
      return warmUp(settings, createSchedule(settings.after));
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

/** An optimizer as a reader would name it, e.g. `bilateral-sam (paper, ρmax 0.05, ρmin 0.05→0)`. */
export function optimizerLabel({ method, base, ...config }: OptimizerConfig): string {
  const { variant, rho, rhoMax, rhoMin, alpha, adaptive, every: k, reuse: kept, from } = config;
  const radius = (symbol: string, schedule: unknown) =>
    schedule === undefined ? undefined : `${symbol} ${radiusLabel(schedule as ScheduleConfig)}`;
  const details = [
    variant,
    adaptive ? "adaptive" : undefined,
    radius("ρ", rho),
    radius("ρmax", rhoMax),
    radius("ρmin", rhoMin),
    alpha === undefined ? undefined : `α ${alpha}`,
    k === undefined ? undefined : `every ${k}`,
    kept === undefined ? undefined : `reuse ${kept}`,
    from === undefined ? undefined : `from ${from}`,
    base.name === "sgd" || base.name === method ? undefined : `over ${base.name}`,
  ].filter((detail) => detail !== undefined);
  return details.length > 0 ? `${method} (${details.join(", ")})` : method;
}

function createRadius(settings: RadiusSettings): Schedule {
  if (typeof settings === "number") return constant(settings);
  return settings.name === "constant"
    ? constant(settings.value)
    : proportionalToLearningRate(settings.high, settings.low);
}

function radiusLabel(schedule: ScheduleConfig): string {
  return "value" in schedule ? String(schedule.value) : `${schedule.high}→${schedule.low}`;
}
