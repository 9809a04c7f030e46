import { UserError } from "../common/errors.ts";
import { type OptionKinds, readOptions } from "../common/options.ts";
import { Graph, type Value } from "../graph/graph.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { add, div, divideOrZero, mul, sub } from "../ops/arithmetic.ts";
import { maximum, minimum } from "../ops/variadic.ts";
import type { Direction, DirectionContext, Evaluation, Optimizer } from "./optimizer.ts";
import { defaultSettings, type ParameterSettings } from "./parameter-groups.ts";
import { average, MicroBatches, type Objective, Passes, perturbationScope } from "./passes.ts";
import { perturbation } from "./perturbation.ts";
import { scalarInput } from "./scalars.ts";
import { norm } from "./vectors.ts";

export type { Objective } from "./passes.ts";

/** Ending of the name of a parameter's running average. */
export const averageName = "average";

/** The share of a running average that the steps so far make up, from 0 before the first towards 1. */
export const averageShareName = "optimizer.average_share";

export interface TrainingStepOptions {
  /** Which kind of the optimizer's steps. Default: its first, the complete one. */
  step?: string;
  /** How each parameter is treated, by its name. Default: all alike. */
  settings?: ReadonlyMap<string, ParameterSettings>;
  /** Scale d down to this norm where it is longer, once. */
  clipNorm?: number;
  /** Number of micro-batches that the mini-batch is cut into; the objective is built for one. Default 1. */
  microBatches?: number;
  /**
   * With several parts: one perturbation from the whole mini-batch's gradient (`"batch"`, default), or one per part
   * (`"micro-batch"`: m-sharpness, arXiv 2010.01412 section 4.1).
   */
  perturbationPer?: "batch" | "micro-batch";
  /**
   * Keep a moving average of the weights after each step, in which a step's share is `averageDecay` (from 0 to below 1)
   * times that of the next. The shares add up to 1 from the first step on, so the initial weights have none.
   */
  averageDecay?: number;
  /** What elements of parameters do not fall below, by the parameter's name: a tensor of its shape. */
  lowerBounds?: ReadonlyMap<string, TensorData>;
  /**
   * Compute again what each gradient needs of its forward pass, instead of keeping all of it: less memory, a little more
   * time, the same numbers to the last bit. Default: where a gradient reads more than 512 MiB of the forward pass, and only in
   * programs for engines that free memory as they go, such as the processor's in Node.
   */
  recompute?: boolean;
}

export const trainingStepOptions: OptionKinds<TrainingStepOptions> = {
  step: "text",
  settings: "object",
  clipNorm: "number",
  microBatches: "number",
  perturbationPer: ["batch", "micro-batch"],
  averageDecay: "number",
  lowerBounds: "object",
  recompute: "boolean",
};

/**
 * One optimizer step as one graph: every gradient evaluation, the perturbations, the update, the buffers and all
 * diagnostics.
 *
 * Inputs: each parameter and buffer under its name, `<parameter>.<state>` and `optimizer.<state>` for the optimizer's
 * state, the objective's data, `learning_rate`, and the optimizer's scalars (`rho_max` of `rhoMax`,
 * `optimizer.share` of `share`) as far as this kind
 * of step needs them. Outputs: `<name>.next` for each parameter, buffer and state tensor that the step changes, and the scalars
 * `loss`, `grad_norm`, `direction_norm` and the optimizer's diagnostics.
 *
 * Every pass sees the same batch; buffers take their next values from pass 1 alone.
 */
export function trainingStep(
  objective: Objective,
  optimizer: Optimizer,
  options: TrainingStepOptions = {},
): Graph {
  readOptions("trainingStep", options, trainingStepOptions);
  const { settings, clipNorm, microBatches = 1, perturbationPer = "batch", averageDecay } = options;
  const { lowerBounds, recompute } = options;
  const kinds = Object.keys(optimizer.steps);
  const { step = kinds[0] } = options;
  if (!kinds.includes(step)) {
    throw new UserError(`there is no step "${step}" of this optimizer; choose one of ${kinds.join(", ")}`);
  }
  const rule = optimizer.steps[step];
  const graph = new Graph();
  const settingsOf = (name: string) => settings?.get(name) ?? defaultSettings;
  const names = [...objective.parameters.keys()].filter((name) => !settingsOf(name).frozen);
  if (names.length === 0) throw new UserError("all parameters are frozen; there is nothing to train");
  const inputLike = (name: string, { type, shape }: Value) => graph.input(name, type, shape);
  const parameters = names.map((name) => inputLike(name, objective.parameters.get(name)!));
  const scalar = (name: string) => graph.input(name, parameters[0].type, []);

  const passes = new Passes(graph, objective, names, {
    parts: new MicroBatches(objective, microBatches),
    recompute,
  });
  const own = names.map(settingsOf);
  const context: Omit<DirectionContext, "first" | "evaluate"> = {
    parameters,
    perturbed: own.map(({ perturbed }) => perturbed),
    perturb: (along, perturbationOptions) =>
      graph.scoped(perturbationScope, () => perturbation(parameters, along, own, perturbationOptions)),
    state: (name) => names.map((parameter, index) => inputLike(`${parameter}.${name}`, parameters[index])),
    scalar: (name) => scalar(inputOfScalar(name, optimizer, objective)),
  };
  const parts = perturbationPer === "micro-batch" ? passes.perPart() : [passes.whole()];
  const made = parts.map(({ first: firstPass, evaluate }) => {
    const first = firstPass(rule.firstAt?.(context) ?? parameters);
    const further: Evaluation[] = [];
    const kept = (at: readonly Value[]) => {
      const evaluation = evaluate(at);
      further.push(evaluation);
      return evaluation;
    };
    const { diagnostics, ...made } = rule.direction({ ...context, first, evaluate: kept });
    const changed = further[0]?.integersChanged;
    return {
      first,
      ...made,
      diagnostics: { ...diagnostics, ...(changed && { integers_changed: changed }) },
    };
  });
  const { first, direction, start = parameters, state = {}, diagnostics } = averageOf(made);

  const learningRate = scalar("learning_rate");
  const length = norm(direction);
  const clipped = clipNorm === undefined ? direction : clip(direction, length, clipNorm);
  const { base } = optimizer;
  const shared = base.updateShared(base.sharedState.map((name) => scalar(`optimizer.${name}`)));
  for (const [slot, name] of base.sharedState.entries()) graph.output(`optimizer.${name}.next`, shared[slot]);
  const blend = averageDecay === undefined ? undefined : nextShare(scalar(averageShareName), averageDecay);
  for (const [index, name] of names.entries()) {
    const { learningRate: rate, weightDecay } = own[index];
    const stateNames = base.state.map((slot) => `${name}.${slot}`);
    const updated = base.update({
      parameter: start[index],
      direction: clipped[index],
      state: stateNames.map((stateName) => inputLike(stateName, parameters[index])),
      sharedState: shared,
      learningRate: rate === 1 ? learningRate : mul(learningRate, rate),
      decayFactor: weightDecay,
    });
    const least = lowerBounds?.get(name);
    const next = least ? maximum(updated.parameter, graph.constant(least)) : updated.parameter;
    graph.output(`${name}.next`, next);
    for (const [slot, stateName] of stateNames.entries())
      graph.output(`${stateName}.next`, updated.state[slot]);
    for (const [key, values] of Object.entries(state)) graph.output(`${name}.${key}.next`, values[index]);
    if (blend) {
      const average = inputLike(`${name}.${averageName}`, parameters[index]);
      const moved = mul(sub(next, average), blend);
      graph.output(`${name}.${averageName}.next`, add(average, moved));
    }
  }
  for (const [name, value] of passes.buffers) graph.output(`${name}.next`, value);
  const scalars = { loss: first.loss, grad_norm: norm(first.gradients), direction_norm: length };
  for (const [name, value] of Object.entries({ ...scalars, ...diagnostics })) graph.output(name, value);
  return graph;
}

/** The input that a scalar of the optimizer is. */
function inputOfScalar(name: string, { scalars, base, config }: Optimizer, { loss }: Objective): string {
  if (!Object.hasOwn(scalars, name))
    throw new UserError(
      `${config.method}: the direction asks for the scalar ${name}, which \`scalars\` does not have`,
    );
  const input = scalarInput(name);
  const state = [...base.sharedState.map((slot) => `optimizer.${slot}`), averageShareName];
  if (!state.includes(input) && !loss.graph.inputs.has(input)) return input;
  throw new UserError(
    `${config.method}: the scalar ${name} is the input "${input}", a name that the step has already; choose another`,
  );
}

/** What several parts of a mini-batch made, as one. */
function averageOf(parts: readonly (Direction & { first: Evaluation })[]) {
  type Part = (typeof parts)[number];
  const weights = parts.map(({ first }) => first.weight);
  const mean = (of: (part: Part) => Value) => average(parts.map(of), weights);
  const means = (of: (part: Part) => readonly Value[] | undefined) =>
    of(parts[0])?.map((_, index) => mean((part) => of(part)![index]));
  const [{ diagnostics, state = {} }] = parts;
  return {
    first: {
      loss: mean(({ first }) => first.loss),
      gradients: means(({ first }) => first.gradients)!,
    },
    direction: means((part) => part.direction)!,
    start: means((part) => part.start),
    state: Object.fromEntries(
      Object.keys(state).map((name) => [name, means((part) => part.state?.[name])!]),
    ) as Record<string, Value[]>,
    diagnostics: Object.fromEntries(
      Object.keys(diagnostics).map((name) => [name, mean((part) => part.diagnostics[name])]),
    ),
  };
}

/**
 * The share of this step's weights in their moving average: (1 − β)/(1 − βᵗ) at step t, Adam's correction of the bias
 * toward the start. `share`, 1 − βᵗ⁻¹, becomes 1 − βᵗ.
 */
function nextShare(share: Value, decay: number): Value {
  if (!(decay >= 0 && decay < 1))
    throw new UserError(`the decay of the averaged weights is ${decay}; it has to be from 0 to below 1`);
  const { graph, type } = share;
  const own = graph.scalar(1 - decay, type);
  const next = add(mul(share, decay), own);
  graph.output(`${averageShareName}.next`, next);
  return div(own, next);
}

function clip(direction: readonly Value[], length: Value, longest: number): Value[] {
  if (!(longest > 0)) throw new UserError(`the norm to clip to is ${longest}; it has to be above 0`);
  // Where d is 0 it stays 0, whatever the factor.
  const factor = minimum(divideOrZero(length.graph.scalar(longest, length.type), length), 1);
  return direction.map((value) => mul(value, factor));
}
