import type { Value } from "../graph/graph.ts";
import { seluDefaults } from "../ops/activations.ts";
import { add, addAll, div, mul, neg, reciprocal, square, sub } from "../ops/arithmetic.ts";
import { greater, greaterOrEqual, where } from "../ops/comparison.ts";
import { abs, clip, cos, exp, log, relu, sign, sin, sqrt, tanh } from "../ops/elementwise.ts";
import { floatAttribute, stringAttribute } from "../ops/operator.ts";
import type { LoweringRule } from "./rule.ts";

// Functions of one number that ONNX Runtime has in float32 only, from those it has in float64.

export const float64ElementwiseRules: Record<string, LoweringRule> = {
  LeakyRelu: ([x], node) => [where(greater(x, 0), x, mul(x, floatAttribute(node.attributes, "alpha", 0.01)))],
  PRelu: ([x, slope]) => [where(greater(x, 0), x, mul(x, slope))],
  Elu: ([x], node) => [elu(x, floatAttribute(node.attributes, "alpha", 1))],
  Selu: ([x], { attributes }) => {
    const gamma = floatAttribute(attributes, "gamma", seluDefaults.gamma);
    return [mul(elu(x, floatAttribute(attributes, "alpha", seluDefaults.alpha)), gamma)];
  },
  Celu: ([x], { attributes }) => {
    const alpha = floatAttribute(attributes, "alpha", 1);
    return [where(greater(x, 0), x, mul(sub(exp(div(x, alpha)), 1), alpha))];
  },
  ThresholdedRelu: ([x], { attributes }) => [where(greater(x, floatAttribute(attributes, "alpha", 1)), x, 0)],
  // ONNX Runtime has a kernel, whose numbers are only as good as float32's.
  Shrink: ([x], { attributes }) => {
    const shift = mul(sign(x), floatAttribute(attributes, "bias", 0));
    return [where(greater(abs(x), floatAttribute(attributes, "lambd", 0.5)), sub(x, shift), 0)];
  },
  HardSigmoid: ([x], { attributes }) => [
    hardSigmoid(x, floatAttribute(attributes, "alpha", 0.2), floatAttribute(attributes, "beta", 0.5)),
  ],
  HardSwish: ([x]) => [mul(x, hardSigmoid(x, 1 / 6, 0.5))],
  Gelu: ([x], { attributes }) => {
    const gate =
      stringAttribute(attributes, "approximate", "none") === "tanh"
        ? tanh(mul(mul(x, add(mul(square(x), 0.044715), 1)), Math.sqrt(2 / Math.PI)))
        : erf(mul(x, Math.SQRT1_2));
    return [mul(mul(x, 0.5), add(gate, 1))];
  },
  // x·σ(αx) is fused to a QuickGelu, which float64 does not have either, so σ is written with tanh.
  Sigmoid: ([x]) => [sigmoid(x)],
  Swish: ([x], { attributes }) => [mul(x, sigmoid(mul(x, floatAttribute(attributes, "alpha", 1))))],
  Mish: ([x]) => [mul(x, tanh(softplus(x)))],
  Softplus: ([x]) => [softplus(x)],
  Softsign: ([x]) => [div(x, add(abs(x), 1))],
  Erf: ([x]) => [erf(x)],
  Tan: ([x]) => [div(sin(x), cos(x))],
  Atan: ([x]) => [atan(x)],
  Asin: ([x]) => [asin(x)],
  Acos: ([x]) => [sub(Math.PI / 2, asin(x))],
  Sinh: ([x]) => [mul(sub(exp(x), exp(neg(x))), 0.5)],
  Cosh: ([x]) => [mul(add(exp(x), exp(neg(x))), 0.5)],
  Asinh: ([x]) => [mul(sign(x), log(add(abs(x), sqrt(add(square(x), 1)))))],
  Acosh: ([x]) => [log(add(x, sqrt(sub(square(x), 1))))],
  Atanh: ([x]) => [mul(log(div(add(x, 1), sub(1, x))), 0.5)],
  Mean: (inputs) => [div(addAll(inputs), inputs.length)],
};

function elu(x: Value, alpha: number): Value {
  return where(greater(x, 0), x, mul(sub(exp(x), 1), alpha));
}

function hardSigmoid(x: Value, alpha: number, beta: number): Value {
  return clip(add(mul(x, alpha), beta), 0, 1);
}

function sigmoid(x: Value): Value {
  return mul(add(tanh(mul(x, 0.5)), 1), 0.5);
}

/** max(x, 0) + ln(1 + e^(−|x|)). */
function softplus(x: Value): Value {
  return add(relu(x), log(add(exp(neg(abs(x))), 1)));
}

/** 2/√π ∫₀ˣ e^(−u²) du; beyond 6 it is 1 to all digits. */
function erf(x: Value): Value {
  const density = (u: Value) => mul(exp(neg(square(u))), 2 / Math.sqrt(Math.PI));
  return integral(clip(x, -6, 6), density);
}

/** ∫₀ˣ du/(1 + u²) up to 1, and π/2 − atan(1/x) beyond. */
function atan(x: Value): Value {
  const large = greaterOrEqual(abs(x), 1);
  const small = integral(where(large, reciprocal(x), x), (u) => reciprocal(add(square(u), 1)));
  return where(large, sub(mul(sign(x), Math.PI / 2), small), small);
}

function asin(x: Value): Value {
  return atan(div(x, sqrt(sub(1, square(x)))));
}

/** ∫₀ˣ f(u) du = x·∫₀¹ f(xt) dt by Gauss and Legendre's rule: exact to rounding for the smooth f above. */
function integral(x: Value, f: (u: Value) => Value): Value {
  return mul(x, addAll(gaussLegendre(40).map(({ at, weight }) => mul(f(mul(x, at)), weight))));
}

/** Points in (0, 1) and their weights: the roots of the Legendre polynomial, by Newton's method. */
function gaussLegendre(count: number): { at: number; weight: number }[] {
  return Array.from({ length: count }, (_, index) => {
    let root = Math.cos((Math.PI * (index + 0.75)) / (count + 0.5));
    let slope = 1;
    for (let step = 0; step < 8; step++) {
      let [before, value] = [0, 1];
      for (let n = 1; n <= count; n++) {
        [before, value] = [value, ((2 * n - 1) * root * value - (n - 1) * before) / n];
      }
      slope = (count * (root * value - before)) / (root * root - 1);
      root -= value / slope;
    }
    return { at: (root + 1) / 2, weight: 1 / ((1 - root * root) * slope * slope) };
  });
}
