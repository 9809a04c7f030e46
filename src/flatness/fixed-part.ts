import { Graph, type TensorType, type Value } from "../graph/graph.ts";
import { copyInto, nodesOf } from "../graph/walk.ts";
import { nextSuffix } from "../runtime/engine.ts";

/** A graph in two: run `fixed` once and `varying` as often as the inputs that vary do. */
export interface SplitGraph {
  /** Computes what is kept, as outputs `<name>.next`. */
  fixed: Graph;
  /** The graph's outputs, from its inputs and what was kept, as inputs `<name>`. */
  varying: Graph;
  kept: readonly (TensorType & { name: string })[];
}

/** What costs more to compute than to read: matrix products, convolutions, reductions and the like. */
const costly = /Conv|MatMul|Gemm|Reduce|Pool|Softmax|BatchNormTraining|Scatter|Gather|ArgMax/;

/**
 * Splits off what does not depend on some inputs. A product with the Hessian computes the network and its gradient
 * before it comes to the vector; at fixed weights that is the same for every vector and a third of the work.
 *
 * Kept are results of costly operators only. What follows from them elementwise is computed again each time, which
 * takes little longer than reading it would and saves most of the memory.
 */
export function splitOffFixed(graph: Graph, varying: ReadonlySet<Value>): SplitGraph {
  const outputs = [...graph.outputs];
  const values = outputs.map(([, value]) => value);
  const dependent = new Set(varying);
  const kept = new Set<Value>();
  const fixedNeeds = (value: Value | undefined): void => {
    if (!value || dependent.has(value) || kept.has(value) || value.origin.kind !== "node") return;
    const { node } = value.origin;
    if (costly.test(node.operator)) kept.add(value);
    else for (const input of node.inputs) fixedNeeds(input);
  };
  for (const node of nodesOf(values)) {
    if (!node.inputs.some((input) => input && dependent.has(input))) continue;
    for (const output of node.outputs) dependent.add(output);
    for (const input of node.inputs) fixedNeeds(input);
  }
  for (const value of values) fixedNeeds(value);

  const fixed = new Graph();
  const rest = new Graph();
  const named = [...kept].map((value, index) => ({ name: `fixed/${index}`, value }));
  for (const [index, copy] of copyInto(fixed, [...kept]).entries()) {
    fixed.output(`${named[index].name}${nextSuffix}`, copy);
  }
  const bindings = named.map(
    ({ name, value }) => [value, rest.input(name, value.type, value.shape)] as const,
  );
  for (const [index, copy] of copyInto(rest, values, new Map(bindings)).entries()) {
    rest.output(outputs[index][0], copy);
  }
  return {
    fixed,
    varying: rest,
    kept: named.map(({ name, value: { type, shape } }) => ({ name, type, shape })),
  };
}
