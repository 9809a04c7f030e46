import { UserError } from "../common/errors.ts";
import type { GraphProto, NodeProto } from "../onnx/onnx_pb.ts";

/** How messages name a node of a file: `node "conv1" (Conv)`. Nodes without a name go by their first output. */
export function nodeLabel(node: NodeProto): string {
  const name = node.name || node.output.find((output) => output !== "") || "without a name";
  return `node "${name}" (${node.opType})`;
}

/**
 * The nodes of a file, each after those it reads from, whatever order the file has them in.
 * @param given names that are there without a node: inputs and initializers
 * @throws UserError naming the node: for a tensor made twice, one that nothing makes, and nodes in a circle
 */
export function nodesInOrder(graph: GraphProto, given: ReadonlySet<string>): NodeProto[] {
  const makers = makersOf(graph, given);
  const waitingFor = new Map<NodeProto, number>();
  const readers = new Map<NodeProto, NodeProto[]>();
  for (const node of graph.node) {
    const sources = new Set<NodeProto>();
    for (const input of node.input) {
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
    for (const source of sources) readers.set(source, [...(readers.get(source) ?? []), node]);
  }
  const order = graph.node.filter((node) => waitingFor.get(node) === 0);
  for (let next = 0; next < order.length; next++) {
    for (const reader of readers.get(order[next]) ?? []) {
      const left = waitingFor.get(reader)! - 1;
      waitingFor.set(reader, left);
      if (left === 0) order.push(reader);
    }
  }
  if (order.length < graph.node.length) {
    const stuck = graph.node.find((node) => waitingFor.get(node)! > 0)!;
    throw new UserError(`${nodeLabel(stuck)}: waits for its own output; the graph has a cycle`);
  }
  return order;
}

/** Which node makes each tensor. */
function makersOf(graph: GraphProto, given: ReadonlySet<string>): Map<string, NodeProto> {
  const makers = new Map<string, NodeProto>();
  for (const node of graph.node) {
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
