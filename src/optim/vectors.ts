import type { Value } from "../graph/graph.ts";
import { add, addAll, divideOrZero, mul } from "../ops/arithmetic.ts";
import { sqrt } from "../ops/elementwise.ts";
import { reduceSum, reduceSumSquare } from "../ops/reduction.ts";

// All parameters together as one vector: its norm, inner product and sums, built over the list of tensors.

/** Global L2 norm. */
export function norm(values: readonly Value[]): Value {
  return sqrt(addAll(values.map((value) => reduceSumSquare(value))));
}

/** ⟨a, b⟩. */
export function dot(a: readonly Value[], b: readonly Value[]): Value {
  return addAll(a.map((value, index) => reduceSum(mul(value, b[index]))));
}

/** a + factor·b, for a scalar factor. */
export function addScaled(a: readonly Value[], factor: Value, b: readonly Value[]): Value[] {
  return a.map((value, index) => add(value, mul(b[index], factor)));
}

/** The cosine between two vectors of known norms, 0 where either is 0. */
export function cosine(a: readonly Value[], b: readonly Value[], normA: Value, normB: Value): Value {
  return divideOrZero(dot(a, b), mul(normA, normB));
}
