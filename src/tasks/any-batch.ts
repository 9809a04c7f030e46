import { Graph, type Node, type Value } from "../graph/graph.ts";
import { copyInto, nodesOf } from "../graph/walk.ts";
import { tensorData } from "../onnx/tensor-data.ts";

// A network built for a batch of one size as a network for batches of any size.

/**
 * One graph of a network for any batch, from those for batches of 1 and of 2; undefined where they differ in more than the sizes
 * that a Reshape computes on its own.
 */
export function forAnyBatch(one: Graph, two: Graph): Graph | undefined {
  const [nodes, others] = [one, two].map((graph) => nodesOf(graph.outputs.values()));
  if (nodes.length !== others.length) return undefined;
  const free = (graph: Graph, own: readonly Node[], beside: readonly Node[]) => {
    const partner = new Map(own.map((node, index) => [node, beside[index]]));
    const copy = new Graph();
    const values = copyInto(copy, [...graph.outputs.values()], new Map(), (node, inputs) => {
      const shape = sharedShape(node, partner.get(node)!);
      return shape && copy.add("Reshape", [inputs[0], shape(copy)], node.attributes, node.outputs);
    });
    for (const [index, name] of [...graph.outputs.keys()].entries()) copy.output(name, values[index]);
    return copy;
  };
  const [first, second] = [free(one, nodes, others), free(two, others, nodes)];
  return isSame(first, second) ? first : undefined;
}

/** The sizes of a Reshape that differ in one place only, where −1 stands for what remains. */
function sharedShape(node: Node, other: Node): ((graph: Graph) => Value) | undefined {
  if (node.operator !== "Reshape" || other.operator !== "Reshape") return undefined;
  const [own, theirs] = [node, other].map(({ inputs }) => sizesOf(inputs[1]));
  if (!own || !theirs || own.length !== theirs.length || own.includes(-1)) return undefined;
  const differing = own.flatMap((size, axis) => (size === theirs[axis] ? [] : [axis]));
  if (differing.length !== 1) return undefined;
  const sizes = own.with(differing[0], -1);
  return (graph) => graph.constant(tensorData(sizes, [sizes.length], "int64"));
}

function sizesOf(shape: Value | undefined): number[] | undefined {
  if (shape?.origin.kind !== "constant") return undefined;
  return Array.from(shape.origin.data.data as BigInt64Array, Number);
}

/** Whether two graphs of one network for different batch sizes hold the same constants and attributes. */
function isSame(one: Graph, other: Graph): boolean {
  // Copied into one graph, equal nodes on equal inputs become the same node.
  const joined = new Graph();
  const [a] = copyInto(joined, [...one.outputs.values()]);
  const inputs = new Map([...other.inputs].map(([name, input]) => [input, joined.inputs.get(name)!]));
  const [b] = copyInto(joined, [...other.outputs.values()], inputs);
  return a === b;
}
