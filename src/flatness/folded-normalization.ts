import { Graph, type Node, type Value } from "../graph/graph.ts";
import { copyInto, madeBy, nodesOf, readersOf } from "../graph/walk.ts";
import { add, mul, neg, reciprocal, sub } from "../ops/arithmetic.ts";
import { sqrt } from "../ops/elementwise.ts";
import { reshape } from "../ops/movement.ts";
import { floatAttribute } from "../ops/operator.ts";

/**
 * The same values of the same inputs, in a new graph, in which a convolution with BatchNorm in inference mode after it is one
 * convolution: with s = γ/√(σ² + ε),
 *
 *   (x∗w + b − μ)·s + β = x∗(w·s) + (b − μ)·s + β.
 *
 * The derivative for γ and the factor s then pass over weights instead of results, of which there are many more, and the
 * results before the normalization are not kept.
 */
export function withFoldedNormalization(values: readonly Value[]): Value[] {
  const readers = readersOf(nodesOf(values), values);
  return copyInto(new Graph(), values, new Map(), (node, inputs) => {
    if (node.operator !== "BatchNormalization" || readers.get(node.inputs[0]!) !== 1) return undefined;
    const convolution = madeBy(inputs[0]!, "Conv")?.node;
    return convolution && [folded(convolution, node, inputs.slice(1) as Value[])];
  });
}

function folded(
  convolution: Node,
  { attributes }: Node,
  [scale, bias, mean, variance]: readonly Value[],
): Value {
  const [x, weight, shift] = convolution.inputs as readonly Value[];
  const epsilon = floatAttribute(attributes, "epsilon", 1e-5);
  const factor = mul(scale, reciprocal(sqrt(add(variance, epsilon))));
  const wide = reshape(factor, [factor.shape[0], ...weight.shape.slice(1).map(() => 1)]);
  const offset = add(bias, mul(shift ? sub(shift, mean) : neg(mean), factor));
  const inputs = [x, mul(weight, wide), offset];
  return x.graph.add("Conv", inputs, convolution.attributes, convolution.outputs)[0];
}
