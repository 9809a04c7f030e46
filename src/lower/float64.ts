import type { Node, Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, addAll, mul, pow, sub } from "../ops/arithmetic.ts";
import { equal } from "../ops/comparison.ts";
import { type Convolution, convolutionOf, readConvolution } from "../ops/convolution.ts";
import { abs, cast } from "../ops/elementwise.ts";
import { matMul, transposeLast } from "../ops/linear.ts";
import { concat, expand, reshape } from "../ops/movement.ts";
import { apply, int, intAttribute, normalizeAxes } from "../ops/operator.ts";
import { pad } from "../ops/padding.ts";
import { inverseCounts, plainMaxUnpool, readPool } from "../ops/pooling.ts";
import { reduceMax, reduceMean, reduceSum } from "../ops/reduction.ts";
import { plainResize } from "../ops/resize.ts";
import { insertZeros, slice } from "../ops/slicing.ts";
import { plainLrn, plainNormalization } from "../ops/statistics-normalization.ts";
import { readTransposed } from "../ops/transposed-convolution.ts";
import { float64ElementwiseRules } from "./float64-elementwise.ts";
import type { LoweringRule } from "./rule.ts";
import { tapsOf } from "./weight-gradient.ts";

// ONNX Runtime has no float64 kernel for these. float64 is for checking (gradients, reference numbers), so the
// forms here are chosen for being plain: a convolution is one matrix product per kernel tap.

export const float64Rules: Record<string, LoweringRule> = {
  ...float64ElementwiseRules,
  Conv: ([x, weight, bias], node) => {
    return [
      withBias(convolve(x, weight, convolutionOf(x, weight, node.attributes), node.outputs[0].shape), bias),
    ];
  },
  ConvTranspose: ([x, weight, bias], node) => {
    const { source, size } = readTransposed(x, weight, node.attributes);
    return [withBias(inputGradient(x, weight, size, source), bias)];
  },
  ConvInputGradient: ([dy, weight], node) => {
    const size = node.outputs[0].shape.slice(2);
    return [inputGradient(dy, weight, size, readConvolution(node.attributes, size.length))];
  },
  ConvWeightGradient: ([x, dy], node) => [weightGradient(x, dy, node)],
  AveragePool: ([x], node) => {
    const { counted } = readPool(x, node.attributes);
    const sums = sumWindows(x, node);
    const shares = tensorData(inverseCounts(counted()), [1, 1, ...node.outputs[0].shape.slice(2)], x.type);
    return [mul(sums, x.graph.constant(shares))];
  },
  LpPool: ([x], node) => {
    const p = intAttribute(node.attributes, "p", 2);
    return [pow(sumWindows(pow(abs(x), p), node), 1 / p)];
  },
  ...Object.fromEntries(
    [
      "LayerNormalization",
      "RMSNormalization",
      "InstanceNormalization",
      "GroupNormalization",
      "MeanVarianceNormalization",
    ].map((operator): [string, LoweringRule] => [
      operator,
      (inputs, { attributes }) => [plainNormalization(operator, inputs, attributes)],
    ]),
  ),
  MaxUnpool: ([x, places], { outputs }) => [plainMaxUnpool(x, places, outputs[0].shape)],
  LRN: ([x], { attributes }) => [plainLrn(x, attributes)],
  Resize: (inputs, { attributes }) => [plainResize(inputs, attributes)],
  GlobalMaxPool: ([x]) => [reduceMax(x, x.shape.map((_, axis) => axis).slice(2), true)],
  // off + (on − off)·h, with h the same of zeros and ones in float32.
  OneHot: ([indices, depth, values], { attributes }) => {
    const bits = values.graph.constant({ type: "float32", shape: [2], data: new Float32Array([0, 1]) });
    const hot = cast(apply("OneHot", [indices, depth, bits], attributes)[0], values.type);
    const [off, on] = [0, 1].map((at) => reshape(slice(values, { starts: [at], ends: [at + 1] }), []));
    return [add(off, mul(sub(on, off), hot))];
  },
  Hardmax: ([x], { attributes }) => {
    const [axis] = normalizeAxes("Hardmax", x, [intAttribute(attributes, "axis", -1)]);
    const size = x.shape[axis];
    const places = x.graph.constant(
      tensorData(
        Array.from({ length: size }, (_, index) => index),
        x.shape.map((_, other) => (other === axis ? size : 1)),
        "int64",
      ),
    );
    const first = apply("ArgMax", [x], { axis: int(axis) })[0];
    return [cast(equal(places, first), x.type)];
  },
  GlobalAveragePool: ([x]) => [reduceMean(x, x.shape.map((_, axis) => axis).slice(2), true)],
};

function withBias(y: Value, bias: Value | undefined): Value {
  return bias ? add(y, reshape(bias, [1, bias.shape[0], ...y.shape.slice(2).map(() => 1)])) : y;
}

/** The sum of what each window of a pool sees. */
function sumWindows(x: Value, node: Node): Value {
  const { kernel, ...window } = readPool(x, node.attributes);
  const ones = expand(x.graph.scalar(1, x.type), [x.shape[1], 1, ...kernel]);
  return convolve(x, ones, { ...window, group: x.shape[1] }, node.outputs[0].shape);
}

/** y [N, O, out] = Σ over taps of weight[tap]·x[shifted by tap], within each group. */
function convolve(x: Value, weight: Value, settings: Convolution, shape: readonly number[]): Value {
  const { group } = settings;
  const [count, channels] = x.shape;
  const places = product(shape.slice(2));
  const terms = tapsOf(weight.shape.slice(2)).map((tap) => {
    const seen = reshape(shifted(x, tap, shape.slice(2), settings), [count, group, channels / group, places]);
    return matMul(tapWeight(weight, tap, group), seen);
  });
  return reshape(addAll(terms), shape);
}

/** dx = Σ over taps of weight[tap]ᵀ·dy, put back where the tap had looked. */
function inputGradient(dy: Value, weight: Value, size: readonly number[], settings: Convolution): Value {
  const [count, channels] = [dy.shape[0], weight.shape[1] * settings.group];
  const { strides, pads, dilations, group } = settings;
  const grouped = reshape(dy, [count, group, dy.shape[1] / group, product(dy.shape.slice(2))]);
  const padded = size.map((length, axis) => length + pads[axis] + pads[axis + size.length]);
  const terms = tapsOf(weight.shape.slice(2)).map((tap) => {
    const sent = matMul(transposeLast(tapWeight(weight, tap, group)), grouped);
    const spread = insertZeros(reshape(sent, [count, channels, ...dy.shape.slice(2)]), [1, 1, ...strides]);
    const before = tap.map((at, axis) => at * dilations[axis]);
    const after = padded.map((length, axis) => length - before[axis] - spread.shape[axis + 2]);
    return pad(spread, [0, 0, ...before], [0, 0, ...after]);
  });
  const cut = pads.map((amount) => -amount);
  return pad(addAll(terms), [0, 0, ...cut.slice(0, size.length)], [0, 0, ...cut.slice(size.length)]);
}

/** dw[tap] = Σ over batch and places of dy·x[shifted by tap]ᵀ, within each group. */
function weightGradient(x: Value, dy: Value, node: Node): Value {
  const [outputs, inputs, ...kernel] = node.outputs[0].shape;
  const settings = readConvolution(node.attributes, kernel.length);
  const { group } = settings;
  const places = product(dy.shape.slice(2));
  const grouped = reshape(dy, [dy.shape[0], group, outputs / group, places]);
  const columns = tapsOf(kernel).map((tap) => {
    const seen = reshape(shifted(x, tap, dy.shape.slice(2), settings), [x.shape[0], group, inputs, places]);
    return reshape(reduceSum(matMul(grouped, transposeLast(seen)), [0]), [outputs, inputs, 1]);
  });
  return reshape(concat(columns, 2), [outputs, inputs, ...kernel]);
}

/** What one tap of the kernel sees of x at every place of the output: [N, C, …size]. */
function shifted(
  x: Value,
  tap: readonly number[],
  size: readonly number[],
  { strides, pads, dilations }: Convolution,
) {
  const axes = size.map((_, axis) => axis + 2);
  const starts = tap.map((at, axis) => at * dilations[axis]);
  return slice(pad(x, [0, 0, ...pads.slice(0, size.length)], [0, 0, ...pads.slice(size.length)]), {
    axes,
    starts,
    ends: size.map((length, axis) => starts[axis] + (length - 1) * strides[axis] + 1),
    steps: strides,
  });
}

/** The weights of one tap, [group, O/group, I/group]. */
function tapWeight(weight: Value, tap: readonly number[], group: number): Value {
  const [outputs, inputs] = weight.shape;
  const axes = tap.map((_, axis) => axis + 2);
  const one = slice(weight, { axes, starts: tap, ends: tap.map((at) => at + 1) });
  return reshape(one, [group, outputs / group, inputs]);
}

function product(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total * size, 1);
}
