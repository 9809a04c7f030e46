import { gradients } from "../autodiff/gradients.ts";
import { Graph, type Value } from "../graph/graph.ts";
import { copyInto } from "../graph/walk.ts";
import type { Evaluation, Optimizer } from "./optimizer.ts";
import { norm } from "./vectors.ts";

/** What is minimised: a graph from parameters, buffers and a batch to a loss. */
export interface Objective {
  loss: Value;
  /** The graph's inputs that are trained, by their names. */
  parameters: ReadonlyMap<string, Value>;
  /** What the buffers (running statistics) become after a pass in training mode, by the names of their inputs. */
  buffers: ReadonlyMap<string, Value>;
}

/**
 * One optimizer step as one graph: every gradient evaluation, the perturbations, the update, the buffers and all
 * diagnostics.
 *
 * Inputs: each parameter and buffer under its name, `<parameter>.<state>` for the optimizer's state, the objective's
 * data, and the scalars `learning_rate`, `rho_max`, `rho_min` as far as the optimizer needs them. Outputs:
 * `<name>.next` for each parameter, buffer and state tensor, and the scalars `loss`, `grad_norm`, `direction_norm` and
 * the optimizer's diagnostics.
 *
 * Every pass sees the same batch; buffers take their next values from pass 1 alone.
 */
export function trainingStep(objective: Objective, optimizer: Optimizer): Graph {
  const step = new Graph();
  const names = [...objective.parameters.keys()];
  const inputs = [...objective.parameters.values()];
  const parameters = inputs.map(({ type, shape }, index) => step.input(names[index], type, shape));
  const scalar = (name: string) => step.input(name, parameters[0].type, []);

  const pass = (weights: readonly Value[], scope: string, more: readonly Value[] = []) =>
    step.scoped(scope, () => {
      const bindings = new Map(inputs.map((input, index) => [input, weights[index]]));
      const [loss, ...others] = copyInto(step, [objective.loss, ...more], bindings);
      return { evaluation: { loss, gradients: gradients(loss, weights) } satisfies Evaluation, others };
    });

  const { evaluation: first, others: buffers } = pass(parameters, "pass1", [...objective.buffers.values()]);
  let passes = 1;
  const { direction, start, diagnostics } = optimizer.direction({
    parameters,
    first,
    evaluate: (weights) => pass(weights, `pass${++passes}`).evaluation,
    rhoMax: scalar("rho_max"),
    rhoMin: scalar("rho_min"),
  });

  const learningRate = scalar("learning_rate");
  for (const [index, name] of names.entries()) {
    const state = stateNames(optimizer, name);
    const next = optimizer.base.update({
      parameter: (start ?? parameters)[index],
      direction: direction[index],
      state: state.map((stateName) => step.input(stateName, parameters[index].type, parameters[index].shape)),
      learningRate,
    });
    step.output(`${name}.next`, next.parameter);
    for (const [slot, stateName] of state.entries()) step.output(`${stateName}.next`, next.state[slot]);
  }
  for (const [index, name] of [...objective.buffers.keys()].entries())
    step.output(`${name}.next`, buffers[index]);
  const scalars = { loss: first.loss, grad_norm: norm(first.gradients), direction_norm: norm(direction) };
  for (const [name, value] of Object.entries({ ...scalars, ...diagnostics })) step.output(name, value);
  return step;
}

/** Names of the optimizer's state tensors of a parameter. */
export function stateNames(optimizer: Optimizer, parameter: string): string[] {
  return optimizer.base.state.map((name) => `${parameter}.${name}`);
}
