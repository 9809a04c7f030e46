import { Graph, type Value } from "./graph.ts";
import { copyInto, nodesOf } from "./walk.ts";

// A computation in two: what some inputs do not change is computed once and kept.

export interface FixedPartOptions {
  /** The inputs that change; nothing that depends on them is kept. */
  varying: ReadonlySet<Value>;
  /** Only what depends on these is kept. Default: whatever does not vary. */
  from?: ReadonlySet<Value>;
  /**
   * What is kept: the `"last"` fixed values, which the varying part reads; or of these the `"costly"` ones that they
   * follow from elementwise, and of two costly ones their sum. The rest is then computed again each time, which takes little longer than reading it would
   * and saves most of the memory.
   */
  keep: "last" | "costly";
}

/** A computation in two graphs, to which outputs are still to be added. */
export interface Split {
  /** Computes what is kept. */
  fixed: Graph;
  /** What is kept, as values of `fixed`, and the names that `varying` has them under as inputs. */
  kept: readonly { name: string; value: Value }[];
  varying: Graph;
  /** The values asked for, in `varying`. */
  values: readonly Value[];
}

/** What costs more to compute than to read: matrix products, convolutions, reductions and the like. */
const costly = /Conv|MatMul|Gemm|Reduce|Pool|Softmax|BatchNormTraining|Scatter|Gather|ArgMax/;

function isCostly(value: Value | undefined): boolean {
  return value?.origin.kind === "node" && costly.test(value.origin.node.operator);
}

/** The values that are worth keeping: they do not vary, and what varies is computed from them. */
export function fixedPart(values: readonly Value[], { varying, from, keep }: FixedPartOptions): Value[] {
  const dependent = new Set(varying);
  const eligible = new Set(from);
  const kept = new Set<Value>();
  const fixedNeeds = (value: Value | undefined): void => {
    if (!value || dependent.has(value) || kept.has(value) || value.origin.kind !== "node") return;
    if (from && !eligible.has(value)) return;
    const { node } = value.origin;
    if (keep === "last" || isCostly(value) || (node.operator === "Add" && node.inputs.every(isCostly)))
      kept.add(value);
    else for (const input of node.inputs) fixedNeeds(input);
  };
  for (const node of nodesOf(values)) {
    if (node.inputs.some((input) => input && eligible.has(input)))
      for (const output of node.outputs) eligible.add(output);
    if (!node.inputs.some((input) => input && dependent.has(input))) continue;
    for (const output of node.outputs) dependent.add(output);
    for (const input of node.inputs) fixedNeeds(input);
  }
  for (const value of values) fixedNeeds(value);
  return [...kept];
}

/**
 * Splits off what does not vary. A product with the Hessian computes the network and its gradient before it comes to the
 * vector; at fixed weights that is the same for every vector and a third of the work. Frozen layers before those that
 * train give the same for an image in every step.
 * @param prefix begins the names of what is kept
 */
export function splitOffFixed(values: readonly Value[], options: FixedPartOptions, prefix: string): Split {
  const [fixed, rest] = [new Graph(), new Graph()];
  const found = fixedPart(values, options);
  const inputs = found.map(({ type, shape }, index) => rest.input(`${prefix}${index}`, type, shape));
  const bindings = new Map(found.map((value, index) => [value, inputs[index]]));
  return {
    fixed,
    kept: copyInto(fixed, found).map((value, index) => ({ name: `${prefix}${index}`, value })),
    varying: rest,
    values: copyInto(rest, values, bindings),
  };
}
