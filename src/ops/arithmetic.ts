import { type Shape, sameShape, type TensorType, type Value } from "../graph/graph.ts";
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
}

const rules: Record<string, BinaryRule> = {
  Add: { since: 14, gradient: (dy) => [() => dy, () => dy] },
  Sub: { since: 14, gradient: (dy) => [() => dy, () => neg(dy)] },
  Mul: { since: 14, gradient: (dy, a, b) => [() => mul(dy, b), () => mul(dy, a)] },
  Div: { since: 14, gradient: (dy, _a, b, y) => [() => div(dy, b), () => neg(div(mul(dy, y), b))] },
  // d/db aᵇ = aᵇ ln a, which is right for a > 0 only, as everywhere.
  Pow: {
    since: 15,
    gradient: (dy, a, b, y) => [() => mul(dy, mul(b, pow(a, sub(b, 1)))), () => mul(dy, mul(y, log(a)))],
  },
};

for (const [operator, { since, gradient }] of Object.entries(rules)) {
  defineOperator(operator, {
    since,
    infer: inferBroadcast(operator),
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

function sameType([x]: readonly (Value | undefined)[]): TensorType[] {
  return [x!];
}
