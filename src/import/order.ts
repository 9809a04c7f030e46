import { UserError } from "../common/errors.ts";
import type { GraphProto, NodeProto } from "../onnx/onnx_pb.ts";

/** How messages name a node of a file: `node "conv1" (Conv)`. Nodes without a name go by their first output. */
export function nodeLabel(node: NodeProto): string {
  const name = node.name || node.output.find((output) => output !== "") || "without a name";
  return `node "${name}" (${node.opType})`;
}

/** The tensors that a node reads, those included that its subgraphs (the branches of an If) take from around it. */
function namesReadBy(node: NodeProto): readonly string[] {
  const graphs = node.attribute.flatMap(({ g }) => (g ? [g] : []));
  return graphs.length === 0 ? node.input : [...node.input, ...graphs.flatMap(namesTakenBy)];
}

function namesTakenBy(graph: GraphProto): string[] {
  const own = new Set([
    ...[...graph.input, ...graph.initializer].map(({ name }) => name),
    ...graph.node.flatMap(({ output }) => output),
  ]);
  const read = [...graph.node.flatMap(namesReadBy), ...graph.output.map(({ name }) => name)];
  return read.filter((name) => name !== "" && !own.has(name));
}

/** The nodes among these that the given tensors need, in their order. */
export function neededNodes(order: readonly NodeProto[], outputs: Iterable<string>): NodeProto[] {
  const needed = new Set(outputs);
  const nodes = order.toReversed().filter((node) => {
    if (!node.output.some((output) => needed.has(output))) return false;
    for (const name of namesReadBy(node)) needed.add(name);
    return true;
  });
  return nodes.reverse();
}

/** Which names there are. */
export interface Names {
  has(name: string): boolean;
}

/**
 * The nodes of a file, each after those it reads from, whatever order the file has them in.
 * @param given names that are there without a node: inputs and initializers
 * @throws UserError naming the node: for a tensor made twice, one that nothing makes, and nodes in a circle
 */
export function nodesInOrder(nodes: readonly NodeProto[], given: Names): NodeProto[] {
  const makers = makersOf(nodes, given);
  const waitingFor = new Map<NodeProto, number>();
  const readers = new Map<NodeProto, NodeProto[]>();
  for (const node of nodes) {
    const sources = new Set<NodeProto>();
    for (const input of namesReadBy(node)) {
      if (input === "" || given.has(input)) continue;
      const maker = makers.get(input);
      if (!maker) {
        throw new UserError(
          `${nodeLabel(node)}: reads "${input}", which is neither an input, an initializer nor the output of a node`,
        );
      }
      sources.add(maker);
    }
    waitingFor.set(node, sources.size);
    for (const source of sources) {
      const list = readers.get(source);
      if (list) list.push(node);
      else readers.set(source, [node]);
    }
  }
  const order = nodes.filter((node) => waitingFor.get(node) === 0);
  for (let next = 0; next < order.length; next++) {
    for (const reader of readers.get(order[next]) ?? []) {
      const left = waitingFor.get(reader)! - 1;
      waitingFor.set(reader, left);
      if (left === 0) order.push(reader);
    }
  }
  if (order.length < nodes.length) {
    const stuck = nodes.find((node) => waitingFor.get(node)! > 0)!;
    throw new UserError(`${nodeLabel(stuck)}: waits for its own output; the graph has a cycle`);
  }
  return order;
}

/** Which node makes each tensor. */
function makersOf(nodes: readonly NodeProto[], given: Names): Map<string, NodeProto> {
  const makers = new Map<string, NodeProto>();
  for (const node of nodes) {
    for (const output of node.output) {
      if (output === "") continue;
      const other = makers.get(output);
      if (other || given.has(output)) {
        const what = other ? nodeLabel(other) : "an input or initializer";
        throw new UserError(`${nodeLabel(node)}: makes "${output}", which ${what} makes too`);
      }
      makers.set(output, node);
    }
  }
  return makers;
}
