import { elementCount, type Shape, sameShape, type Value } from "../graph/graph.ts";
import { madeBy } from "../graph/walk.ts";
import { mul } from "../ops/arithmetic.ts";
import { reshape } from "../ops/movement.ts";

/**
 * A convolution's incoming gradient dy without its last factor, where that is a number for each channel, and the factor in the
 * shape [O, 1, …] that broadcasts over the weight. The derivative of BatchNorm ends with such a factor. Both gradients of the
 * convolution are linear in each channel of dy. So the factor can be applied to the weight and to the weight's gradient, if
 * these have fewer elements than dy.
 */
export function withoutFactor(dy: Value, weight: Shape): { dy: Value; factor?: Value } {
  const product = madeBy(dy, "Mul")?.node;
  if (!product || elementCount(dy.shape) <= 2 * elementCount(weight)) return { dy };
  const perChannel = dy.shape.map((length, axis) => (axis === 1 ? length : 1));
  const [a, b] = product.inputs as readonly Value[];
  for (const [rest, factor] of [
    [a, b],
    [b, a],
  ]) {
    if (sameShape(factor.shape, perChannel) && sameShape(rest.shape, dy.shape))
      return { dy: rest, factor: reshape(factor, perChannel.with(1, 1).with(0, dy.shape[1])) };
  }
  return { dy };
}

/** A weight, or its gradient, times the factor of each of its filters, if there is one. */
export function scaled(weight: Value, factor: Value | undefined): Value {
  return factor ? mul(weight, factor) : weight;
}
