import { readOptions } from "../common/options.ts";
import { type Attributes, describe, sameShape, type TensorType, type Value } from "../graph/graph.ts";
import { dataTypeName, dataTypes, wideType } from "../onnx/types.ts";
import { add, div, mul, sub } from "./arithmetic.ts";
import { and, greaterOrEqual, lessOrEqual, where } from "./comparison.ts";
import { cast, clip, round } from "./elementwise.ts";
import { expand, reshape } from "./movement.ts";
import {
  apply,
  defineOperator,
  floatAttribute,
  int,
  intAttribute,
  normalizeAxes,
  operatorError,
  stringAttribute,
} from "./operator.ts";
import { pad } from "./padding.ts";
import { reduceSum } from "./reduction.ts";
import { slice } from "./slicing.ts";

// Numbers as small integers, q = clip(round(x/scale) + zero point), and back, (q − zero point)·scale. Integers have
// no gradient, so only the pair has one: FakeQuantize stands for QuantizeLinear and DequantizeLinear after each
// other, and lets dy straight through where x is rounded to a number within range (Bengio, Léonard & Courville 2013).
// Scale and zero point are one number, one per channel of `axis`, or one per block of places along it. Integers
// of 4 and 2 bits are held in 8.

/** Integers that numbers are quantized to. */
const quantizedTypes = ["uint16", "int16", "uint8", "int8", "uint4", "int4", "uint2", "int2"] as const;
export type QuantizedType = (typeof quantizedTypes)[number];

/** The least and the largest number of a type. */
function rangeOf(type: QuantizedType): readonly [number, number] {
  const count = 2 ** dataTypes[type].bits;
  return type.startsWith("u") ? [0, count - 1] : [-count / 2, count / 2 - 1];
}

// ONNX Runtime has kernels for 8 bits and whole channels; the others become plain arithmetic.
defineOperator("QuantizeLinear", {
  since: 13,
  infer: (inputs, attributes): TensorType[] => {
    const [x, scale] = inputs;
    requireScale("QuantizeLinear", x!, scale!, attributes);
    return [{ type: wideType(quantizedType(inputs, attributes)), shape: x!.shape }];
  },
  gradient: "none",
  plain: plainQuantize,
});

defineOperator("DequantizeLinear", {
  since: 13,
  infer: ([q, scale], attributes): TensorType[] => {
    requireScale("DequantizeLinear", q!, scale!, attributes);
    return [{ type: scale!.type, shape: q!.shape }];
  },
  gradient: ({ inputs: [q, scale, zero], attributes, gradient }) => {
    const whole = cast(q, scale.type);
    const centered = zero ? sub(whole, spread(cast(zero, scale.type), q, attributes)) : whole;
    return [undefined, gathered(mul(gradient, centered), scale, attributes), undefined];
  },
  plain: plainDequantize,
  refused: [0],
});

function quantizedType([, , zero]: readonly (Value | undefined)[], attributes: Attributes): QuantizedType {
  const stated = intAttribute(attributes, "output_dtype", 0);
  return (stated ? dataTypeName(stated, "output_dtype") : (zero?.type ?? "uint8")) as QuantizedType;
}

/** What QuantizeLinear computes where there is no kernel; undefined where there is one. */
function plainQuantize(inputs: readonly Value[], attributes: Attributes): Value | undefined {
  const [x, scale, zero] = inputs;
  const type = quantizedType(inputs, attributes);
  if ((type === "uint8" || type === "int8") && !blockSize(attributes) && !attributes.output_dtype)
    return undefined;
  const [least, most] = rangeOf(type);
  const steps = round(div(x, spread(scale, x, attributes)));
  const moved = zero ? add(steps, spread(cast(zero, x.type), x, attributes)) : steps;
  return cast(cast(clip(moved, least, most), "int32"), wideType(type));
}

/** What DequantizeLinear computes where there is no kernel; undefined where there is one. */
function plainDequantize([q, scale, zero]: readonly Value[], attributes: Attributes): Value | undefined {
  const known = q.type === "uint8" || q.type === "int8" || q.type === "int32";
  return known && !blockSize(attributes) ? undefined : dequantized(q, scale, zero, attributes);
}

/** (q − zero point)·scale for q of any type. */
export function dequantized(q: Value, scale: Value, zero: Value | undefined, attributes: Attributes): Value {
  const whole = cast(q, scale.type);
  const centered = zero ? sub(whole, spread(cast(zero, scale.type), q, attributes)) : whole;
  return mul(centered, spread(scale, q, attributes));
}

// d/d(scale) of (q − zero)·scale with q let through: (q − zero) − x/scale within range, q − zero outside (Esser et al.
// 2020, LSQ), times `factor`. Within range is what is so after rounding (PyTorch's fake quantization) or, with `clip`
// "before-rounding", before it (LSQ): that differs up to half a step beyond a limit. Limits themselves are within.
defineOperator("FakeQuantize", {
  since: 13,
  domain: "training",
  infer: ([x, scale], attributes): TensorType[] => {
    requireScale("FakeQuantize", x!, scale!, attributes);
    return [x!];
  },
  gradient: ({ inputs, attributes, gradient, wanted }) => {
    const [, scale] = inputs;
    const { ratio, rounded, low, high, steps } = readFake(inputs, attributes);
    const clipped =
      stringAttribute(attributes, "clip", "after-rounding") === "before-rounding" ? ratio : rounded;
    const inside = and(greaterOrEqual(clipped, low), lessOrEqual(clipped, high));
    const slope = () => sub(steps, where(inside, ratio, 0));
    const factor = floatAttribute(attributes, "factor", 1);
    const ofScale = () => gathered(mul(gradient, slope()), scale, attributes);
    return [
      where(inside, gradient, 0),
      wanted[1] ? (factor === 1 ? ofScale() : mul(ofScale(), factor)) : undefined,
      undefined,
    ];
  },
  plain: plainFakeQuantize,
});

/** What FakeQuantize computes, in plain arithmetic. */
function plainFakeQuantize(inputs: readonly (Value | undefined)[], attributes: Attributes): Value {
  const { steps, scale } = readFake(inputs, attributes);
  return mul(steps, scale);
}

/** Whole numbers from the least to the largest. */
export interface IntegerRange {
  low: number;
  high: number;
}

/**
 * x rounded to the numbers that a small integer and a scale stand for; the gradient passes as if it were not.
 * `zero` is of x's type, a whole number.
 */
export function fakeQuantize(
  x: Value,
  scale: Value,
  zero: Value,
  options: { type?: QuantizedType; axis?: number } = {},
): Value {
  const kinds = { type: quantizedTypes, axis: "number" } as const;
  const { type = "uint8", axis = 1 } = readOptions("fakeQuantize", options, kinds);
  const [low, high] = rangeOf(type);
  return apply("FakeQuantize", [x, scale, zero], { axis: int(axis), low: int(low), high: int(high) })[0];
}

/**
 * x as multiples of a step that is learned (LSQ, arXiv 1902.08153): clip(x/step, low, high) rounded to even, times step.
 * dy passes where low ≤ x/step ≤ high.
 * @param step a scalar, or a number for each place of `axis`; above 0
 * @param options.gradientFactor a factor of the gradient of the step. Default 1
 * @throws UserError for limits that are not whole numbers around 0
 */
export function learnedQuantize(
  x: Value,
  step: Value,
  options: IntegerRange & { axis?: number; gradientFactor?: number },
): Value {
  const kinds = { low: "number", high: "number", axis: "number", gradientFactor: "number" } as const;
  const { low, high, axis = 0, gradientFactor = 1 } = readOptions("learnedQuantize", options, kinds);
  if (!Number.isInteger(low) || !Number.isInteger(high) || low > 0 || high < 1) {
    throw operatorError(
      "FakeQuantize",
      x,
      `the range is ${low} to ${high}; it has to be whole numbers, from 0 or below to 1 or above`,
    );
  }
  return apply("FakeQuantize", [x, step], {
    axis: int(axis),
    low: int(low),
    high: int(high),
    clip: { string: "before-rounding" },
    factor: { float: gradientFactor },
  })[0];
}

/** The integers of `learnedQuantize`, as numbers of x's type; they have no gradient. */
export function learnedIntegers(
  x: Value,
  step: Value,
  { low, high, axis = 0 }: IntegerRange & { axis?: number },
): Value {
  return readFake([x, step], { axis: int(axis), low: int(low), high: int(high) }).steps;
}

/** x/scale, it rounded, the bounds of that, and it rounded and clipped: all without the zero point. */
function readFake([x, scale, zero]: readonly (Value | undefined)[], attributes: Attributes) {
  const { type } = x!;
  const number = (value: number) => x!.graph.scalar(value, type);
  const [least, most] = [intAttribute(attributes, "low", 0), intAttribute(attributes, "high", 255)];
  const step = spread(scale!, x!, attributes);
  const ratio = div(x!, step);
  const rounded = round(ratio);
  if (!zero) {
    const [low, high] = [number(least), number(most)];
    return { ratio, rounded, scale: step, low, high, steps: clip(rounded, least, most) };
  }
  const origin = spread(zero, x!, attributes);
  const steps = sub(clip(add(rounded, origin), least, most), origin);
  return { ratio, rounded, scale: step, low: sub(least, origin), high: sub(most, origin), steps };
}

function blockSize(attributes: Attributes): number {
  return intAttribute(attributes, "block_size", 0);
}

function isOne({ shape }: Value): boolean {
  return shape.length === 0 || (shape.length === 1 && shape[0] === 1);
}

function requireScale(operator: string, x: Value, scale: Value, attributes: Attributes): void {
  if (isOne(scale)) return;
  const [axis] = normalizeAxes(operator, x, [intAttribute(attributes, "axis", 1)]);
  const block = blockSize(attributes);
  if (block > 0) {
    const blocks = x.shape.map((size, other) => (other === axis ? Math.ceil(size / block) : size));
    if (sameShape(scale.shape, blocks)) return;
    throw operatorError(
      operator,
      x,
      `the scale ${describe(scale)} has not one number for each block of ${block} in axis ${axis} of ${describe(x)}`,
    );
  }
  if (scale.shape.length !== 1 || scale.shape[0] !== x.shape[axis]) {
    throw operatorError(
      operator,
      x,
      `the scale ${describe(scale)} is neither one number nor one for each of the ${x.shape[axis]} of axis ${axis}`,
    );
  }
}

/** A scale as it broadcasts over x. */
export function spread(scale: Value, x: Value, attributes: Attributes): Value {
  if (isOne(scale))
    return reshape(
      scale,
      x.shape.map(() => 1),
    );
  const [axis] = normalizeAxes("QuantizeLinear", x, [intAttribute(attributes, "axis", 1)]);
  const block = blockSize(attributes);
  if (block === 0)
    return reshape(
      scale,
      x.shape.map((size, other) => (other === axis ? size : 1)),
    );
  const apart = reshape(scale, scale.shape.toSpliced(axis + 1, 0, 1));
  const repeated = expand(apart, scale.shape.toSpliced(axis + 1, 0, block));
  const whole = reshape(repeated, scale.shape.with(axis, scale.shape[axis] * block));
  return slice(whole, { axes: [axis], starts: [0], ends: [x.shape[axis]] });
}

/** What is given to every place of x, added up for each number of the scale. */
function gathered(gradient: Value, scale: Value, attributes: Attributes): Value {
  if (isOne(scale)) return reshape(reduceSum(gradient), scale.shape);
  const { shape } = gradient;
  const [axis] = normalizeAxes("QuantizeLinear", gradient, [intAttribute(attributes, "axis", 1)]);
  const block = blockSize(attributes);
  if (block === 0) {
    const others = shape.map((_, other) => other).filter((other) => other !== axis);
    return others.length === 0 ? gradient : reduceSum(gradient, others);
  }
  const missing = scale.shape[axis] * block - shape[axis];
  const filled = pad(
    gradient,
    shape.map(() => 0),
    shape.map((_, other) => (other === axis ? missing : 0)),
  );
  return reduceSum(reshape(filled, scale.shape.toSpliced(axis + 1, 0, block)), [axis + 1]);
}
