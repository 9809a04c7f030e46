import { elementCount, type Graph, type Node, type Value } from "../graph/graph.ts";
import { nodesOf } from "../graph/walk.ts";

/** Operators whose multiply-adds are counted; what the others cost is small beside them. */
const counted: Readonly<Record<string, (node: Node) => number>> = {
  // Each number of the output takes the channels of its group times the places of the kernel.
  Conv: ({ inputs: [, weight], outputs: [y] }) =>
    elementCount(y.shape) * elementCount(weight!.shape.slice(1)),
  ConvTranspose: ({ inputs: [x, weight] }) => elementCount(x!.shape) * elementCount(weight!.shape.slice(1)),
  Gemm: ({ inputs: [a], outputs: [y] }) => elementCount(a!.shape) * y.shape[1],
  MatMul: ({ inputs: [a], outputs: [y] }) => elementCount(y.shape) * a!.shape.at(-1)!,
  Einsum: ({ inputs, attributes }) => einsum(inputs, attributes.equation),
};

/** The gradients of a convolution, in training steps: each as much as the convolution. */
const countedInTraining: typeof counted = {
  ConvInputGradient: ({ inputs: [dy, weight] }) =>
    elementCount(dy!.shape) * elementCount(weight!.shape.slice(1)),
  ConvWeightGradient: ({ inputs: [, dy], outputs: [weight] }) =>
    elementCount(dy!.shape) * elementCount(weight.shape.slice(1)),
};

/** Names of the operators that are counted in a network. */
export const countedOperators = Object.keys(counted);

/** Multiply-adds of a graph's outputs, by operator: two floating-point operations each. */
export function multiplyAdds(graph: Graph): Map<string, number> {
  const sums = new Map<string, number>();
  for (const node of nodesOf(graph.outputs.values())) {
    const count = (counted[node.operator] ?? countedInTraining[node.operator])?.(node);
    if (count) sums.set(node.operator, (sums.get(node.operator) ?? 0) + count);
  }
  return sums;
}

/** Every combination of the letters' values is one multiply-add for each factor after the first. */
function einsum(inputs: readonly (Value | undefined)[], equation: Node["attributes"][string]): number {
  if (!("string" in equation)) return 0;
  const sizes = new Map<string, number>();
  const terms = equation.string.split("->")[0].replaceAll(" ", "").split(",");
  for (const [index, term] of terms.entries()) {
    const letters = [...term.replace("...", "")];
    const { shape } = inputs[index]!;
    for (const [axis, letter] of letters.entries()) {
      const fromEnd = term.indexOf("...") >= 0 && axis >= term.indexOf("...");
      sizes.set(letter, fromEnd ? shape[shape.length - letters.length + axis] : shape[axis]);
    }
    if (!term.includes("...")) continue;
    const covered = shape.slice(term.indexOf("..."), shape.length - letters.length + term.indexOf("..."));
    sizes.set("…", Math.max(sizes.get("…") ?? 1, elementCount(covered)));
  }
  return [...sizes.values()].reduce((product, size) => product * size, 1) * Math.max(1, terms.length - 1);
}
