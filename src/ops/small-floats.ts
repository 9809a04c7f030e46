import type { Attributes, Value } from "../graph/graph.ts";
import { type FractionalType, floatFormat, type SmallFloat } from "../onnx/small-floats.ts";
import type { DataType } from "../onnx/tensor.ts";
import { dataTypes, wideType } from "../onnx/types.ts";
import { add, div, mul, pow, sub } from "./arithmetic.ts";
import { and, greater, greaterOrEqual, isNan, less, lessOrEqual, where } from "./comparison.ts";
import { abs, cast, clip, floor, log, round, sign } from "./elementwise.ts";
import { apply, defineOperator, int, intAttribute, stringAttribute } from "./operator.ts";
import { minimum } from "./variadic.ts";

// Numbers of 8 bits and fewer, computed in wider types: a cast to one of them rounds, and lets the gradient through as
// casts between floats do.

defineOperator("RoundToType", {
  since: 13,
  domain: "training",
  infer: ([x]) => [x!],
  gradient: ({ gradient }) => [gradient],
  plain: ([x], attributes) => plainRoundToType(x, attributes),
});

export interface CastOptions {
  /** Whether what is too large becomes the largest number, infinity included. Default true. */
  saturate?: boolean;
  /** How float8e8m0, which only has powers of two, is rounded to. Default `"up"`. */
  roundMode?: "up" | "down" | "nearest";
}

/** x rounded to the numbers that a float of 8 or 4 bits has; x is of a wider type and stays in it. */
export function roundToType(x: Value, type: SmallFloat, options: CastOptions = {}): Value {
  const { saturate = true, roundMode = "up" } = options;
  return apply("RoundToType", [x], {
    type: { string: type },
    saturate: int(saturate ? 1 : 0),
    round_mode: { string: roundMode },
  })[0];
}

/** Whole numbers as an integer of 4 or 2 bits keeps them: of larger ones the low bits. */
export function wrapToType(x: Value, type: DataType): Value {
  const count = 2 ** dataTypes[type].bits;
  const least = type.startsWith("u") ? 0 : -count / 2;
  const [low, size] = [least, count].map((value) => x.graph.scalar(value, "int32"));
  const [rest] = apply("Mod", [sub(cast(x, "int32"), low), size]);
  return cast(add(rest, low), wideType(type));
}

/** What RoundToType computes, in plain arithmetic. */
function plainRoundToType(x: Value, attributes: Attributes): Value {
  const type = stringAttribute(attributes, "type", "") as SmallFloat;
  const saturate = intAttribute(attributes, "saturate", 1) === 1;
  if (type === "float8e8m0")
    return roundToPower(x, saturate, stringAttribute(attributes, "round_mode", "up"));
  return roundToFraction(x, type, saturate);
}

function roundToFraction(x: Value, type: FractionalType, saturate: boolean): Value {
  const { fraction, least, largest, nan, infinity } = floatFormat(type);
  const size = minimum(abs(x), 4 * largest);
  const step = mul(powerBelow(size, least), 2 ** -fraction);
  const steps = mul(round(div(size, step)), step);
  const beyond = infinity === undefined ? Number.NaN : Number.POSITIVE_INFINITY;
  const fitting =
    saturate || nan === undefined ? minimum(steps, largest) : where(greater(steps, largest), beyond, steps);
  return where(isNan(x), nan === undefined ? 0 : Number.NaN, mul(sign(x), fitting));
}

/** Powers of two from 2⁻¹²⁷ to 2¹²⁷. */
function roundToPower(x: Value, saturate: boolean, mode: string): Value {
  const [least, largest] = [2 ** -127, 2 ** 127];
  const size = minimum(abs(x), largest);
  const below = powerBelow(size, -126);
  const threshold = mul(below, mode === "nearest" ? 1.5 : 1);
  const goesUp = mode === "up" ? greater(size, threshold) : greaterOrEqual(size, threshold);
  const power = mode === "down" ? below : where(goesUp, mul(below, 2), below);
  const within = and(greaterOrEqual(abs(x), least), lessOrEqual(abs(x), largest));
  const saturated = where(less(abs(x), 2 ** -126), least, minimum(power, largest));
  return saturate ? where(isNan(x), Number.NaN, saturated) : where(within, saturated, Number.NaN);
}

/** The largest power of two that is not above a number: at least 2^least. The logarithm may be off by a rounding. */
function powerBelow(size: Value, least: number): Value {
  const bounded = clip(size, 2 ** least, 2 ** 127);
  const exponent = floor(mul(log(bounded), Math.LOG2E));
  const power = pow(size.graph.scalar(2, size.type), exponent);
  const tooLarge = greater(power, bounded);
  const tooSmall = lessOrEqual(mul(power, 2), bounded);
  return mul(power, where(tooLarge, 0.5, where(tooSmall, 2, size.graph.scalar(1, size.type))));
}
