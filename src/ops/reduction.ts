import { int64Vector } from "../graph/constants.ts";
import { type Attributes, elementCount, type Shape, type TensorType, type Value } from "../graph/graph.ts";
import { div, divideOrZero, mul, pow, sub } from "./arithmetic.ts";
import { equal, where } from "./comparison.ts";
import { abs, cast, exp, sign } from "./elementwise.ts";
import { cumulativeProduct } from "./layout.ts";
import { expand, reshape, transpose } from "./movement.ts";
import {
  apply,
  defineOperator,
  type GradientContext,
  int,
  intAttribute,
  normalizeAxes,
  operatorError,
  requireConstant,
} from "./operator.ts";

// Reductions over some axes (all, when none are named). Their gradients stretch dy back over the reduced axes:
// `kept` below is a value of the output's numbers in the input's rank, sizes 1 where it was reduced.

interface ReductionRule {
  since: number;
  /** dL/dx in the input's shape or a shape that broadcasts to it. */
  gradient: (dy: Value, x: Value, y: Value, reduced: readonly number[]) => Value;
  /** Whether the slope can be infinite. Default false. */
  singular?: boolean;
}

const rules: Record<string, ReductionRule> = {
  ReduceSum: { since: 13, gradient: (dy) => dy },
  ReduceMean: {
    since: 18,
    gradient: (dy, x) => mul(dy, elementCount(dy.shape) / elementCount(x.shape)),
  },
  ReduceSumSquare: { since: 18, gradient: (dy, x) => mul(dy, mul(2, x)) },
  // 0 at a zero vector, as in PyTorch.
  ReduceL2: { since: 18, gradient: (dy, x, y) => mul(x, divideOrZero(dy, y)) },
  ReduceLogSumExp: { since: 18, gradient: (dy, x, y) => mul(dy, exp(sub(x, y))) },
  ReduceL1: { since: 18, gradient: (dy, x) => mul(dy, sign(x)) },
  ReduceLogSum: {
    since: 18,
    gradient: (dy, x, _y, reduced) => div(dy, reduced.length === 0 ? x : reduceSum(x, reduced, true)),
    singular: true,
  },
  ReduceProd: { since: 18, gradient: productOfOthers },
  // Several equal extremes share the gradient evenly, as PyTorch's amax and amin do.
  ReduceMax: { since: 18, gradient: shareAmongExtremes },
  ReduceMin: { since: 18, gradient: shareAmongExtremes },
};

for (const [operator, { since, gradient, singular }] of Object.entries(rules)) {
  defineOperator(operator, {
    since,
    singular,
    infer: ([x, axes], attributes) =>
      inferReduction(x!, reducedAxes(operator, x!, axes, attributes), attributes),
    gradient: ({ inputs: [x, axes], outputs: [y], attributes, gradient: dy }: GradientContext) => {
      const reduced = reducedAxes(operator, x, axes, attributes);
      const kept = keptShape(x.shape, reduced);
      return [expand(gradient(reshape(dy, kept), x, reshape(y, kept), reduced), x.shape), undefined];
    },
  });
}

for (const operator of ["ArgMax", "ArgMin"]) {
  defineOperator(operator, {
    since: 13,
    infer: ([x], attributes) => {
      const axes = normalizeAxes(operator, x!, [intAttribute(attributes, "axis", 0)]);
      return [{ type: "int64", shape: inferReduction(x!, axes, attributes)[0].shape }];
    },
    gradient: "zero",
  });
}

export const reduceSum = reduction("ReduceSum");
export const reduceMean = reduction("ReduceMean");
export const reduceSumSquare = reduction("ReduceSumSquare");
/** √Σx². Its gradient is 0 where it is 0. */
export const reduceL2 = reduction("ReduceL2");
/** Σ|x|. */
export const reduceL1 = reduction("ReduceL1");
export const reduceProd = reduction("ReduceProd");
/** ln Σx. */
export const reduceLogSum = reduction("ReduceLogSum");
export const reduceMax = reduction("ReduceMax");
export const reduceMin = reduction("ReduceMin");
/** ln Σ eˣ, without overflow. */
export const reduceLogSumExp = reduction("ReduceLogSumExp");

/** Index (int64) of the first largest element along an axis; the axis disappears. */
export function argMax(x: Value, axis: number): Value {
  return apply("ArgMax", [x], { axis: int(axis), keepdims: int(0) })[0];
}

/** Index (int64) of the first smallest element along an axis; the axis disappears. */
export function argMin(x: Value, axis: number): Value {
  return apply("ArgMin", [x], { axis: int(axis), keepdims: int(0) })[0];
}

function reduction(operator: string) {
  return (x: Value, axes?: readonly number[], keepAxes = false): Value => {
    if (axes?.length === 0)
      throw operatorError(operator, x, "no axes to reduce; leave them out to reduce all");
    return apply(operator, [x, axes && int64Vector(x.graph, normalizeAxes(operator, x, axes))], {
      keepdims: int(keepAxes ? 1 : 0),
    })[0];
  };
}

function inferReduction(x: Value, reduced: readonly number[], attributes: Attributes): TensorType[] {
  const kept = keptShape(x.shape, reduced);
  const shape = intAttribute(attributes, "keepdims", 1)
    ? kept
    : kept.filter((_, axis) => !reduced.includes(axis));
  return [{ type: x.type, shape }];
}

/** All axes when none are named, or none of them where the node says so. */
function reducedAxes(
  operator: string,
  x: Value,
  axes: Value | undefined,
  attributes: Attributes,
): readonly number[] {
  const named = axes ? requireConstant(operator, x, axes, "axes") : [];
  if (named.length > 0) return normalizeAxes(operator, x, named);
  if (intAttribute(attributes, "noop_with_empty_axes", 0) === 0) return x.shape.map((_, axis) => axis);
  if (!leavesNumbersAlone.has(operator)) {
    throw operatorError(operator, x, "over no axes it is not defined the same everywhere; name the axes");
  }
  return [];
}

/** Reductions that give back each number when there is nothing to reduce. */
const leavesNumbersAlone = new Set([
  "ReduceSum",
  "ReduceMean",
  "ReduceMax",
  "ReduceMin",
  "ReduceProd",
  "ReduceLogSumExp",
]);

function keptShape(shape: Shape, reduced: readonly number[]): Shape {
  return shape.map((size, axis) => (reduced.includes(axis) ? 1 : size));
}

/** The product of all elements before times that of all after: without a division it is right for any zeros. */
function productOfOthers(dy: Value, x: Value, _y: Value, reduced: readonly number[]): Value {
  if (reduced.length === 0) return dy;
  const kept = x.shape.map((_, axis) => axis).filter((axis) => !reduced.includes(axis));
  const order = [...kept, ...reduced];
  const moved = transpose(x, order);
  const rows = reshape(moved, [
    ...kept.map((axis) => x.shape[axis]),
    elementCount(reduced.map((axis) => x.shape[axis])),
  ]);
  const [before, after] = [false, true].map((reverse) =>
    cumulativeProduct(rows, kept.length, { exclusive: true, reverse }),
  );
  const others = reshape(mul(before, after), moved.shape);
  const back = order.map((_, axis) => order.indexOf(axis));
  return mul(dy, transpose(others, back));
}

function shareAmongExtremes(dy: Value, x: Value, y: Value, reduced: readonly number[]): Value {
  if (reduced.length === 0) return dy;
  const mask = equal(x, y);
  return where(mask, div(dy, reduceSum(cast(mask, x.type), reduced, true)), 0);
}

/** (Σ|x|ᵖ)^(1/p) over some axes, which are kept with size 1, for a whole p ≥ 1. Its gradient is 0 where it is 0. */
export function reduceNorm(x: Value, p: number, axes: readonly number[]): Value {
  if (p === 1) return reduceL1(x, axes, true);
  if (p === 2) return reduceL2(x, axes, true);
  const sum = reduceSum(pow(abs(x), p), axes, true);
  const isZero = equal(sum, 0);
  return where(isZero, 0, pow(where(isZero, 1, sum), 1 / p));
}
