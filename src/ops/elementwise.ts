import type { Attributes, TensorType, Value } from "../graph/graph.ts";
import { type DataType, dataTypeName, dataTypeNumber, isFloat } from "../onnx/types.ts";
import { add, div, mul, neg, reciprocal, sub } from "./arithmetic.ts";
import { and, greater, greaterOrEqual, less, lessOrEqual, or, where } from "./comparison.ts";
import {
  apply,
  defineOperator,
  float,
  floatAttribute,
  type GradientContext,
  int,
  intAttribute,
} from "./operator.ts";
import { reduceSum } from "./reduction.ts";

// One input, one output of the same type and shape. Each operator is one row: its derivative in terms of the
// input x and the output y.

type Derivative<Result> = (x: Value, y: Value, attribute: number, attributes: Attributes) => Result;

interface ElementwiseRule {
  since: number;
  /** Default 1, for an operator that only lets some elements through. */
  derivative?: Derivative<Value | number> | "zero";
  /** Where the gradient comes through; elsewhere it is 0, even of an infinite gradient. Default everywhere. */
  passes?: Derivative<Value>;
  /** Name and ONNX default of the operator's first attribute, if it has one. */
  attribute?: [name: string, fallback: number];
  /** Whether the slope can be infinite. Default false. */
  singular?: boolean;
}

const rules: Record<string, ElementwiseRule> = {
  Exp: { since: 13, derivative: (_x, y) => y },
  Log: { since: 13, derivative: (x) => reciprocal(x), singular: true },
  Sqrt: { since: 13, derivative: (_x, y) => div(0.5, y), singular: true },
  Abs: { since: 13, derivative: (x) => sign(x) },
  Sign: { since: 13, derivative: "zero" },
  Floor: { since: 13, derivative: "zero" },
  Ceil: { since: 13, derivative: "zero" },
  Round: { since: 11, derivative: "zero" },
  Sin: { since: 7, derivative: (x) => cos(x) },
  Cos: { since: 7, derivative: (x) => neg(sin(x)) },
  Tanh: { since: 13, derivative: (_x, y) => sub(1, mul(y, y)) },
  Sigmoid: { since: 13, derivative: (_x, y) => mul(y, sub(1, y)) },
  // 2/√π · exp(−x²)
  Erf: { since: 13, derivative: (x) => mul(2 / Math.sqrt(Math.PI), exp(neg(mul(x, x)))) },
  LeakyRelu: {
    since: 16,
    attribute: ["alpha", 0.01],
    derivative: (x, _y, alpha) => where(greater(x, 0), x.graph.scalar(1, x.type), alpha),
  },
  // Below zero y = α(eˣ − 1), so the slope there is y + α.
  Elu: {
    since: 6,
    attribute: ["alpha", 1],
    derivative: (x, y, alpha) => where(greater(x, 0), 1, add(y, alpha)),
  },
  Softplus: { since: 1, derivative: (x) => sigmoid(x) },
};

/** Enters operators of one input into the registry. */
export function defineElementwise(table: Readonly<Record<string, ElementwiseRule>>): void {
  for (const [operator, { since, derivative, passes, attribute, singular }] of Object.entries(table)) {
    defineOperator(operator, {
      since,
      infer: sameAsInput,
      singular,
      gradient:
        derivative === "zero"
          ? "zero"
          : ({ inputs: [x], outputs: [y], gradient, attributes }: GradientContext) => {
              const setting = attribute ? floatAttribute(attributes, ...attribute) : 0;
              const scaled = derivative ? mul(gradient, derivative(x, y, setting, attributes)) : gradient;
              return [passes ? where(passes(x, y, setting, attributes), scaled, 0) : scaled];
            },
    });
  }
}

defineElementwise(rules);

// At 0 the derivative is taken as 0, as in PyTorch. y is never negative, so its sign is the mask; the product with it is
// faster than the choice, which is needed only where an infinite gradient has to be stopped.
defineOperator("Relu", {
  since: 14,
  infer: sameAsInput,
  gradient: ({ outputs: [y], gradient, mayDiverge }) => [
    mayDiverge ? where(greater(y, 0), gradient, 0) : mul(gradient, sign(y)),
  ],
});

defineOperator("Identity", { since: 16, infer: sameAsInput, gradient: ({ gradient }) => [gradient] });

defineOperator("Cast", {
  since: 13,
  infer: ([x], attributes) => [
    { type: dataTypeName(intAttribute(attributes, "to", 0), "Cast"), shape: x!.shape },
  ],
  gradient: ({ inputs: [x], outputs: [y], gradient }) => [
    isFloat(x.type) && isFloat(y.type) ? cast(gradient, x.type) : undefined,
  ],
});

export const exp = (x: Value): Value => apply("Exp", [x])[0];
export const log = (x: Value): Value => apply("Log", [x])[0];
export const sqrt = (x: Value): Value => apply("Sqrt", [x])[0];
export const abs = (x: Value): Value => apply("Abs", [x])[0];
/** −1, 0 or 1. */
export const sign = (x: Value): Value => apply("Sign", [x])[0];
export const floor = (x: Value): Value => apply("Floor", [x])[0];
export const ceil = (x: Value): Value => apply("Ceil", [x])[0];
/** To the nearest integer, halves to the even one. */
export const round = (x: Value): Value => apply("Round", [x])[0];
export const sin = (x: Value): Value => apply("Sin", [x])[0];
export const cos = (x: Value): Value => apply("Cos", [x])[0];
export const tanh = (x: Value): Value => apply("Tanh", [x])[0];
export const sigmoid = (x: Value): Value => apply("Sigmoid", [x])[0];
export const erf = (x: Value): Value => apply("Erf", [x])[0];
export const relu = (x: Value): Value => apply("Relu", [x])[0];
export const softplus = (x: Value): Value => apply("Softplus", [x])[0];
export const identity = (x: Value): Value => apply("Identity", [x])[0];

/** x above 0, `alpha`·x below. PyTorch's `negative_slope` is 0.01 too. */
export function leakyRelu(x: Value, alpha = 0.01): Value {
  return apply("LeakyRelu", [x], { alpha: float(alpha) })[0];
}

/** x above 0, `alpha`·(eˣ − 1) below. */
export function elu(x: Value, alpha = 1): Value {
  return apply("Elu", [x], { alpha: float(alpha) })[0];
}

/** x·Φ(x) with the exact normal distribution function, PyTorch's default `gelu`. */
export function gelu(x: Value): Value {
  return mul(mul(x, 0.5), add(1, erf(mul(x, Math.SQRT1_2))));
}

/** x·sigmoid(x), also called swish. */
export function silu(x: Value): Value {
  return mul(x, sigmoid(x));
}

/** `slope`·x + `offset` between 0 and 1, where the gradient is 0 at both limits. The defaults are PyTorch's. */
export function hardSigmoid(x: Value, slope = 1 / 6, offset = 0.5): Value {
  return apply("HardSigmoid", [x], { alpha: float(slope), beta: float(offset) })[0];
}

/** x·hardSigmoid(x). */
export function hardSwish(x: Value): Value {
  return mul(x, hardSigmoid(x));
}

// Either bound may be missing. A bound that is computed gets the gradient of what it cut off; x has it at the limits
// themselves, as in PyTorch's clamp. Where the lower bound is above the upper one the result is the upper one.
defineOperator("Clip", {
  since: 13,
  infer: sameAsInput,
  gradient: ({ inputs: [x, low, high], gradient, wanted }) => {
    const sides = [low && greaterOrEqual(x, low), high && lessOrEqual(x, high)].filter(
      (side): side is Value => side !== undefined,
    );
    const inside = sides.reduce<Value | undefined>((all, side) => (all ? and(all, side) : side), undefined);
    const cut = (condition: Value) => reduceSum(where(condition, gradient, 0));
    return [
      inside ? where(inside, gradient, 0) : gradient,
      wanted[1] ? cut(high ? and(less(x, low), lessOrEqual(low, high)) : less(x, low)) : undefined,
      wanted[2] ? cut(low ? or(greater(x, high), greater(low, high)) : greater(x, high)) : undefined,
    ];
  },
});

/** Between `low` and `high`; the gradient is 0 outside. */
export function clip(x: Value, low: number, high: number): Value {
  return apply("Clip", [x, x.graph.scalar(low, x.type), x.graph.scalar(high, x.type)])[0];
}

/** The same numbers in another type. */
export function cast(x: Value, type: DataType): Value {
  if (x.type === type) return x;
  return apply("Cast", [x], { to: int(dataTypeNumber(type)) })[0];
}

function sameAsInput([x]: readonly (Value | undefined)[]): TensorType[] {
  return [x!];
}
