import {
  type Attributes,
  describe,
  elementCount,
  sameShape,
  type TensorType,
  type Value,
} from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, divideOrZero, mul, pow, reciprocal, square, sub, sumToShape } from "./arithmetic.ts";
import { equal, where } from "./comparison.ts";
import { sqrt } from "./elementwise.ts";
import { matMul, transposeLast } from "./linear.ts";
import { reshape } from "./movement.ts";
import {
  apply,
  broadcastShape,
  composeOperator,
  defineOperator,
  float,
  floatAttribute,
  type GradientContext,
  int,
  intAttribute,
  intsAttribute,
  normalizeAxes,
  operatorError,
  requireAtMost,
  requireSameType,
} from "./operator.ts";
import { reduceMean, reduceNorm } from "./reduction.ts";

// Normalization of each example by its own statistics.
//
// x̂ = (x − μ)·r with r = 1/√(variance + ε), both over some axes; y = γx̂ + β. With g = dy·γ and means over the axes,
//   dx = r·(g − mean g − x̂·mean(g·x̂)),
// and without subtracting a mean (RMSNormalization) the same less its second term. Ba, Kiros & Hinton 2016.

/** How a node groups x, which axes of that it normalizes, and γ and β as they broadcast over it. */
interface Layout {
  x: Value;
  axes: readonly number[];
  scale?: Value;
  bias?: Value;
  epsilon: number;
  centered: boolean;
}

const layouts: Record<string, (inputs: readonly Value[], attributes: Attributes) => Layout> = {
  LayerNormalization: ([x, scale, bias], attributes) => ({
    x,
    axes: lastAxes("LayerNormalization", x, attributes),
    scale,
    bias,
    epsilon: floatAttribute(attributes, "epsilon", 1e-5),
    centered: true,
  }),
  RMSNormalization: ([x, scale], attributes) => ({
    x,
    axes: lastAxes("RMSNormalization", x, attributes),
    scale,
    epsilon: floatAttribute(attributes, "epsilon", 1e-5),
    centered: false,
  }),
  InstanceNormalization: (inputs, attributes) => inGroups(inputs, inputs[0].shape[1], attributes),
  GroupNormalization: (inputs, attributes) =>
    inGroups(inputs, intAttribute(attributes, "num_groups", 1), attributes),
  // ONNX adds 1e-9 to the deviation, which no float32 feels.
  MeanVarianceNormalization: ([x], attributes) => ({
    x,
    axes: normalizeAxes("MeanVarianceNormalization", x, intsAttribute(attributes, "axes", [0, 2, 3])),
    epsilon: 0,
    centered: true,
  }),
};

/** [N, C, …] as [N, groups, C/groups, …], normalized over all but the first two. */
function inGroups([x, scale, bias]: readonly Value[], groups: number, attributes: Attributes): Layout {
  const [count, channels, ...size] = x.shape;
  const grouped = reshape(x, [count, groups, channels / groups, ...size]);
  const wide = (vector: Value) => reshape(vector, [groups, channels / groups, ...size.map(() => 1)]);
  return {
    x: grouped,
    axes: grouped.shape.map((_, axis) => axis).slice(2),
    scale: wide(scale),
    bias: wide(bias),
    epsilon: floatAttribute(attributes, "epsilon", 1e-5),
    centered: true,
  };
}

function lastAxes(operator: string, x: Value, attributes: Attributes): number[] {
  const [first] = normalizeAxes(operator, x, [intAttribute(attributes, "axis", -1)]);
  return x.shape.map((_, axis) => axis).slice(first);
}

/** x̂ and r of a layout. */
function standardize({ x, axes, epsilon, centered }: Layout) {
  const difference = centered ? sub(x, reduceMean(x, axes, true)) : x;
  const variance = reduceMean(square(difference), axes, true);
  const inverse = epsilon === 0 ? inverseDeviation(variance) : reciprocal(sqrt(add(variance, epsilon)));
  return { normal: mul(difference, inverse), inverse };
}

/** 1/√variance, and 0 where the variance is 0: what does not vary is 0 when it is standardized. */
function inverseDeviation(variance: Value): Value {
  const isZero = equal(variance, 0);
  return where(isZero, 0, reciprocal(sqrt(where(isZero, 1, variance))));
}

/** The result of one of the operators above, in plain arithmetic. */
export function plainNormalization(
  operator: string,
  inputs: readonly Value[],
  attributes: Attributes,
): Value {
  const layout = layouts[operator](inputs, attributes);
  const { normal } = standardize(layout);
  const scaled = layout.scale ? mul(normal, layout.scale) : normal;
  return reshape(layout.bias ? add(scaled, layout.bias) : scaled, inputs[0].shape);
}

function gradientOf(operator: string) {
  return ({ inputs, attributes, gradient, wanted }: GradientContext): (Value | undefined)[] => {
    const layout = layouts[operator](inputs, attributes);
    const { axes, scale, bias, centered } = layout;
    const { normal, inverse } = standardize(layout);
    const dy = reshape(gradient, layout.x.shape);
    const g = scale ? mul(dy, scale) : dy;
    const along = mul(normal, reduceMean(mul(g, normal), axes, true));
    const dx = mul(inverse, sub(centered ? sub(g, reduceMean(g, axes, true)) : g, along));
    return [
      reshape(dx, inputs[0].shape),
      wanted[1] && scale ? reshape(sumToShape(mul(dy, normal), scale.shape), inputs[1].shape) : undefined,
      wanted[2] && bias ? reshape(sumToShape(dy, bias.shape), inputs[2].shape) : undefined,
    ];
  };
}

for (const [operator, since] of [
  ["LayerNormalization", 17],
  ["RMSNormalization", 23],
] as const) {
  defineOperator(operator, {
    since,
    infer: (inputs): TensorType[] => {
      const [x, ...vectors] = inputs.filter((input): input is Value => input !== undefined);
      requireSameType(operator, [x, ...vectors]);
      for (const vector of vectors) {
        if (!sameShape(broadcastShape(operator, x, vector), x.shape)) {
          throw operatorError(operator, x, `${describe(vector)} does not stretch to ${describe(x)}`);
        }
      }
      return [x];
    },
    gradient: gradientOf(operator),
  });
}

for (const [operator, since] of [
  ["InstanceNormalization", 6],
  ["GroupNormalization", 21],
] as const) {
  defineOperator(operator, {
    since,
    infer: ([x, scale, bias], attributes): TensorType[] => {
      requireSameType(operator, [x!, scale!, bias!]);
      const channels = x!.shape[1];
      for (const vector of [scale!, bias!]) {
        if (x!.shape.length < 3 || !sameShape(vector.shape, [channels])) {
          throw operatorError(
            operator,
            x!,
            `input ${describe(x!)} has ${channels ?? "no"} channels, the layer has ${vector.shape.join(" × ")}`,
          );
        }
      }
      const groups = intAttribute(attributes, "num_groups", 1);
      if (channels % groups !== 0) {
        throw operatorError(operator, x!, `${channels} channels do not divide into ${groups} groups`);
      }
      return [x!];
    },
    gradient: gradientOf(operator),
  });
}

defineOperator("MeanVarianceNormalization", {
  since: 13,
  infer: ([x], attributes): TensorType[] => {
    normalizeAxes("MeanVarianceNormalization", x!, intsAttribute(attributes, "axes", [0, 2, 3]));
    return [x!];
  },
  gradient: gradientOf("MeanVarianceNormalization"),
});

// x over its p-norm along an axis; where that is 0 the result and its gradient are 0.
composeOperator("LpNormalization", {
  since: 22,
  build: ([x], attributes) => {
    const [axis] = normalizeAxes("LpNormalization", x!, [intAttribute(attributes, "axis", -1)]);
    const p = intAttribute(attributes, "p", 2);
    if (p !== 1 && p !== 2) throw operatorError("LpNormalization", x!, `p is ${p}; it has to be 1 or 2`);
    return [divideOrZero(x!, reduceNorm(x!, p, [axis]))];
  },
});

// y = x·s^(−β) with s = bias + α/size·Bx², B the 0-1 matrix that sums over neighboring channels. So
//   dx = dy·s^(−β) − 2αβ/size·x·Bᵀ(dy·x·s^(−β − 1)). Krizhevsky, Sutskever & Hinton 2012.
defineOperator("LRN", {
  since: 13,
  infer: ([x]): TensorType[] => {
    if (x!.shape.length < 3) throw operatorError("LRN", x!, `${describe(x!)} is not [N, C, …]`);
    return [x!];
  },
  gradient: ({ inputs: [x], attributes, gradient }) => {
    const { size, alpha, beta, sum, sumBack } = readLrn(x, attributes);
    const direct = mul(gradient, pow(sum, -beta));
    const through = sumBack(mul(mul(gradient, x), pow(sum, -beta - 1)));
    return [sub(direct, mul(mul(x, through), (2 * alpha * beta) / size))];
  },
});

/** LRN in plain arithmetic. */
export function plainLrn(x: Value, attributes: Attributes): Value {
  const { sum, beta } = readLrn(x, attributes);
  return mul(x, pow(sum, -beta));
}

function readLrn(x: Value, attributes: Attributes) {
  const size = intAttribute(attributes, "size", 1);
  const alpha = floatAttribute(attributes, "alpha", 1e-4);
  const beta = floatAttribute(attributes, "beta", 0.75);
  const [count, channels, ...places] = x.shape;
  const [below, above] = [Math.floor((size - 1) / 2), Math.ceil((size - 1) / 2)];
  requireAtMost("LRN", x, channels * channels, "pairs of channels");
  const band = Array.from({ length: channels * channels }, (_, index) => {
    const [mine, other] = [Math.floor(index / channels), index % channels];
    return other >= mine - below && other <= mine + above ? 1 : 0;
  });
  const matrix = x.graph.constant(tensorData(band, [channels, channels], x.type));
  const times = (left: Value, value: Value) =>
    reshape(matMul(left, reshape(value, [count, channels, elementCount(places)])), x.shape);
  const sum = add(mul(times(matrix, square(x)), alpha / size), floatAttribute(attributes, "bias", 1));
  return { size, alpha, beta, sum, sumBack: (value: Value) => times(transposeLast(matrix), value) };
}

/** Normalizes over the axes from `axis` on, then scales and shifts by tensors that stretch to x: PyTorch's `layer_norm`. */
export function layerNorm(x: Value, scale: Value, bias?: Value, axis = -1, epsilon = 1e-5): Value {
  return apply("LayerNormalization", [x, scale, bias], { axis: int(axis), epsilon: float(epsilon) })[0];
}

/** Mean and 1/√(variance + ε) that `layerNorm` takes, with size 1 in place of the axes from `axis` on. */
export function layerNormStatistics(x: Value, axis = -1, epsilon = 1e-5) {
  const axes = lastAxes("LayerNormalization", x, { axis: int(axis) });
  const { inverse } = standardize({ x, axes, epsilon, centered: true });
  return { mean: reduceMean(x, axes, true), inverseDeviation: inverse };
}

/** x over the root of its mean square over the axes from `axis` on, times a scale; needs opset 23. */
export function rmsNorm(x: Value, scale: Value, axis = -1, epsilon = 1e-5): Value {
  return apply("RMSNormalization", [x, scale], { axis: int(axis), epsilon: float(epsilon) })[0];
}

/** Normalizes groups of channels of each image [N, C, …], then scales and shifts each channel [C]; needs opset 21. */
export function groupNorm(x: Value, groups: number, scale: Value, bias: Value, epsilon = 1e-5): Value {
  const settings = { num_groups: int(groups), epsilon: float(epsilon) };
  return apply("GroupNormalization", [x, scale, bias], settings)[0];
}

/** Normalizes each channel of each image [N, C, …], then scales and shifts it [C]. */
export function instanceNorm(x: Value, scale: Value, bias: Value, epsilon = 1e-5): Value {
  return apply("InstanceNormalization", [x, scale, bias], { epsilon: float(epsilon) })[0];
}
