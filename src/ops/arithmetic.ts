import { constantNumbers } from "../graph/constants.ts";
import { type Shape, sameShape, type TensorType, type Value } from "../graph/graph.ts";
import { and, equal, greaterOrEqual, where } from "./comparison.ts";
import { log } from "./elementwise.ts";
import { reshape } from "./movement.ts";
import { apply, broadcastShape, defineOperator, type GradientContext, requireSameType } from "./operator.ts";
import { reduceSum } from "./reduction.ts";

// Two inputs of one type, broadcast to each other. A gradient comes back in the broadcast shape and is summed
// over the axes that were stretched.

/** A tensor, or a number that takes the type of the other operand. */
export type Operand = Value | number;

interface BinaryRule {
  since: number;
  /** dL/da and dL/db before they are summed back to the shapes of a and b. */
  gradient: (dy: Value, a: Value, b: Value, y: Value) => [a: () => Value, b: () => Value];
  /** Whether the slope can be infinite for these second operands; undefined: they are computed. */
  singular?: (b: readonly number[] | undefined) => boolean;
}

const rules: Record<string, BinaryRule> = {
  Add: { since: 14, gradient: (dy) => [() => dy, () => dy] },
  Sub: { since: 14, gradient: (dy) => [() => dy, () => neg(dy)] },
  Mul: { since: 14, gradient: (dy, a, b) => [() => mul(dy, b), () => mul(dy, a)] },
  Div: {
    since: 14,
    gradient: (dy, _a, b, y) => [() => div(dy, b), () => neg(div(mul(dy, y), b))],
    singular: (b) => b?.every((divisor) => divisor !== 0) !== true,
  },
  // d/db aᵇ = aᵇ ln a, which is NaN for a < 0, and 0 at 0ᵇ with b ≥ 0, as in PyTorch.
  Pow: {
    since: 15,
    gradient: (dy, a, b, y) => [
      () => mul(dy, mul(b, pow(a, exponentBelow(a, b)))),
      () => mul(dy, mul(y, log(where(and(equal(a, 0), greaterOrEqual(b, 0)), 1, a)))),
    ],
    singular: (b) => b?.every((exponent) => exponent === 0 || exponent >= 1) !== true,
  },
};

for (const [operator, { since, gradient, singular }] of Object.entries(rules)) {
  defineOperator(operator, {
    since,
    infer: inferBroadcast(operator),
    singular: singular && (([, b]) => singular(constantNumbers(b))),
    gradient: ({ inputs: [a, b], outputs: [y], gradient: dy, wanted }: GradientContext) => {
      const [gradientA, gradientB] = gradient(dy, a, b, y);
      return [
        wanted[0] ? sumToShape(gradientA(), a.shape) : undefined,
        wanted[1] ? sumToShape(gradientB(), b.shape) : undefined,
      ];
    },
  });
}

defineOperator("Neg", { since: 13, infer: sameType, gradient: ({ gradient }) => [neg(gradient)] });
defineOperator("Reciprocal", {
  since: 13,
  infer: sameType,
  gradient: ({ outputs: [y], gradient }) => [neg(mul(gradient, mul(y, y)))],
  singular: true,
});

export const add = (a: Operand, b: Operand): Value => binary("Add", a, b);
export const sub = (a: Operand, b: Operand): Value => binary("Sub", a, b);
export const mul = (a: Operand, b: Operand): Value => binary("Mul", a, b);
export const div = (a: Operand, b: Operand): Value => binary("Div", a, b);
export const pow = (a: Operand, b: Operand): Value => binary("Pow", a, b);
export const neg = (x: Value): Value => apply("Neg", [x])[0];
/** 1/x. */
export const reciprocal = (x: Value): Value => apply("Reciprocal", [x])[0];
/** x². */
export const square = (x: Value): Value => mul(x, x);

/** a/b, and 0 where b is 0; there its derivatives are 0 too. */
export function divideOrZero(a: Value, b: Value): Value {
  const isZero = equal(b, 0);
  return where(isZero, 0, div(a, where(isZero, 1, b)));
}

/** The sum of one or more tensors of one shape. */
export function addAll(values: readonly Value[]): Value {
  return values.reduce((sum, value) => add(sum, value));
}

/** Applies an operator of two inputs; a number becomes a constant of the other's type. */
export function binary(operator: string, a: Operand, b: Operand): Value {
  const some = typeof a === "number" ? b : a;
  if (typeof some === "number") throw new Error(`${operator}: one operand has to be a tensor`);
  const [left, right] = [a, b].map((side) =>
    typeof side === "number" ? some.graph.scalar(side, some.type) : side,
  );
  return apply(operator, [left, right])[0];
}

/** The shape rule of operators that broadcast two inputs. */
export function inferBroadcast(operator: string, type?: "bool") {
  return ([a, b]: readonly (Value | undefined)[]): TensorType[] => [
    { type: type ?? requireSameType(operator, [a!, b!]), shape: broadcastShape(operator, a!, b!) },
  ];
}

/** Sums a gradient of a broadcast shape back to the shape that was broadcast. */
export function sumToShape(gradient: Value, shape: Shape): Value {
  if (sameShape(gradient.shape, shape)) return gradient;
  const missing = gradient.shape.length - shape.length;
  const axes = gradient.shape.flatMap((size, axis) =>
    axis < missing || (shape[axis - missing] === 1 && size !== 1) ? [axis] : [],
  );
  return reshape(axes.length > 0 ? reduceSum(gradient, axes, true) : gradient, shape);
}

/** b − 1, and 1 for 0⁰: then b·aᵇ⁻¹ is 0 there, and not 0·∞. */
function exponentBelow(a: Value, b: Value): Value {
  const below = sub(b, 1);
  const known = constantNumbers(b);
  return known && !known.includes(0) ? below : where(and(equal(a, 0), equal(b, 0)), 1, below);
}

function sameType([x]: readonly (Value | undefined)[]): TensorType[] {
  return [x!];
}
