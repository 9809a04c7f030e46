import { readOptions } from "../common/options.ts";
import { Graph } from "../graph/graph.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { divideOrZero, neg } from "../ops/arithmetic.ts";
import { MicroBatches, type Objective, Passes } from "../optim/passes.ts";
import { addScaled, norm } from "../optim/vectors.ts";
import type { SharpnessRecord } from "../train/records.ts";

/**
 * The one-step sharpness of a loss at its parameters, as a graph: with u = g/‖g‖ the normalized gradient on the same
 * data, the losses at w, w + ρ·u and w − ρ·u (arXiv 2409.13173, section 3).
 *
 * With several `parts` the objective is built for one of N equal parts of the data: the same numbers. All parts are in one
 * graph; `sharpnessStages` needs the memory of one part only.
 *
 * Inputs: those of the objective, and the scalar `rho`. Outputs: `loss`, `loss_max`, `loss_min`, `grad_norm`.
 */
export function sharpnessGraph(objective: Objective, options: { parts?: number } = {}): Graph {
  const { parts = 1 } = readOptions("sharpnessGraph", options, { parts: "number" });
  const graph = new Graph();
  const names = [...objective.parameters.keys()];
  const parameters = names.map((name) => {
    const { type, shape } = objective.parameters.get(name)!;
    return graph.input(name, type, shape);
  });
  const passes = new Passes(graph, objective, names, { parts: new MicroBatches(objective, parts) }).whole();
  const { loss, gradients } = passes.evaluate(parameters);
  const rho = graph.input("rho", parameters[0].type, []);
  const gradNorm = norm(gradients);
  const factor = divideOrZero(rho, gradNorm);
  graph.output("loss", loss);
  graph.output("loss_max", passes.evaluate(addScaled(parameters, factor, gradients)).loss);
  graph.output("loss_min", passes.evaluate(addScaled(parameters, neg(factor), gradients)).loss);
  graph.output("grad_norm", gradNorm);
  return graph;
}

/** What names of gradients begin with, as outputs of one stage and inputs of the other. */
export const gradientPrefix = "gradient.";

/**
 * The same in two graphs for one of several batches of data, so that the memory of one batch is enough: the mean of what the
 * first gives over the batches is what the second takes, and the means of both are those of all data.
 *
 * - `gradient`: inputs of the objective → `loss`, and `gradient.…` for each parameter.
 * - `losses`: the same, `gradient.…` and the scalar `rho` → `loss_max`, `loss_min`, `grad_norm`.
 */
export function sharpnessStages(objective: Objective): { gradient: Graph; losses: Graph } {
  const names = [...objective.parameters.keys()];
  const open = () => {
    const graph = new Graph();
    const parameters = names.map((name) => {
      const { type, shape } = objective.parameters.get(name)!;
      return graph.input(name, type, shape);
    });
    const passes = new Passes(graph, objective, names, { parts: new MicroBatches(objective, 1) }).whole();
    return { graph, parameters, passes };
  };
  const first = open();
  const { loss, gradients } = first.passes.evaluate(first.parameters);
  first.graph.output("loss", loss);
  for (const [index, name] of names.entries())
    first.graph.output(`${gradientPrefix}${name}`, gradients[index]);

  const { graph, parameters, passes } = open();
  const given = names.map((name, index) => {
    const { type, shape } = parameters[index];
    return graph.input(`${gradientPrefix}${name}`, type, shape);
  });
  const gradNorm = norm(given);
  const factor = divideOrZero(graph.input("rho", parameters[0].type, []), gradNorm);
  graph.output("loss_max", passes.evaluate(addScaled(parameters, factor, given)).loss);
  graph.output("loss_min", passes.evaluate(addScaled(parameters, neg(factor), given)).loss);
  graph.output("grad_norm", gradNorm);
  return { gradient: first.graph, losses: graph };
}

/** MaxS, MinS and BilS from what the graph gave. */
export function sharpnessRecord(
  outputs: Readonly<Record<string, TensorData>>,
  { rho, images }: { rho: number; images: number },
): SharpnessRecord {
  const scalar = (name: string) => Number(outputs[name].data[0]);
  const [loss, lossMax, lossMin] = ["loss", "loss_max", "loss_min"].map(scalar);
  return {
    rho,
    images,
    loss,
    maxSharpness: lossMax - loss,
    minSharpness: loss - lossMin,
    bilateralSharpness: lossMax - lossMin,
    gradNorm: scalar("grad_norm"),
  };
}
