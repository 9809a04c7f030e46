import type { Node, Value } from "../graph/graph.ts";
import { div, sub } from "../ops/arithmetic.ts";
import { exp, log } from "../ops/elementwise.ts";
import { intAttribute, normalizeAxes } from "../ops/operator.ts";
import { reduceMax, reduceSum } from "../ops/reduction.ts";
import type { LoweringRule } from "./rule.ts";

// ONNX Runtime computes softmax row by row along the last axis. Along another one, such as the classes of pixels, it transposes
// there and back, and rows of a few classes are slow. Reductions over an axis in the middle are not.

/** Softmax along an axis other than the last, in reductions. */
export const lowerSoftmax: LoweringRule = ([x], node) => {
  const axes = axisOf(x, node);
  if (isLast(x, axes)) return undefined;
  const powers = exp(shifted(x, axes));
  return [div(powers, reduceSum(powers, axes, true))];
};

/** LogSoftmax along an axis other than the last, in reductions. */
export const lowerLogSoftmax: LoweringRule = ([x], node) =>
  isLast(x, axisOf(x, node)) ? undefined : [plainLogSoftmax(x, node)];

/** LogSoftmax in operators that every device has. */
export function plainLogSoftmax(x: Value, node: Node): Value {
  const axes = axisOf(x, node);
  const logits = shifted(x, axes);
  return sub(logits, log(reduceSum(exp(logits), axes, true)));
}

/** Without what could overflow: the largest element is 0. */
function shifted(x: Value, axes: readonly number[]): Value {
  return sub(x, reduceMax(x, axes, true));
}

function axisOf(x: Value, { operator, attributes }: Node): number[] {
  return normalizeAxes(operator, x, [intAttribute(attributes, "axis", -1)]);
}

function isLast({ shape }: Value, [axis]: readonly number[]): boolean {
  return axis === shape.length - 1;
}
