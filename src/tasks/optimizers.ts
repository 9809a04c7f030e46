import { bilateralSam } from "../optim/bilateral-sam.ts";
import type { Optimizer, OptimizerConfig } from "../optim/optimizer.ts";
import { sam } from "../optim/sam.ts";
import {
  constant,
  constantRate,
  cosine,
  type LearningRateSchedule,
  proportionalToLearningRate,
  type Schedule,
  type ScheduleConfig,
  stepDecay,
  warmUp,
} from "../optim/schedules.ts";
import { sgd } from "../optim/sgd.ts";
import type { OptimizerSettings, RunConfiguration } from "./configuration.ts";

// From the plain settings of a configuration to optimizers and schedules, and to the names people read.

/** The optimizer that checked settings describe. */
export function createOptimizer(settings: OptimizerSettings): Optimizer {
  const base = sgd(settings.base);
  switch (settings.method) {
    case "sgd":
      return base;
    case "sam":
      return sam(base, { rho: createRadius(settings.rho) });
    case "bilateral-sam":
      return bilateralSam(base, {
        variant: settings.variant,
        rhoMax: createRadius(settings.rhoMax),
        rhoMin: createRadius(settings.rhoMin),
      });
  }
}

/** The learning rate schedule that checked settings describe. */
export function createSchedule(settings: RunConfiguration["schedule"]): LearningRateSchedule {
  switch (settings.name) {
    case "constant":
      return constantRate();
    case "cosine":
      return cosine();
    case "step":
      return stepDecay(settings);
    case "warm-up":
      return warmUp(settings, createSchedule(settings.after));
  }
}

/** An optimizer as a reader would name it, e.g. `bilateral-sam (paper, ρmax 0.05, ρmin 0.05→0)`. */
export function optimizerLabel({ method, variant, rho, rhoMax, rhoMin }: OptimizerConfig): string {
  const radius = (symbol: string, schedule: unknown) =>
    schedule === undefined ? [] : [`${symbol} ${radiusLabel(schedule as ScheduleConfig)}`];
  const details = [
    ...(variant === undefined ? [] : [String(variant)]),
    ...radius("ρ", rho),
    ...radius("ρmax", rhoMax),
    ...radius("ρmin", rhoMin),
  ];
  return details.length > 0 ? `${method} (${details.join(", ")})` : method;
}

type RadiusSettings = Extract<OptimizerSettings, { method: "sam" }>["rho"];

function createRadius(settings: RadiusSettings): Schedule {
  if (typeof settings === "number") return constant(settings);
  return settings.name === "constant"
    ? constant(settings.value)
    : proportionalToLearningRate(settings.high, settings.low);
}

function radiusLabel(schedule: ScheduleConfig): string {
  return "value" in schedule ? String(schedule.value) : `${schedule.high}→${schedule.low}`;
}
