import { elementCount, type Shape } from "../graph/graph.ts";
import type { IntegerRange } from "../ops/quantization.ts";
import type { FirstStepRule } from "./choices.ts";
import { scaleOfLeastError } from "./weight-scales.ts";

// Learned step size quantization (LSQ, arXiv 1902.08153): what the steps start from, and the factor of their gradients.

/** The whole numbers of `bits` bits: −2ᵇ⁻¹ … 2ᵇ⁻¹ − 1, or 0 … 2ᵇ − 1. */
export function integerRange(bits: number, signed: boolean): IntegerRange {
  return signed ? { low: -(2 ** (bits - 1)), high: 2 ** (bits - 1) - 1 } : { low: 0, high: 2 ** bits - 1 };
}

/** The integers of weights: with 8 bits −127 … 127, so that a change of sign by BatchNorm leaves them 8 bits. */
export function weightRange(bits: number): IntegerRange {
  const { low, high } = integerRange(bits, true);
  return { low: Math.max(low, -127), high };
}

/** 1/√(N·high): the factor of a step's gradient. N is the number of elements that the step is for. */
export function gradientFactor(elements: number, { high }: Pick<IntegerRange, "high">): number {
  return 1 / Math.sqrt(elements * high);
}

/** The paper's N of weights: the elements of the tensor or, with an axis, of one of its channels. */
export function weightElements(shape: Shape, axis?: number): number {
  return elementCount(shape) / (axis === undefined ? 1 : shape[axis]);
}

/** The paper's N of activations [N, …]: the features of one example. */
export function activationElements(shape: Shape): number {
  return elementCount(shape) / shape[0];
}

/** The step that values start from, by each rule; 0 for values that are all 0. */
export const firstStep: Record<FirstStepRule, (values: Float64Array, range: IntegerRange) => number> = {
  mse: scaleOfLeastError,
  mean: (values, { high }) =>
    (2 * values.reduce((sum, value) => sum + Math.abs(value), 0)) / values.length / Math.sqrt(high),
};
