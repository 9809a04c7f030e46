import { constantNumbers, int64Vector } from "../graph/constants.ts";
import { type Attributes, elementCount, type Shape, type TensorType, type Value } from "../graph/graph.ts";
import { div, mul, sub } from "./arithmetic.ts";
import { equal } from "./comparison.ts";
import { cast, exp } from "./elementwise.ts";
import { expand, reshape } from "./movement.ts";
import {
  apply,
  defineOperator,
  type GradientContext,
  int,
  intAttribute,
  normalizeAxes,
  operatorError,
} from "./operator.ts";

// Reductions over some axes (all, when none are named). Their gradients stretch dy back over the reduced axes:
// `kept` below is a value of the output's numbers in the input's rank, sizes 1 where it was reduced.

interface ReductionRule {
  since: number;
  /** dL/dx in the input's shape or a shape that broadcasts to it. */
  gradient: (dy: Value, x: Value, y: Value, reduced: readonly number[]) => Value;
}

const rules: Record<string, ReductionRule> = {
  ReduceSum: { since: 13, gradient: (dy) => dy },
  ReduceMean: {
    since: 18,
    gradient: (dy, x) => mul(dy, elementCount(dy.shape) / elementCount(x.shape)),
  },
  ReduceSumSquare: { since: 18, gradient: (dy, x) => mul(dy, mul(2, x)) },
  ReduceL2: { since: 18, gradient: (dy, x, y) => mul(dy, div(x, y)) },
  ReduceLogSumExp: { since: 18, gradient: (dy, x, y) => mul(dy, exp(sub(x, y))) },
  // Several equal extremes share the gradient evenly, as PyTorch's amax and amin do.
  ReduceMax: { since: 18, gradient: shareAmongExtremes },
  ReduceMin: { since: 18, gradient: shareAmongExtremes },
};

for (const [operator, { since, gradient }] of Object.entries(rules)) {
  defineOperator(operator, {
    since,
    infer: ([x, axes], attributes) => inferReduction(operator, x!, constantNumbers(axes), attributes),
    gradient: ({ inputs: [x, axes], outputs: [y], gradient: dy }: GradientContext) => {
      const reduced = normalizeAxes(operator, x, constantNumbers(axes) ?? allAxes(x));
      const kept = keptShape(x.shape, reduced);
      return [expand(gradient(reshape(dy, kept), x, reshape(y, kept), reduced), x.shape), undefined];
    },
  });
}

defineOperator("ArgMax", {
  since: 13,
  infer: ([x], attributes) => {
    const [{ shape }] = inferReduction("ArgMax", x!, [intAttribute(attributes, "axis", 0)], attributes);
    return [{ type: "int64", shape }];
  },
  gradient: "zero",
});

export const reduceSum = reduction("ReduceSum");
export const reduceMean = reduction("ReduceMean");
export const reduceSumSquare = reduction("ReduceSumSquare");
/** √Σx². Its gradient is undefined where it is 0. */
export const reduceL2 = reduction("ReduceL2");
export const reduceMax = reduction("ReduceMax");
export const reduceMin = reduction("ReduceMin");
/** ln Σ eˣ, without overflow. */
export const reduceLogSumExp = reduction("ReduceLogSumExp");

/** Index (int64) of the first largest element along an axis; the axis disappears. */
export function argMax(x: Value, axis: number): Value {
  return apply("ArgMax", [x], { axis: int(axis), keepdims: int(0) })[0];
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

function inferReduction(
  operator: string,
  x: Value,
  axes: readonly number[] | undefined,
  attributes: Attributes,
): TensorType[] {
  const reduced = normalizeAxes(operator, x, axes ?? allAxes(x));
  const kept = keptShape(x.shape, reduced);
  const shape = intAttribute(attributes, "keepdims", 1)
    ? kept
    : kept.filter((_, axis) => !reduced.includes(axis));
  return [{ type: x.type, shape }];
}

function keptShape(shape: Shape, reduced: readonly number[]): Shape {
  return shape.map((size, axis) => (reduced.includes(axis) ? 1 : size));
}

function allAxes(x: Value): number[] {
  return x.shape.map((_, axis) => axis);
}

function shareAmongExtremes(dy: Value, x: Value, y: Value, reduced: readonly number[]): Value {
  const mask = cast(equal(x, y), x.type);
  return reduced.length === 0 ? dy : mul(div(dy, reduceSum(mask, reduced, true)), mask);
}
