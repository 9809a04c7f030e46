import { gradients, hessianVectorProduct, innerProduct } from "../autodiff/gradients.ts";
import { UserError } from "../common/errors.ts";
import { describe, Graph, type Value } from "../graph/graph.ts";
import { copyInto } from "../graph/walk.ts";
import type { Objective } from "../optim/passes.ts";
import { withFoldedNormalization } from "./folded-normalization.ts";

/** What flatness is measured of: the mean loss of one batch, a scalar, without what training alone needs. */
export type LossModel = Pick<Objective, "loss" | "parameters" | "output" | "metrics">;

/** Endings of the names of a parameter's gradient, of its part of a vector, and of its part of a product. */
export const suffixes = { gradient: "/gradient", vector: "/vector", product: "/product" } as const;

export type ProgramKind = "loss" | "gradient" | "hessian" | "gauss-newton";

/**
 * The graph of one kind of measurement, for some of the model's parameters. Outputs: `loss` and the metrics
 * (`"loss"`), `loss` and gradients (`"gradient"`), or the parts of a product with the input vector.
 */
export function measurementGraph(given: LossModel, kind: ProgramKind, names: readonly string[]): Graph {
  const isProduct = kind === "hessian" || kind === "gauss-newton";
  const model = isProduct ? withoutNormalization(given) : given;
  const { loss, parameters, metrics = new Map<string, Value>() } = model;
  const { graph } = loss;
  if (loss.shape.length !== 0) {
    throw new UserError(`the loss has to be a scalar, the mean over the batch; got ${describe(loss)}`);
  }
  const wrt = names.map((name) => parameters.get(name)!);
  const withSuffix = (suffix: string, values: readonly Value[]) =>
    names.map((name, index): [string, Value] => [`${name}${suffix}`, values[index]]);
  const vector = () =>
    wrt.map(({ type, shape }, index) => graph.input(`${names[index]}${suffixes.vector}`, type, shape));
  switch (kind) {
    case "loss":
      return graphOf([["loss", loss], ...metrics]);
    case "gradient":
      return graphOf([["loss", loss], ...withSuffix(suffixes.gradient, gradients(loss, wrt))]);
    case "hessian":
      return graphOf(withSuffix(suffixes.product, hessianVectorProduct(loss, wrt, vector())));
    case "gauss-newton":
      return graphOf(withSuffix(suffixes.product, gaussNewtonVectorProduct(model, wrt, vector())));
  }
}

function withoutNormalization({ loss, parameters, output }: LossModel): LossModel {
  const values = [loss, ...parameters.values(), ...(output ? [output] : [])];
  const [copy, ...others] = withFoldedNormalization(values);
  const names = [...parameters.keys()];
  const copies = names.map((name, index): [string, Value] => [name, others[index]]);
  return { loss: copy, parameters: new Map(copies), output: others[names.length] };
}

/** A graph with these outputs and no others: the model's own may have its logits as an output. */
function graphOf(outputs: readonly (readonly [string, Value])[]): Graph {
  const graph = new Graph();
  const copies = copyInto(
    graph,
    outputs.map(([, value]) => value),
  );
  for (const [index, [name]] of outputs.entries()) graph.output(name, copies[index]);
  return graph;
}

/**
 * Jᵀ·H_L·J·v, exactly: J is the Jacobian of the network's output z for `wrt`, H_L the Hessian of the loss for z
 * (Schraudolph 2002). It is the Hessian without the curvature of the network itself, and positive semidefinite where
 * the loss is convex in z.
 *
 * There is only reverse accumulation, which gives u ↦ Jᵀu. That is linear in u, so the gradient of ⟨Jᵀu, v⟩ for u is
 * J·v whatever u is. H_L·(J·v) is a Hessian-vector product at z, and Jᵀ of it the first map again. In between a stand-in
 * input takes the place of each vector, so that it counts as a constant.
 */
function gaussNewtonVectorProduct(
  { loss, output }: LossModel,
  wrt: readonly Value[],
  vector: readonly Value[],
): Value[] {
  if (!output) {
    throw new UserError(
      "Gauss–Newton products need the network's output besides its loss; the model names none",
    );
  }
  const { graph } = loss;
  const standIn = graph.input("gauss-newton/stand-in", output.type, output.shape);
  const transposed = gradients(innerProduct([standIn], [output]), wrt);
  const [tangent] = gradients(innerProduct(transposed, vector), [standIn]);
  const curved = hessianVectorProduct(loss, [output], [standIn]);
  const cotangent = copyInto(graph, curved, new Map([[standIn, tangent]]));
  return copyInto(graph, transposed, new Map([[standIn, cotangent[0]]]));
}
