import { type Attributes, describe, type TensorType, type Value } from "../graph/graph.ts";
import { add, div, mul, sub, sumToShape } from "./arithmetic.ts";
import { and, greaterOrEqual, lessOrEqual, where } from "./comparison.ts";
import { cast, clip, round } from "./elementwise.ts";
import { reshape } from "./movement.ts";
import { apply, defineOperator, int, intAttribute, normalizeAxes, operatorError } from "./operator.ts";

// Numbers as small integers, q = clip(round(x/scale) + zero point), and back, (q − zero point)·scale. Integers have no
// gradient, so only the pair has one: FakeQuantize stands for QuantizeLinear and DequantizeLinear after each other, and
// lets dy straight through where x is within range (Bengio, Léonard & Courville 2013). Scale and zero point are one
// number, or one per channel of `axis`.

const ranges = { uint8: [0, 255], int8: [-128, 127] } as const;

defineOperator("QuantizeLinear", {
  since: 13,
  infer: ([x, scale, zero], attributes): TensorType[] => {
    requireScale("QuantizeLinear", x!, scale!, attributes);
    return [{ type: zero?.type ?? "uint8", shape: x!.shape }];
  },
  gradient: "none",
});

defineOperator("DequantizeLinear", {
  since: 13,
  infer: ([q, scale], attributes): TensorType[] => {
    requireScale("DequantizeLinear", q!, scale!, attributes);
    return [{ type: scale!.type, shape: q!.shape }];
  },
  gradient: ({ inputs: [q, scale, zero], attributes, gradient }) => {
    const wide = channelShape(q, scale, attributes);
    const whole = cast(q, scale.type);
    const centered = zero ? sub(whole, reshape(cast(zero, scale.type), wide)) : whole;
    return [undefined, reshape(sumToShape(mul(gradient, centered), wide), scale.shape), undefined];
  },
  refused: [0],
});

// d/d(scale) of (q − zero)·scale with q let through: (q − zero) − x/scale within range, q − zero outside (Esser et al.
// 2020, LSQ).
defineOperator("FakeQuantize", {
  since: 13,
  domain: "training",
  infer: ([x, scale], attributes): TensorType[] => {
    requireScale("FakeQuantize", x!, scale!, attributes);
    return [x!];
  },
  gradient: ({ inputs, attributes, gradient, wanted }) => {
    const [, scale] = inputs;
    const { wide, ratio, low, high, steps } = readFake(inputs, attributes);
    const inside = and(greaterOrEqual(ratio, low), lessOrEqual(ratio, high));
    const slope = () => sub(steps, where(inside, ratio, 0));
    return [
      where(inside, gradient, 0),
      wanted[1] ? reshape(sumToShape(mul(gradient, slope()), wide), scale.shape) : undefined,
      undefined,
    ];
  },
});

/** What FakeQuantize computes, in plain arithmetic. */
export function plainFakeQuantize(inputs: readonly Value[], attributes: Attributes): Value {
  const { steps, scale } = readFake(inputs, attributes);
  return mul(steps, scale);
}

/**
 * x rounded to the numbers that a uint8 (or int8) and a scale stand for; the gradient passes as if it were not.
 * `zero` is of x's type, a whole number.
 */
export function fakeQuantize(
  x: Value,
  scale: Value,
  zero: Value,
  { type = "uint8", axis = 1 }: { type?: keyof typeof ranges; axis?: number } = {},
): Value {
  return apply("FakeQuantize", [x, scale, zero], {
    axis: int(axis),
    signed: int(type === "int8" ? 1 : 0),
  })[0];
}

/** x/scale, the bounds of that, and it rounded and clipped: all without the zero point. */
function readFake([x, scale, zero]: readonly Value[], attributes: Attributes) {
  const wide = channelShape(x, scale, attributes);
  const [least, most] = ranges[intAttribute(attributes, "signed", 0) === 1 ? "int8" : "uint8"];
  const [step, origin] = [reshape(scale, wide), reshape(zero, wide)];
  const ratio = div(x, step);
  const steps = sub(clip(add(round(ratio), origin), least, most), origin);
  return { wide, ratio, scale: step, low: sub(least, origin), high: sub(most, origin), steps };
}

function requireScale(operator: string, x: Value, scale: Value, attributes: Attributes): void {
  const one = scale.shape.length === 0 || (scale.shape.length === 1 && scale.shape[0] === 1);
  if (one) return;
  const [axis] = normalizeAxes(operator, x, [intAttribute(attributes, "axis", 1)]);
  if (scale.shape.length !== 1 || scale.shape[0] !== x.shape[axis]) {
    throw operatorError(
      operator,
      x,
      `the scale ${describe(scale)} is neither one number nor one for each of the ${x.shape[axis]} of axis ${axis}`,
    );
  }
}

/** A scale as it broadcasts over x. */
function channelShape(x: Value, scale: Value, attributes: Attributes): readonly number[] {
  if (scale.shape.length === 0 || scale.shape[0] === 1) return x.shape.map(() => 1);
  const [axis] = normalizeAxes("QuantizeLinear", x, [intAttribute(attributes, "axis", 1)]);
  return x.shape.map((size, other) => (other === axis ? size : 1));
}
