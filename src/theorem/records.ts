import type { ConfidenceInterval } from "../flatness/statistics.ts";
import type { ProblemKind, TheoremConfiguration } from "./configuration.ts";
import type { Decay } from "./steps.ts";

// What `theorem.json` holds.

/** A quantity at every step, `mean[0]` being that of step 1: over the noise draws. Null where no draw has a value. */
export interface Trace {
  mean: (number | null)[];
  /** The lowest and the highest draw. */
  low: (number | null)[];
  high: (number | null)[];
}

/** One number of every draw: their mean, and the interval for it by Student's t. */
export type AcrossDraws = Omit<ConfidenceInterval, "standardError" | "count">;

export interface ProblemRecord {
  kind: ProblemKind;
  /** τ. */
  smoothness: number;
  /** σ²; of logistic regression, at the start. */
  variance: number;
  start: readonly number[];
  /** Of the first step. */
  learningRate: number;
}

/** One method on one problem at one step size. */
export interface TheoremRun {
  problem: ProblemKind;
  /** The method with its radii. */
  name: string;
  method: string;
  decay: Decay;
  /** ‖∇L‖² of the full problem before each step; the mean and the least of steps 1 … t. */
  squaredGradient: Trace;
  meanSquaredGradient: Trace;
  minSquaredGradient: Trace;
  /** Slopes of the logarithms of the two against log t, from the configuration's `fitFrom` to the last step. */
  meanSlope: AcrossDraws;
  minSlope: AcrossDraws;
  /** Of bilateral SAM. */
  scale?: ScaleRecord;
}

export interface ScaleRecord {
  /** ς at every step, and Z₁·τ = (1 − ς)/(1 + ς²). */
  scale: Trace;
  theoremOne: Trace;
  /** The share of steps with ς ≥ 1. */
  shareAtLeastOne: AcrossDraws;
  /** Steps of all draws, and those of them that have no ς because ‖g⁻‖ = 0. */
  steps: number;
  undefinedSteps: number;
  /** Steps whose ρ_min is at most ρ_max + 2‖g‖/τ, and those beyond; of each, how many have ς < 1 (beyond rounding). */
  withinLimit: { steps: number; belowOne: number };
  beyondLimit: { steps: number; belowOne: number };
  /** Steps with cos(g, g⁻) < 0. */
  overshot: number;
}

/** `theorem.json`. */
export interface TheoremRecord {
  type: "theorem";
  configuration: TheoremConfiguration;
  problems: ProblemRecord[];
  runs: TheoremRun[];
}
