import { UserError } from "../common/errors.ts";
import type { Node, Value } from "../graph/graph.ts";
import { nodesOf } from "../graph/walk.ts";

/** Parameters that are named in a message; of more it says how many. */
const namedParameters = 4;

/**
 * The error for a node without a gradient that some of `wrt` lead to: it names the operator, the node, the way from a
 * parameter over it to the loss, and the parameters that would have to be frozen.
 */
export function noGradient(node: Node, loss: Value, wrt: readonly Value[]): UserError {
  const before = new Set(nodesOf(node.outputs));
  const blocked = wrt.filter((value) => leadsTo(value, before));
  const names = blocked.map(nameOf);
  const way = [
    `"${names[0]}"`,
    ...shortened([...between(blocked[0], node), ...after(node, loss)].map(labelOf)),
    "the loss",
  ];
  const more = names.length > namedParameters ? ` and ${names.length - namedParameters} more` : "";
  const list = names.slice(0, namedParameters).map((name) => `"${name}"`);
  return new UserError(
    `operator ${node.operator}${node.scope ? ` "${node.scope}"` : ""} has no gradient; it stands between a parameter and the loss: ${way.join(" → ")}; freeze ${list.join(", ")}${more} to get by`,
  );
}

function leadsTo(value: Value, nodes: ReadonlySet<Node>): boolean {
  return [...nodes].some(({ inputs }) => inputs.includes(value));
}

/** A value's name, or for one that is computed (perturbed weights, say) that of the first input it comes from. */
function nameOf(value: Value): string {
  if (value.origin.kind === "input") return value.origin.name;
  const inputs = nodesOf([value]).flatMap((node) => node.inputs);
  const named = inputs.find((input) => input?.origin.kind === "input");
  return named?.origin.kind === "input" ? named.origin.name : "a computed value";
}

/** Nodes on the shortest way from a value to a node, the node among them. */
function between(start: Value, end: Node): Node[] {
  const from = new Map<Node, Node | undefined>([[end, undefined]]);
  for (const node of from.keys()) {
    if (node.inputs.includes(start)) return chain(from, node);
    for (const input of node.inputs) {
      if (input?.origin.kind === "node" && !from.has(input.origin.node)) from.set(input.origin.node, node);
    }
  }
  return [end];
}

/** Nodes from behind a node to the loss. */
function after(start: Node, loss: Value): Node[] {
  if (loss.origin.kind !== "node") return [];
  const from = new Map<Node, Node | undefined>([[loss.origin.node, undefined]]);
  for (const node of from.keys()) {
    if (node === start) return chain(from, node).slice(1);
    for (const input of node.inputs) {
      if (input?.origin.kind === "node" && !from.has(input.origin.node)) from.set(input.origin.node, node);
    }
  }
  return [];
}

function chain(next: ReadonlyMap<Node, Node | undefined>, start: Node): Node[] {
  const nodes: Node[] = [];
  for (let at: Node | undefined = start; at; at = next.get(at)) nodes.push(at);
  return nodes;
}

function labelOf(node: Node): string {
  return node.scope || node.operator;
}

function shortened(labels: readonly string[]): readonly string[] {
  const apart = labels.filter((label, index) => label !== labels[index - 1]);
  return apart.length <= 9 ? apart : [...apart.slice(0, 4), "…", ...apart.slice(-4)];
}
