import { UserError } from "../common/errors.ts";
import { readOptions } from "../common/options.ts";

/** What a schedule may depend on. Steps are optimizer steps, counted from 0. */
export interface Progress {
  step: number;
  totalSteps: number;
  stepsPerEpoch: number;
  /** The learning rate now, and the ends of its own range (peak and final). */
  learningRate: { now: number; high: number; low: number };
}

/** A number that changes over training. `config` is its plain form for `run.json`. */
export interface Schedule {
  readonly config: ScheduleConfig;
  at(progress: Progress): number;
}

export type ScheduleConfig = { readonly name: string } & Readonly<
  Record<string, number | string | { readonly name: string }>
>;

/** The learning rate's schedule: a factor of the peak learning rate that ends at `low` of it. */
export interface LearningRateSchedule {
  readonly config: ScheduleConfig;
  /** Factor of the peak at a step. */
  factor(progress: Omit<Progress, "learningRate">): number;
  /** Factor at the end of training. */
  readonly low: number;
}

/** Always the peak. */
export function constantRate(): LearningRateSchedule {
  return { config: { name: "constant" }, factor: () => 1, low: 1 };
}

/** From the peak to 0 along half a cosine, step by step: ½(1 + cos(π·t/T)) (Loshchilov & Hutter 2017, no restarts). */
export function cosine(): LearningRateSchedule {
  return {
    config: { name: "cosine" },
    factor: ({ step, totalSteps }) => 0.5 * (1 + Math.cos((Math.PI * step) / totalSteps)),
    low: 0,
  };
}

/** From the peak in a straight line to `end` of it. */
export function linear(options: { end?: number } = {}): LearningRateSchedule {
  const { end = 0 } = readOptions("linear", options, { end: "number" });
  if (!(end >= 0 && end <= 1))
    throw new UserError(`linear schedule: end is ${end}; it has to be from 0 to 1`);
  return {
    config: { name: "linear", end },
    factor: ({ step, totalSteps }) => 1 + (end - 1) * (step / totalSteps),
    low: end,
  };
}

/** From the peak to 0 as (1 − t/T)^power: PyTorch's PolynomialLR. */
export function polynomial(options: { power?: number } = {}): LearningRateSchedule {
  const { power = 2 } = readOptions("polynomial", options, { power: "number" });
  requirePositive("polynomial schedule: power", power);
  return {
    config: { name: "polynomial", power },
    factor: ({ step, totalSteps }) => (1 - step / totalSteps) ** power,
    low: 0,
  };
}

/** Times `gamma` after every `epochs` epochs: PyTorch's StepLR. */
export function stepDecay(options: { epochs: number; gamma?: number }): LearningRateSchedule {
  const { epochs, gamma = 0.1 } = readOptions("stepDecay", options, { epochs: "number", gamma: "number" });
  requirePositive("step schedule: epochs", epochs);
  requirePositive("step schedule: gamma", gamma);
  return {
    config: { name: "step", epochs, gamma },
    factor: ({ step, stepsPerEpoch }) => gamma ** Math.floor(Math.floor(step / stepsPerEpoch) / epochs),
    low: 0,
  };
}

/**
 * Rises linearly from `start` of the peak over the first `epochs` epochs, then follows another schedule, which
 * begins there. A run of fewer epochs ends within the rise: PyTorch's LinearLR.
 */
export function warmUp(
  options: { epochs: number; start?: number },
  after: LearningRateSchedule = constantRate(),
): LearningRateSchedule {
  const { epochs, start = 0.01 } = readOptions("warmUp", options, { epochs: "number", start: "number" });
  requirePositive("warm-up: epochs", epochs);
  if (!(start >= 0 && start <= 1))
    throw new UserError(`warm-up: start is ${start}; it has to be from 0 to 1`);
  return {
    config: { name: "warm-up", epochs, start, after: after.config },
    low: after.low,
    factor: ({ step, totalSteps, stepsPerEpoch }) => {
      const rising = Math.round(epochs * stepsPerEpoch);
      if (step < rising) return start + (1 - start) * (step / rising);
      return after.factor({ step: step - rising, totalSteps: totalSteps - rising, stepsPerEpoch });
    },
  };
}

/** The same number at every step. */
export function constant(value: number): Schedule {
  requireRadius("radius", value);
  return { config: { name: "constant", value }, at: () => value };
}

/**
 * Follows the learning rate η between its ends: low + (high − low)·(η − η_low)/(η_high − η_low), never below 0 (in a
 * warm-up η may be under η_low). With a constant learning rate it is `high`. The authors' ρ_min.
 */
export function proportionalToLearningRate(high: number, low = 0): Schedule {
  requireRadius("radius at the highest learning rate", high);
  requireRadius("radius at the lowest learning rate", low);
  return {
    config: { name: "proportional-to-learning-rate", high, low },
    at: ({ learningRate: { now, high: highest, low: lowest } }) => {
      const share = highest > lowest ? (now - lowest) / (highest - lowest) : 1;
      return Math.max(0, low + (high - low) * share);
    },
  };
}

/** A number stands for a constant schedule. `what` names it in messages. */
export function toSchedule(what: string, value: number | Schedule): Schedule {
  if (typeof value === "object" && typeof value?.at === "function") return value;
  requireRadius(what, value as number);
  return constant(value as number);
}

function requireRadius(what: string, value: number): void {
  if (!(value >= 0 && Number.isFinite(value))) {
    throw new UserError(`${what} is ${value}; it has to be a number of 0 or more`);
  }
}

function requirePositive(what: string, value: number): void {
  if (!(value > 0 && Number.isFinite(value)))
    throw new UserError(`${what} is ${value}; it has to be above 0`);
}
