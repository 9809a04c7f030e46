import { sameShape, type Value } from "../graph/graph.ts";
import { madeBy } from "../graph/walk.ts";
import { mul } from "../ops/arithmetic.ts";
import { reshape } from "../ops/movement.ts";

/**
 * A convolution's incoming gradient without a factor for each channel that it was multiplied by last, as a normalization's
 * derivative is, and that factor in the shape of the convolution's weight, [O, 1, …]. Both gradients of the convolution are
 * linear in each channel of dy, so the factor may be applied to the weight, and to the weight's gradient: these have far fewer
 * elements.
 */
export function withoutFactor(dy: Value): { dy: Value; factor?: Value } {
  const product = madeBy(dy, "Mul")?.node;
  if (!product) return { dy };
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
