import { describe, elementCount, sameShape, type TensorType, type Value } from "../graph/graph.ts";
import { add, addAll, div, mul, neg, reciprocal, sub } from "./arithmetic.ts";
import { allButChannels } from "./convolution.ts";
import { sqrt } from "./elementwise.ts";
import { expand, reshape } from "./movement.ts";
import {
  apply,
  defineOperator,
  float,
  floatAttribute,
  type GradientContext,
  operatorError,
  requireSameType,
} from "./operator.ts";
import { reduceSum } from "./reduction.ts";

// Normalization of each channel of x [N, C, …]: by the batch's own statistics in training, by stored ones in inference.

defineOperator("BatchNormTraining", {
  since: 1,
  domain: "training",
  infer: ([x, scale, ...others]): TensorType[] => {
    requireChannels(x!, [scale!, ...others]);
    const channel = { type: x!.type, shape: scale!.shape };
    return [x!, channel, channel];
  },
  gradient: trainingGradient,
});

defineOperator("BatchNormalization", {
  since: 15,
  infer: ([x, ...others]): TensorType[] => {
    requireChannels(x!, others);
    return [x!];
  },
  gradient: inferenceGradient,
});

/**
 * Normalizes each channel by the batch's own mean and variance, then scales and shifts.
 * Returns the result, the mean [C] and the population variance [C].
 */
export function batchNormTraining(x: Value, scale: Value, bias: Value, epsilon: number) {
  if (elementCount(x.shape) === x.shape[1]) {
    throw operatorError("batchNorm", x, `${describe(x)} has one value per channel, which has no variance`);
  }
  const [y, mean, variance] = apply("BatchNormTraining", [x, scale, bias], { epsilon: float(epsilon) });
  return { y, mean, variance };
}

/** Normalizes each channel by a given mean [C] and variance [C], then scales and shifts. */
export function batchNormInference(
  x: Value,
  scale: Value,
  bias: Value,
  mean: Value,
  variance: Value,
  epsilon: number,
): Value {
  return apply("BatchNormalization", [x, scale, bias, mean, variance], { epsilon: float(epsilon) })[0];
}

/**
 * With n values per channel, x̂ = (x − mean)/σ and sums over a channel:
 *   dβ = Σ dy,  dγ = Σ dy·x̂,  dx = γ/σ · (dy − dβ/n − x̂·dγ/n).
 * γ/σ comes last, as a convolution before it takes that into its weights (`src/lower/scaled-gradient.ts`).
 * The statistics are outputs too: dx gets d(mean)/n and 2·(x − mean)·d(variance)/n from theirs. Ioffe & Szegedy 2015.
 */
function trainingGradient({
  inputs,
  outputs,
  attributes,
  gradients,
}: GradientContext): (Value | undefined)[] {
  const [x, scale] = inputs;
  const [, mean, variance] = outputs;
  const [dy, gradientMean, gradientVariance] = gradients;
  const perChannel = channelShape(x);
  const wide = (vector: Value) => reshape(vector, perChannel);
  const count = elementCount(x.shape) / x.shape[1];
  const centered = sub(x, wide(mean));
  const terms: Value[] = [];
  let [gradientScale, gradientBias]: (Value | undefined)[] = [];
  if (dy) {
    const inverseDeviation = reciprocal(sqrt(add(variance, floatAttribute(attributes, "epsilon", 1e-5))));
    gradientBias = reduceSum(dy, allButChannels(x));
    gradientScale = mul(reduceSum(mul(dy, centered), allButChannels(x)), inverseDeviation);
    const slope = neg(div(mul(inverseDeviation, gradientScale), count));
    const shift = neg(div(gradientBias, count));
    const rest = add(add(dy, mul(centered, wide(slope))), wide(shift));
    terms.push(mul(rest, wide(mul(scale, inverseDeviation))));
  }
  if (gradientMean) terms.push(wide(div(gradientMean, count)));
  if (gradientVariance) terms.push(mul(centered, wide(mul(gradientVariance, 2 / count))));
  return [expand(addAll(terms), x.shape), gradientScale, gradientBias];
}

function inferenceGradient({ inputs, attributes, gradient, wanted }: GradientContext): (Value | undefined)[] {
  const [x, scale, , mean, variance] = inputs;
  const wide = (vector: Value) => reshape(vector, channelShape(x));
  const inverseDeviation = reciprocal(sqrt(add(variance, floatAttribute(attributes, "epsilon", 1e-5))));
  const factor = mul(scale, inverseDeviation);
  const sum = reduceSum(gradient, allButChannels(x));
  const product = reduceSum(mul(gradient, sub(x, wide(mean))), allButChannels(x));
  // d/d(variance) of (variance + ε)^(−1/2) is −½ (variance + ε)^(−3/2).
  const cubed = mul(inverseDeviation, mul(inverseDeviation, inverseDeviation));
  return [
    wanted[0] ? mul(gradient, wide(factor)) : undefined,
    mul(product, inverseDeviation),
    sum,
    wanted[3] ? neg(mul(sum, factor)) : undefined,
    wanted[4] ? mul(mul(product, scale), mul(cubed, -0.5)) : undefined,
  ];
}

function requireChannels(x: Value, vectors: readonly (Value | undefined)[]): void {
  for (const vector of vectors as readonly Value[]) {
    requireSameType("batchNorm", [x, vector]);
    if (x.shape.length < 2 || !sameShape(vector.shape, [x.shape[1]])) {
      throw operatorError(
        "batchNorm",
        x,
        `input ${describe(x)} has ${x.shape[1] ?? "no"} channels, the layer has ${vector.shape.join(" × ")}`,
      );
    }
  }
}

/** [1, C, 1, …]: a vector of channels that broadcasts over x. */
function channelShape(x: Value): number[] {
  return x.shape.map((size, axis) => (axis === 1 ? size : 1));
}
