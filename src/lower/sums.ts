import { Graph, type Node, sameShape, type Value } from "../graph/graph.ts";
import { copyInto, madeBy, nodesOf, readersOf } from "../graph/walk.ts";
import { contentKey } from "../onnx/tensor-data.ts";
import { reshape } from "../ops/movement.ts";
import { filledUp, targetDomains } from "./blocked.ts";

// Sums of convolutions in blocks. ONNX Runtime's blocked convolution can add its result to a tensor that is in blocks.
// Products with the Hessian have such sums for every layer, forward and backward (the derivative of x∗w is Rx∗w + x∗v). Products
// with the Hessian of cnn take 5 % less time. In a training step, gradients that wait for each other are not added up this way.

/** Operators of which f(a) + f(b) is f(a + b), and which of their inputs are added. The others have to be the same. */
const linear: Readonly<Record<string, "all" | "first">> = {
  Concat: "all",
  Gather: "first",
  ReorderOutput: "first",
  Reshape: "first",
  Slice: "first",
};

function isConvolution({ operator, domain }: Node): boolean {
  return operator === "Conv" && Object.hasOwn(targetDomains, domain);
}

/** The node that computes a value as its only result. */
function madeOf({ origin }: Value): Node | undefined {
  return origin.kind === "node" && origin.node.outputs.length === 1 ? origin.node : undefined;
}

/**
 * The same graph with fewer additions. Where a node adds the results of two convolutions, and nothing else reads the second
 * result, the second convolution adds the first result to its own; changes of order come after that. An offset for each
 * channel becomes the bias.
 */
export function withSumsInConvolutions(graph: Graph): Graph {
  const outputs = [...graph.outputs];
  const values = outputs.map(([, value]) => value);
  const nodes = nodesOf(values);
  if (!nodes.some(isConvolution)) return graph;
  const readers = readersOf(nodes, values);
  // Of the copies, those that one node reads.
  const alone = new Set<Value>();
  const result = new Graph();
  const copies = copyInto(result, values, new Map(), (node, inputs, target) => {
    const [a, b] = inputs as readonly Value[];
    const takeOver = (x: Value, y: Value) => added(x, y, alone) ?? biased(x, y, alone);
    const sum = node.operator === "Add" ? (takeOver(a, b) ?? takeOver(b, a)) : undefined;
    const built = sum ? [sum] : target.add(node.operator, inputs, node.attributes, node.outputs, node.domain);
    for (const [index, output] of node.outputs.entries())
      if (readers.get(output) === 1) alone.add(built[index]);
      else alone.delete(built[index]);
    return built;
  });
  for (const [index, [name]] of outputs.entries()) result.output(name, copies[index]);
  return result;
}

/** a + b for a number for each channel, a [1, C, 1, 1], which the convolution that b comes from takes as its bias. */
function biased(a: Value, b: Value, alone: Set<Value>): Value | undefined {
  const reordered = madeBy(b, "ReorderOutput")?.node;
  const blocks = reordered?.inputs[0];
  const convolution = blocks && madeOf(blocks);
  if (!convolution || !isConvolution(convolution) || !alone.has(b) || !alone.has(blocks)) return undefined;
  const [x, filters, bias, sum] = convolution.inputs;
  if (bias || !sameShape(a.shape, [1, b.shape[1], 1, 1])) return undefined;
  const offsets = filledUp(reshape(a, [b.shape[1]]), 0, blocks.shape[1]);
  return again(reordered, [again(convolution, [x, filters, offsets, sum], alone)], alone);
}

/** a + b, of which the convolutions of b take over the addition; nothing where they cannot. */
function added(a: Value, b: Value, alone: Set<Value>): Value | undefined {
  const [left, right] = [madeOf(a), madeOf(b)];
  if (!left || !right || !alone.has(b) || !sameShape(a.shape, b.shape)) return undefined;
  const { operator, attributes, domain } = right;
  if (left.operator !== operator || left.domain !== domain) return undefined;
  if (isConvolution(right)) {
    const [x, filters, bias, sum] = right.inputs;
    return sum ? undefined : again(right, [x, filters, bias, a], alone);
  }
  const which = linear[operator];
  if (!which || contentKey(left.attributes) !== contentKey(attributes)) return undefined;
  if (left.inputs.length !== right.inputs.length) return undefined;
  const inputs = right.inputs.map((input, index) => {
    const other = left.inputs[index];
    if (which === "all" || index === 0) return other && input && added(other, input, alone);
    return other === input ? input : undefined;
  });
  return inputs.includes(undefined) ? undefined : again(right, inputs, alone);
}

/** What the same node computes from other inputs, in the scope of its layer, for one reader. */
function again(
  { operator, attributes, outputs, domain, scope }: Node,
  inputs: readonly (Value | undefined)[],
  alone: Set<Value>,
): Value {
  const { graph } = inputs[0]!;
  const [result] = graph.inScope(scope, () => graph.add(operator, inputs, attributes, outputs, domain));
  alone.add(result);
  return result;
}
