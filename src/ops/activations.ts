import { describe, sameShape, type TensorType, type Value } from "../graph/graph.ts";
import { add, div, mul, reciprocal, square, sub, sumToShape } from "./arithmetic.ts";
import { and, greater, greaterOrEqual, less, where } from "./comparison.ts";
import { abs, defineElementwise, erf, exp, sigmoid, softplus, tanh } from "./elementwise.ts";
import {
  apply,
  broadcastShape,
  composeOperator,
  defineOperator,
  float,
  floatAttribute,
  operatorError,
  requireSameType,
  stringAttribute,
} from "./operator.ts";

// Activations that ONNX has as operators of their own. Where two pieces meet the slope is that of the piece below,
// as in PyTorch.

/** ONNX's defaults of Selu, which are the constants of Klambauer et al. 2017 in float32. */
export const seluDefaults = { alpha: 1.6732631921768188, gamma: 1.0507010221481323 };

const one = (x: Value) => x.graph.scalar(1, x.type);

defineElementwise({
  // Below zero y = γα(eˣ − 1), so the slope there is y + γα.
  Selu: {
    since: 6,
    attribute: ["alpha", seluDefaults.alpha],
    derivative: (x, y, alpha, attributes) => {
      const gamma = floatAttribute(attributes, "gamma", seluDefaults.gamma);
      return where(greater(x, 0), gamma, add(y, gamma * alpha));
    },
  },
  // Below zero y = α(e^(x/α) − 1), so the slope there is y/α + 1.
  Celu: {
    since: 12,
    attribute: ["alpha", 1],
    derivative: (x, y, alpha) => where(greater(x, 0), 1, add(div(y, alpha), 1)),
  },
  ThresholdedRelu: { since: 10, attribute: ["alpha", 1], passes: (x, _y, alpha) => greater(x, alpha) },
  Shrink: {
    since: 9,
    attribute: ["lambd", 0.5],
    passes: (x, _y, threshold) => greater(abs(x), threshold),
  },
  HardSigmoid: {
    since: 6,
    attribute: ["alpha", 0.2],
    derivative: (_x, _y, alpha) => alpha,
    passes: (_x, y) => and(greater(y, 0), less(y, 1)),
  },
  // x·(x/6 + 1/2) between −3 and 3.
  HardSwish: {
    since: 14,
    derivative: (x) => where(greaterOrEqual(x, 3), 1, add(mul(x, 1 / 3), 0.5)),
    passes: (x) => greater(x, -3),
  },
  Gelu: {
    since: 20,
    derivative: (x, _y, _none, attributes) =>
      stringAttribute(attributes, "approximate", "none") === "tanh" ? geluTanhSlope(x) : geluSlope(x),
  },
  // d/dx x·σ(αx) = σ + αx·σ(1 − σ)
  Swish: {
    since: 24,
    attribute: ["alpha", 1],
    derivative: (x, _y, alpha) => {
      const scaled = mul(x, alpha);
      const gate = sigmoid(scaled);
      return add(gate, mul(scaled, mul(gate, sub(1, gate))));
    },
  },
  // d/dx x·t with t = tanh(softplus(x)): t + x·(1 − t²)·σ(x).
  Mish: {
    since: 18,
    derivative: (x) => {
      const gate = tanh(softplus(x));
      return add(gate, mul(mul(x, sub(1, square(gate))), sigmoid(x)));
    },
  },
  Softsign: { since: 1, derivative: (x) => square(reciprocal(add(abs(x), 1))) },
});

defineOperator("PRelu", {
  since: 16,
  infer: ([x, slope]): TensorType[] => {
    requireSameType("PRelu", [x!, slope!]);
    const shape = broadcastShape("PRelu", x!, slope!);
    if (shape.length !== x!.shape.length || shape.some((size, axis) => size !== x!.shape[axis])) {
      throw operatorError("PRelu", x!, `slope ${describe(slope!)} does not stretch to ${describe(x!)}`);
    }
    return [x!];
  },
  gradient: ({ inputs: [x, slope], gradient, wanted }) => [
    wanted[0] ? mul(gradient, where(greater(x, 0), one(x), slope)) : undefined,
    wanted[1] ? sumToShape(where(greater(x, 0), 0, mul(gradient, x)), slope.shape) : undefined,
  ],
});

composeOperator("SwiGLU", {
  since: 28,
  build: ([gate, x], attributes) => {
    if (!sameShape(gate!.shape, x!.shape)) {
      throw operatorError("SwiGLU", x!, `${describe(gate!)} and ${describe(x!)} differ in shape`);
    }
    const alpha = floatAttribute(attributes, "alpha", 1);
    return [mul(mul(gate!, sigmoid(mul(gate!, alpha))), x!)];
  },
});

/** Φ(x) + x·φ(x), with the normal distribution function and its density. */
function geluSlope(x: Value): Value {
  const distribution = mul(add(erf(mul(x, Math.SQRT1_2)), 1), 0.5);
  const density = mul(exp(mul(square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
  return add(distribution, mul(x, density));
}

/** y = x/2·(1 + t) with t = tanh u, u = √(2/π)·(x + 0.044715 x³). */
function geluTanhSlope(x: Value): Value {
  const factor = Math.sqrt(2 / Math.PI);
  const t = tanh(mul(mul(x, add(mul(square(x), 0.044715), 1)), factor));
  const inner = mul(add(mul(square(x), 3 * 0.044715), 1), factor);
  return mul(add(add(t, 1), mul(mul(x, sub(1, square(t))), inner)), 0.5);
}

/** γx above 0, γα(eˣ − 1) below, with the constants that keep mean 0 and variance 1. */
export const selu = (x: Value): Value => apply("Selu", [x])[0];
/** x·tanh(softplus(x)). */
export const mish = (x: Value): Value => apply("Mish", [x])[0];
/** x/(1 + |x|). */
export const softsign = (x: Value): Value => apply("Softsign", [x])[0];
/** PyTorch's `gelu(approximate="tanh")`; needs opset 20. */
export const geluTanh = (x: Value): Value => apply("Gelu", [x], { approximate: { string: "tanh" } })[0];

/** x above 0, `alpha`·(e^(x/alpha) − 1) below: unlike `elu` smooth for every alpha. */
export function celu(x: Value, alpha = 1): Value {
  return apply("Celu", [x], { alpha: float(alpha) })[0];
}

/** x above 0, `slope`·x below; the slope is a tensor that stretches to x, one per channel [C, 1, 1] say. */
export function prelu(x: Value, slope: Value): Value {
  return apply("PRelu", [x, slope])[0];
}
