import type { DeviceRecord } from "../runtime/proving-engine.ts";
import type { TaskRecord } from "./task-record.ts";

/**
 * What a run writes down: the lines of `metrics.jsonl`, `summary.json` and `comparison.json`.
 * Writers and readers (reports, tables, other programs) share these types and nothing else; records of earlier versions
 * become today's in `older-records.ts`.
 *
 * JSON has no infinity and no NaN: a number that is not finite (in a step that was dropped, or of a network whose
 * weights have become huge) is `null` in the file.
 */

/** One optimizer step, as far as its method has the passes. All quantities are of that step's mini-batch. */
export interface StepRecord {
  type: "step";
  /** 1-based, over the whole run. */
  step: number;
  /** 1-based. */
  epoch: number;
  learningRate: number;
  /** The optimizer's scalars, such as radii, by its own names. */
  scalars: Record<string, number>;
  /** L(w), L(w + ε_max), L(w − ε_min). */
  loss: number;
  lossMax?: number;
  lossMin?: number;
  /** L(w + ε_max) − L(w); L(w) − L(w − ε_min); their sum. */
  maxSharpness?: number;
  minSharpness?: number;
  bilateralSharpness?: number;
  /** ‖g‖, ‖g⁺‖, ‖g⁻‖ and ‖d‖, d being what the base optimizer got. */
  gradNorm: number;
  gradNormMax?: number;
  gradNormMin?: number;
  directionNorm: number;
  /** ς = ‖g⁺‖ / ‖g⁻‖. */
  scale?: number;
  cosGradMax?: number;
  /** cos(g, g⁻); below 0 the descent point overshot the valley. */
  cosGradMin?: number;
  /** uᵀHu ≈ u·(g⁺ − g⁻) / (ρ_max + ρ_min): the curvature along the gradient. */
  curvature?: number;
  /** Of a network of small integers: the share of its weights that the first perturbation makes other integers. */
  integersChanged?: number;
  /** Theorem 1's Z₁·τ = (1 − ς) / (1 + ς²). */
  theoremOne?: number;
  /** Present and true when ‖g‖ or ‖g⁻‖ was zero and its term was left out. */
  zeroGradient?: true;
  /** Present and true when a quantity was not finite and the whole step was dropped (`onNonFinite: "skip"`). */
  skipped?: true;
}

/** MaxS, MinS and BilS at one radius on a fixed subset of the training images, BatchNorm in inference mode. */
export interface SharpnessRecord {
  rho: number;
  images: number;
  loss: number;
  maxSharpness: number;
  minSharpness: number;
  bilateralSharpness: number;
  gradNorm: number;
}

/** What the weights at the end of an epoch are worth. */
export interface Measurements {
  /** The plain loss on the whole test set (inference mode). */
  testLoss: number;
  /** By the names of the task's metrics; those that do not apply are absent. Shares are between 0 and 1. */
  metrics: Record<string, number>;
  sharpness?: SharpnessRecord;
}

/** The end of one epoch; with measurements where it was looked at (`evaluateEvery`). */
export interface EpochRecord extends Partial<Measurements> {
  type: "epoch";
  epoch: number;
  /** Optimizer steps so far. */
  step: number;
  /** Mean over the epoch's steps of the loss at w (training mode, augmented, smoothed). */
  trainLoss: number;
  /** Seconds of training in this epoch, evaluation left out. */
  seconds: number;
  examplesPerSecond: number;
  /** Mini-batch gradients computed so far in the run. */
  gradientEvaluations: number;
  /** Of a network of small integers: the mean over the epoch's steps of the share that perturbations change. */
  integersChanged?: number;
}

export type MetricsRecord = StepRecord | EpochRecord;

/** `summary.json`: how a run ended. */
export interface RunSummary extends Measurements {
  name: string;
  /** The kind of problem, such as `classification`; what it measures stands in `run.json`. */
  task: string;
  /** The optimizer as a reader would name it, e.g. `bilateral-sam (paper, ρmax 0.05, ρmin 0.05→0)`. */
  optimizer: string;
  /** The same for other programs: the method, its base update, and of a method that has several the variant. */
  method: string;
  base: string;
  variant?: string;
  /** "diverged": a loss or gradient was not finite, and the run ended at the last good weights. */
  status: "finished" | "interrupted" | "diverged";
  epochs: number;
  steps: number;
  parameters: number;
  trainLoss: number;
  gradientEvaluations: number;
  /** Seconds of training, evaluation left out. */
  seconds: number;
  /** Where the steps were computed; absent in records of earlier versions. */
  device?: DeviceRecord;
  /** The network of averaged weights, where one is kept (`model-average.onnx`). */
  averaged?: Omit<Measurements, "sharpness">;
}

/**
 * The form of a run folder's records. 3: `run.json` says what the task measures, and steps have `scalars` by name. 2 had
 * `rhoMax` and `rhoMin` beside the learning rate, `metrics` by name, and networks that take pixels as they are stored. 1 had
 * `testAccuracy` and networks that take normalized images.
 */
export const recordFormat = 3;

/** `run.json`: everything needed to repeat the run and to know where it ran. */
export interface RunRecord {
  /** The first versions wrote none. */
  format: number;
  name: string;
  task: TaskRecord;
  createdAt: string;
  /** The complete configuration: every default filled in. */
  configuration: Record<string, unknown>;
  versions: Record<string, string>;
  machine: { platform: string; arch: string; cpu: string; cores: number; memoryGiB: number };
}

/** `comparison.json` in a folder that holds several runs, each a sub-folder. */
export interface ComparisonRecord {
  name: string;
  createdAt: string;
  /** Sub-folders in the order to show them. Those not reached yet hold no `summary.json`. */
  runs: string[];
}
