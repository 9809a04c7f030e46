import type { Value } from "../graph/graph.ts";
import type { Perturbation, PerturbationOptions } from "./perturbation.ts";
import type { Progress, Schedule } from "./schedules.ts";

// An optimizer is a direction (how gradients at one, two or three points become d) over a base update (how d moves
// the weights). Both are pure: they build graphs and hold nothing but their settings.

/** Loss and gradients of one mini-batch at some weights. */
export interface Evaluation {
  loss: Value;
  /** One per parameter, of its shape. */
  gradients: readonly Value[];
  /** What they count for beside those of other micro-batches. Absent: all count alike. */
  weight?: Value;
  /** The share of quantized weights that are other integers than in pass 1; absent in pass 1 and without such weights. */
  integersChanged?: Value;
}

/** What a direction is built from. `Scalar` are the names of the scalars it asks for. */
export interface DirectionContext<Scalar extends string = string> {
  /** w, the unperturbed weights. */
  parameters: readonly Value[];
  /** Pass 1: at w, unless the step takes it elsewhere (`firstAt`). */
  first: Evaluation;
  /** A further pass on the same mini-batch at other weights. */
  evaluate: (parameters: readonly Value[]) => Evaluation;
  /** Which of the parameters are perturbed. */
  perturbed: readonly boolean[];
  /** The way to move the perturbed parameters along some gradients or other vectors. */
  perturb: (along: readonly Value[], options?: PerturbationOptions) => Perturbation;
  /** A tensor of the optimizer's state for every parameter, by its name. */
  state: (name: string) => readonly Value[];
  /** One of the optimizer's scalars as its schedule has it at this step: an input. */
  scalar: (name: Scalar) => Value;
}

export interface Direction {
  /** d: takes the place of the gradient in the base update. */
  direction: readonly Value[];
  /** What the base update starts from; w unless stated. */
  start?: readonly Value[];
  /** Next values of the tensors the optimizer itself keeps, one per parameter, by their names. */
  state?: Readonly<Record<string, readonly Value[]>>;
  /** Scalars to report, under their names in an exported step (`loss_max`, `scale`, …). */
  diagnostics: Readonly<Record<string, Value>>;
}

/** One kind of step. */
export interface StepRule<Scalar extends string = string> {
  /** Mini-batch gradients it computes. */
  readonly gradientEvaluations: number;
  /** Which steps are of this kind, as a condition on `step`, from 0, and `total_steps`. Left out: every step. */
  readonly when?: string;
  /** Where pass 1 is taken; w unless stated. */
  firstAt?(context: Omit<DirectionContext<Scalar>, "first" | "evaluate">): readonly Value[];
  direction(context: DirectionContext<Scalar>): Direction;
}

/** How a direction moves the weights. */
export interface BaseUpdate {
  readonly config: Readonly<Record<string, number | boolean | string>> & { readonly name: string };
  /** Names of the tensors kept per parameter; each has the parameter's shape and starts as zeros. */
  readonly state: readonly string[];
  /** Which of them is a momentum, for methods that perturb along it. */
  readonly momentum?: string;
  /** Names of the scalars kept for all parameters together; each starts as 0. */
  readonly sharedState: readonly string[];
  /** The next values of the scalars. */
  updateShared(values: readonly Value[]): readonly Value[];
  /** The parameter's next value and the next value of each tensor of its state. */
  update(step: {
    parameter: Value;
    direction: Value;
    state: readonly Value[];
    /** Already the next values. */
    sharedState: readonly Value[];
    learningRate: Value;
    /** Factor of the weight decay for this parameter. */
    decayFactor: number;
  }): { parameter: Value; state: readonly Value[] };
}

export interface Optimizer {
  /** Everything that tells this optimizer from another, as plain data for `run.json`. */
  readonly config: OptimizerConfig;
  readonly base: BaseUpdate;
  /** The kinds of step it makes; each is compiled into a graph of its own. The first is the complete one. */
  readonly steps: Readonly<Record<string, StepRule>>;
  /** Which of them is made. */
  stepAt(progress: Progress): string;
  /** Names of the tensors kept per parameter beside the base update's; they start as zeros. */
  readonly state: readonly string[];
  /**
   * What changes over training beside the learning rate: numbers of 0 or more by names of the optimizer's own. The name
   * of a radius begins with `rho`. Each is an input of the steps (`rho_max` of `rhoMax`, `optimizer.share` of `share`), and
   * stands under its name in step records and reports.
   */
  readonly scalars: Readonly<Record<string, Schedule>>;
}

export interface OptimizerConfig {
  readonly method: string;
  readonly base: BaseUpdate["config"];
  readonly [setting: string]: unknown;
}

/** The base update alone: d = g. */
export function plain(base: BaseUpdate): Optimizer {
  return overBase(
    base,
    { method: base.config.name, scalars: {} },
    {
      gradientEvaluations: 1,
      direction: ({ first }) => ({ direction: first.gradients, diagnostics: {} }),
    },
  );
}

/** A method that makes one kind of step and keeps nothing of its own. Its `config` tells the schedules by their names. */
export function overBase<Scalar extends string>(
  base: BaseUpdate,
  {
    method,
    scalars,
    ...settings
  }: { method: string; scalars: Record<Scalar, Schedule>; [setting: string]: unknown },
  step: StepRule<Scalar>,
): Optimizer {
  const schedules = Object.entries<Schedule>(scalars).map(([name, { config }]) => [name, config]);
  return {
    config: { method, ...Object.fromEntries(schedules), ...settings, base: base.config },
    base,
    steps: { step },
    stepAt: () => "step",
    state: [],
    scalars,
  };
}
