import { elementCount, type Node, type Value } from "../graph/graph.ts";
import { madeBy } from "../graph/walk.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { apply } from "../ops/operator.ts";

/** With fewer weights per result than this, adding the two parts takes as long as a product. */
const leastWeights = 2;

/**
 * A product with moved weights, x·(w + s·u), as x·w + s·(x·u) where the program has x·w already; its bias likewise. That is so
 * in the first layer, which sees the same x in every pass: bilateral SAM takes two products with the batch there instead of
 * three, and does not compute w ± s·u.
 */
export function lowerGemm([x, weight, bias]: readonly Value[], node: Node): readonly Value[] | undefined {
  const moved = movement(weight);
  const [y] = node.outputs;
  if (!moved || elementCount(weight.shape) < leastWeights * elementCount(y.shape)) return undefined;
  const movedBias = movement(bias);
  if (movedBias && movedBias.by !== moved.by) return undefined;
  const start = [x, moved.from, movedBias?.from ?? bias];
  if (!x.graph.has("Gemm", start, node.attributes)) return undefined;
  const [change] = apply("Gemm", [x, moved.along, movedBias?.along], node.attributes);
  return [add(apply("Gemm", start, node.attributes)[0], mul(change, moved.by))];
}

/** The parts of from + by·along, for a scalar `by`. */
function movement(value: Value | undefined): { from: Value; along: Value; by: Value } | undefined {
  const [from, offset] = (value && madeBy(value, "Add")?.node.inputs) ?? [];
  const [along, by] = (offset && madeBy(offset, "Mul")?.node.inputs) ?? [];
  return from && along && along.shape.length > 0 && by?.shape.length === 0 ? { from, along, by } : undefined;
}
