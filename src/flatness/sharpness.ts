import { gradients } from "../autodiff/gradients.ts";
import { Graph, type Value } from "../graph/graph.ts";
import { copyInto } from "../graph/walk.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { neg } from "../ops/arithmetic.ts";
import type { Objective } from "../optim/training-step.ts";
import { addScaled, divideOrZero, norm } from "../optim/vectors.ts";
import type { SharpnessRecord } from "../train/records.ts";

/**
 * The one-step sharpness of a loss at its parameters, as a graph: with u = g/‖g‖ the normalised gradient on the same
 * data, the losses at w, w + ρ·u and w − ρ·u (arXiv 2409.13173, section 3).
 *
 * Inputs: those of the objective, and the scalar `rho`. Outputs: `loss`, `loss_max`, `loss_min`, `grad_norm`.
 */
export function sharpnessGraph(objective: Pick<Objective, "loss" | "parameters">): Graph {
  const graph = new Graph();
  const inputs = [...objective.parameters.values()];
  const lossAt = (weights: readonly Value[]) =>
    copyInto(graph, [objective.loss], new Map(inputs.map((input, index) => [input, weights[index]])))[0];
  const parameters = [...objective.parameters].map(([name, { type, shape }]) =>
    graph.input(name, type, shape),
  );
  const rho = graph.input("rho", parameters[0].type, []);
  const loss = lossAt(parameters);
  const gradient = gradients(loss, parameters);
  const gradNorm = norm(gradient);
  const factor = divideOrZero(rho, gradNorm);
  graph.output("loss", loss);
  graph.output("loss_max", lossAt(addScaled(parameters, factor, gradient)));
  graph.output("loss_min", lossAt(addScaled(parameters, neg(factor), gradient)));
  graph.output("grad_norm", gradNorm);
  return graph;
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
