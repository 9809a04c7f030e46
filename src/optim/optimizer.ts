import type { Value } from "../graph/graph.ts";
import type { Schedule } from "./schedules.ts";

// An optimizer is a direction (how gradients at one, two or three points become d) over a base update (how d moves
// the weights). Both are pure: they build graphs and hold nothing but their settings.

/** Loss and gradients of one mini-batch at some weights. */
export interface Evaluation {
  loss: Value;
  /** One per parameter, of its shape. */
  gradients: readonly Value[];
}

/** What a direction is built from. */
export interface DirectionContext {
  /** w, the unperturbed weights. */
  parameters: readonly Value[];
  /** Pass 1: at w. */
  first: Evaluation;
  /** A further pass on the same mini-batch at other weights. */
  evaluate: (parameters: readonly Value[]) => Evaluation;
  /** Scalars fed at every step. */
  rhoMax: Value;
  rhoMin: Value;
}

export interface Direction {
  /** d: takes the place of the gradient in the base update. */
  direction: readonly Value[];
  /** What the base update starts from; w unless stated. */
  start?: readonly Value[];
  /** Scalars to report, under their names in an exported step (`loss_max`, `scale`, …). */
  diagnostics: Readonly<Record<string, Value>>;
}

/** How a direction moves the weights. */
export interface BaseUpdate {
  readonly config: Readonly<Record<string, number | boolean | string>> & { readonly name: string };
  /** Names of the tensors kept per parameter; each has the parameter's shape and starts as zeros. */
  readonly state: readonly string[];
  /** The parameter's next value and the next value of each tensor of its state. */
  update(step: { parameter: Value; direction: Value; state: readonly Value[]; learningRate: Value }): {
    parameter: Value;
    state: readonly Value[];
  };
}

export interface Optimizer {
  /** Everything that tells this optimizer from another, as plain data for `run.json`. */
  readonly config: OptimizerConfig;
  readonly base: BaseUpdate;
  /** Mini-batch gradients a step computes. */
  readonly gradientEvaluations: number;
  /** The radii of the perturbations over training; absent where the method has none. */
  readonly rhoMax?: Schedule;
  readonly rhoMin?: Schedule;
  direction(context: DirectionContext): Direction;
}

export interface OptimizerConfig {
  readonly method: string;
  readonly base: BaseUpdate["config"];
  readonly [setting: string]: unknown;
}
