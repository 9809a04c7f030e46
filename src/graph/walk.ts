import type { Graph, Node, Value } from "./graph.ts";

/** The nodes that the given values need, in an order of execution. Values in `known` need none. */
export function nodesOf(outputs: Iterable<Value>, known: ReadonlyMap<Value, unknown> = new Map()): Node[] {
  const found = new Set<Node>();
  const pending = [...outputs];
  while (pending.length > 0) {
    const value = pending.pop()!;
    const { origin } = value;
    if (origin.kind !== "node" || found.has(origin.node) || known.has(value)) continue;
    found.add(origin.node);
    for (const input of origin.node.inputs) if (input) pending.push(input);
  }
  return [...found].sort((a, b) => a.id - b.id);
}

/** The node that computes a value, and which of its outputs the value is, if the node has this operator. */
export function madeBy({ origin }: Value, operator: string) {
  return origin.kind === "node" && origin.node.operator === operator ? origin : undefined;
}

/** How often each value is read, by nodes and as an output. */
export function readersOf(nodes: readonly Node[], outputs: Iterable<Value>): Map<Value, number> {
  const readers = new Map<Value, number>();
  for (const value of [...nodes.flatMap((node) => node.inputs), ...outputs])
    if (value) readers.set(value, (readers.get(value) ?? 0) + 1);
  return readers;
}

/** The inputs and constants among what the given nodes and outputs read, each once, in order of id. */
export function leavesOf(nodes: readonly Node[], outputs: Iterable<Value>): Value[] {
  const leaves = new Set<Value>();
  for (const value of [...nodes.flatMap((node) => node.inputs), ...outputs]) {
    if (value && value.origin.kind !== "node") leaves.add(value);
  }
  return [...leaves].sort((a, b) => a.id - b.id);
}

/** Builds a node's counterpart in another graph from its translated inputs, or returns undefined to copy it. */
export type Rewrite = (
  node: Node,
  inputs: readonly (Value | undefined)[],
  target: Graph,
) => readonly Value[] | undefined;

/**
 * Copies the computation of `outputs` into `target` and returns their counterparts in order. Values in `bindings`
 * are replaced by what they map to (a model's parameters by perturbed ones, say), and what only they need is left out.
 * Inputs that are not bound become inputs of the target under the same name. `rewrite` may build something else in a
 * node's place.
 */
export function copyInto(
  target: Graph,
  outputs: readonly Value[],
  bindings: ReadonlyMap<Value, Value> = new Map(),
  rewrite?: Rewrite,
): Value[] {
  const translated = new Map(bindings);
  const translate = (value: Value): Value => {
    const known = translated.get(value);
    if (known) return known;
    const { origin } = value;
    if (origin.kind === "node") throw new Error(`${origin.node.operator} is read before it is computed`);
    const copy =
      origin.kind === "input"
        ? target.input(origin.name, value.type, value.shape)
        : target.constant(origin.data);
    translated.set(value, copy);
    return copy;
  };
  for (const node of nodesOf(outputs, bindings)) {
    const inputs = node.inputs.map((input) => input && translate(input));
    const copies = target.scoped(node.scope, () => {
      const rewritten = rewrite?.(node, inputs, target);
      return rewritten ?? target.add(node.operator, inputs, node.attributes, node.outputs, node.domain);
    });
    for (const [index, output] of node.outputs.entries()) {
      const copy = copies[index];
      if (copy && !translated.has(output)) translated.set(output, copy);
    }
  }
  return outputs.map(translate);
}
