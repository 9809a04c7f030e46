import type { TensorType, Value } from "../graph/graph.ts";
import { addAll, binary, div, mul, neg, type Operand, sumToShape } from "./arithmetic.ts";
import { equal, greater, less, where } from "./comparison.ts";
import { abs, cast, floor, sign } from "./elementwise.ts";
import { apply, broadcastShape, defineOperator, type GradientContext, requireSameType } from "./operator.ts";

// Max, Min, Sum and Mean of any number of tensors, broadcast to each other, and the remainder of a division.

/** The shape rule of any number of inputs of one type, broadcast to each other. */
function inferAll(operator: string) {
  return (values: readonly (Value | undefined)[]): TensorType[] => {
    const inputs = values as readonly Value[];
    const type = requireSameType(operator, inputs);
    const shape = inputs.reduce(
      (whole, input) => broadcastShape(operator, { ...input, shape: whole }, input),
      inputs[0].shape,
    );
    return [{ type, shape }];
  };
}

// Equal extremes share the gradient evenly, as in PyTorch.
for (const [operator, loses] of [
  ["Max", (a: Value, b: Value) => less(a, b)],
  ["Min", (a: Value, b: Value) => greater(a, b)],
] as const) {
  defineOperator(operator, {
    since: 13,
    infer: inferAll(operator),
    gradient: (context) =>
      context.inputs.length === 2 ? shareOfTwo(context, loses) : shareAmongExtremes(context),
  });
}

function shareOfTwo(
  { inputs: [a, b], gradient, wanted }: GradientContext,
  loses: (a: Value, b: Value) => Value,
): (Value | undefined)[] {
  const shared = where(equal(a, b), mul(gradient, 0.5), gradient);
  const share = (mine: Value, other: Value) => sumToShape(where(loses(mine, other), 0, shared), mine.shape);
  return [wanted[0] ? share(a, b) : undefined, wanted[1] ? share(b, a) : undefined];
}

function shareAmongExtremes({ inputs, outputs: [y], gradient, wanted }: GradientContext) {
  const masks = inputs.map((input) => equal(input, y));
  const share = div(gradient, addAll(masks.map((mask) => cast(mask, y.type))));
  return inputs.map((input, index) =>
    wanted[index] ? sumToShape(where(masks[index], share, 0), input.shape) : undefined,
  );
}

defineOperator("Sum", {
  since: 13,
  infer: inferAll("Sum"),
  gradient: ({ inputs, gradient }) => inputs.map((input) => sumToShape(gradient, input.shape)),
});

defineOperator("Mean", {
  since: 13,
  infer: inferAll("Mean"),
  gradient: ({ inputs, gradient }) =>
    inputs.map((input) => sumToShape(mul(gradient, 1 / inputs.length), input.shape)),
});

// With fmod y = a − b·trunc(a/b), a piece of a line in both. Without fmod ONNX takes whole numbers only.
defineOperator("Mod", {
  since: 13,
  infer: inferAll("Mod"),
  gradient: ({ inputs: [a, b], gradient, wanted }) => {
    const quotient = div(a, b);
    const whole = mul(sign(quotient), floor(abs(quotient)));
    return [
      wanted[0] ? sumToShape(gradient, a.shape) : undefined,
      wanted[1] ? sumToShape(neg(mul(gradient, whole)), b.shape) : undefined,
    ];
  },
});

export const maximum = (a: Operand, b: Operand): Value => binary("Max", a, b);
export const minimum = (a: Operand, b: Operand): Value => binary("Min", a, b);
/** The largest of any number of tensors at each place, broadcast to each other. */
export const maximumOf = (values: readonly Value[]): Value => apply("Max", values)[0];
/** The smallest. */
export const minimumOf = (values: readonly Value[]): Value => apply("Min", values)[0];
/** The mean. */
export const meanOf = (values: readonly Value[]): Value => apply("Mean", values)[0];
