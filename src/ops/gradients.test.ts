import type { Random } from "../common/random.ts";
import type { Shape, Value } from "../graph/graph.ts";
import {
  awayFromZero,
  binary,
  type Case,
  indices,
  partner,
  pick,
  positive,
  shapeOf,
  size,
  testGradients,
  unary,
} from "../testing/gradient-cases.ts";
import * as arithmetic from "./arithmetic.ts";
import { greater, where } from "./comparison.ts";
import { conv } from "./convolution.ts";
import * as elementwise from "./elementwise.ts";
import * as indexing from "./indexing.ts";
import { gemm, linear, matMul } from "./linear.ts";
import { softmaxCrossEntropy } from "./losses.ts";
import * as movement from "./movement.ts";
import { batchNormInference, batchNormTraining } from "./normalization.ts";
import { apply, int } from "./operator.ts";
import { pad } from "./padding.ts";
import { averagePool, globalAveragePool, maxPool } from "./pooling.ts";
import * as reduction from "./reduction.ts";
import { reverse, slice } from "./slicing.ts";
import { logSoftmax, softmax } from "./softmax.ts";
import { maximum, minimum } from "./variadic.ts";

// Every gradient rule, and the gradient of every gradient, against central differences in float64 on random shapes
// and settings. Operators that ONNX Runtime has in float32 only are marked and compared with the wider tolerance.

function reducing(build: (x: Value, axes: readonly number[] | undefined, keep: boolean) => Value): Case {
  return (random) => {
    const shape = shapeOf(random, 1 + random.integer(4));
    const chosen = shape.map((_, axis) => axis).filter(() => random.uniform() < 0.5);
    const axes = chosen.length > 0 ? chosen : undefined;
    const keep = random.uniform() < 0.5;
    return { shapes: [shape], build: ([x]) => build(x, axes, keep), draw: awayFromZero };
  };
}

const convolution: Case = (random) => {
  const axes = 1 + random.integer(3);
  const largest = axes === 3 ? 2 : 3;
  const group = 1 + random.integer(2);
  const many = (draw: () => number, count = axes) => Array.from({ length: count }, draw);
  const kernel = many(() => size(random, largest));
  const strides = many(() => size(random, largest));
  const dilations = many(() => size(random, 2));
  const pads = many(() => random.integer(3), 2 * axes);
  const input = kernel.map((taps, axis) => dilations[axis] * (taps - 1) + 1 + random.integer(4));
  const [inChannels, outChannels] = [group * size(random, 2), group * size(random, 2)];
  return {
    shapes: [
      [size(random, 2), inChannels, ...input],
      [outChannels, inChannels / group, ...kernel],
      [outChannels],
    ],
    build: ([x, weight, bias]) =>
      conv(x, weight, random.uniform() < 0.5 ? bias : undefined, { strides, pads, dilations, group }),
  };
};

function pooling(
  build: (x: Value, kernel: number[], options: { strides: number[]; pads: number[] }) => Value,
): Case {
  return (random) => {
    const axes = 1 + random.integer(2);
    const kernel = Array.from({ length: axes }, () => size(random, 3));
    const strides = kernel.map(() => size(random, 2));
    const pads = [...kernel, ...kernel].map((taps) => random.integer(taps));
    const input = kernel.map((taps) => taps + random.integer(4));
    return {
      shapes: [[size(random, 2), size(random, 2), ...input]],
      build: ([x]) => build(x, kernel, { strides, pads }),
    };
  };
}

const channels: (random: Random) => Shape = (random) => [
  2 + random.integer(3),
  size(random),
  ...shapeOf(random, random.integer(3)),
];

const cases: Record<string, Case> = {
  Exp: unary(elementwise.exp),
  Log: unary(elementwise.log, { draw: positive }),
  Sqrt: unary(elementwise.sqrt, { draw: positive }),
  Abs: unary(elementwise.abs, { draw: awayFromZero }),
  Sin: unary(elementwise.sin),
  Cos: unary(elementwise.cos),
  Tanh: unary(elementwise.tanh),
  Sigmoid: unary(elementwise.sigmoid),
  Erf: unary(elementwise.erf),
  "Erf (gelu)": unary(elementwise.gelu),
  Relu: unary(elementwise.relu, { draw: awayFromZero }),
  "Relu squared": unary((x) => arithmetic.square(elementwise.relu(x)), { draw: awayFromZero }),
  LeakyRelu: unary((x) => arithmetic.square(elementwise.leakyRelu(x, 0.2)), { draw: awayFromZero }),
  Elu: unary((x) => elementwise.elu(x, 0.7), { draw: awayFromZero }),
  Softplus: unary(elementwise.softplus),
  silu: unary(elementwise.silu),
  Clip: unary((x) => arithmetic.square(elementwise.clip(x, -0.4, 0.9))),
  "Clip (hardSwish)": unary(elementwise.hardSwish),
  Identity: unary((x) => elementwise.exp(elementwise.identity(x))),
  Cast: unary((x) => elementwise.cast(arithmetic.square(elementwise.cast(x, "float32")), x.type), {
    type: "float32",
  }),
  Neg: unary((x) => arithmetic.neg(arithmetic.square(x))),
  Reciprocal: unary(arithmetic.reciprocal, { draw: awayFromZero }),
  Add: binary((a, b) => arithmetic.square(arithmetic.add(a, b))),
  Sub: binary((a, b) => arithmetic.square(arithmetic.sub(a, b))),
  Mul: binary(arithmetic.mul),
  Div: binary(arithmetic.div, awayFromZero),
  Pow: binary(arithmetic.pow, positive),
  Max: binary((a, b) => arithmetic.square(maximum(a, b))),
  Min: binary((a, b) => arithmetic.square(minimum(a, b))),
  Where: binary((a, b) => arithmetic.square(where(greater(arithmetic.sub(a, b), 0.1), a, b))),
  ReduceSum: reducing((x, axes, keep) => arithmetic.square(reduction.reduceSum(x, axes, keep))),
  ReduceMean: reducing((x, axes, keep) => arithmetic.square(reduction.reduceMean(x, axes, keep))),
  ReduceSumSquare: reducing((x, axes, keep) => reduction.reduceSumSquare(x, axes, keep)),
  ReduceL2: reducing((x, axes, keep) => reduction.reduceL2(x, axes, keep)),
  ReduceLogSumExp: reducing((x, axes, keep) => reduction.reduceLogSumExp(x, axes, keep)),
  ReduceL1: reducing((x, axes, keep) => arithmetic.square(reduction.reduceL1(x, axes, keep))),
  ReduceProd: reducing((x, axes, keep) => reduction.reduceProd(x, axes, keep)),
  "ReduceProd (one zero)": (random) => ({
    shapes: [[3, 2 + random.integer(2)]],
    build: ([x]) =>
      reduction.reduceProd(
        arithmetic.mul(x, where(greater(reduction.reduceMax(x, [1], true), x), x, 0)),
        [1],
      ),
    draw: awayFromZero,
  }),
  ReduceLogSum: reducing((x, axes, keep) => reduction.reduceLogSum(arithmetic.square(x), axes, keep)),
  "ReduceSum, ReduceProd and ReduceMax (no axes)": unary((x) => {
    const none = (operator: string) => (value: Value) =>
      apply(operator, [value], { noop_with_empty_axes: int(1) })[0];
    return arithmetic.square(none("ReduceSum")(none("ReduceProd")(none("ReduceMax")(x))));
  }),
  "Hardmax, ArgMax and ArgMin": (random) => ({
    shapes: [shapeOf(random, 2)],
    build: ([x]) => {
      const [first] = apply("Hardmax", [x], { axis: int(0) });
      const [last, least] = [reduction.argMax(x, 0), reduction.argMin(x, 0)];
      const apart = elementwise.cast(arithmetic.sub(last, least), x.type);
      return arithmetic.mul(arithmetic.square(arithmetic.sub(x, first)), apart);
    },
  }),
  ReduceMax: reducing((x, axes, keep) => arithmetic.square(reduction.reduceMax(x, axes, keep))),
  ReduceMin: reducing((x, axes, keep) => arithmetic.square(reduction.reduceMin(x, axes, keep))),
  Reshape: unary((x) => arithmetic.square(movement.reshape(x, [x.shape.reduce((a, b) => a * b, 1), 1]))),
  Flatten: (random) => ({
    shapes: [shapeOf(random, 3 + random.integer(2))],
    build: ([x]) => arithmetic.square(movement.flatten(x)),
  }),
  Transpose: (random) => {
    const shape = shapeOf(random, 1 + random.integer(4));
    const order = [...random.permutation(shape.length)];
    return { shapes: [shape], build: ([x]) => arithmetic.square(movement.transpose(x, order)) };
  },
  Expand: (random) => {
    const shape = shapeOf(random);
    return {
      shapes: [partner(random, shape)],
      build: ([x]) => arithmetic.square(movement.expand(x, shape)),
    };
  },
  Concat: (random) => {
    const shape = shapeOf(random, 1 + random.integer(3));
    const axis = random.integer(shape.length);
    return {
      shapes: Array.from({ length: 1 + random.integer(3) }, () => shape.with(axis, size(random))),
      build: (values) =>
        arithmetic.square(movement.concat(values, axis - (random.uniform() < 0.5 ? shape.length : 0))),
    };
  },
  Pad: (random) => {
    const shape = shapeOf(random, 1 + random.integer(3)).map((length) => length + 2);
    const amounts = () => shape.map(() => random.integer(4) - 1);
    const [before, after] = [amounts(), amounts()];
    return { shapes: [shape], build: ([x]) => arithmetic.square(pad(x, before, after)) };
  },
  Slice: (random) => {
    const shape = shapeOf(random, 1 + random.integer(3)).map((length) => length + 2);
    const starts = shape.map(() => random.integer(2));
    const ends = shape.map((length) => pick(random, [length, -1, length - 1]));
    const steps = shape.map(() => 1 + random.integer(3));
    return { shapes: [shape], build: ([x]) => arithmetic.square(slice(x, { starts, ends, steps })) };
  },
  "Slice (reverse)": (random) => {
    const shape = shapeOf(random, 1 + random.integer(3));
    return {
      shapes: [shape],
      build: ([x]) => arithmetic.square(reverse(x, [random.integer(shape.length)])),
    };
  },
  GatherElements: (random) => {
    const [rows, columns, taken] = [size(random), size(random), size(random)];
    const places = Array.from({ length: rows * taken }, () => random.integer(columns));
    return {
      shapes: [[rows, columns]],
      build: ([x]) => arithmetic.square(indexing.gatherElements(x, indices(x, places, [rows, taken]), 1)),
    };
  },
  ScatterElements: (random) => {
    const [rows, columns, added] = [size(random), size(random), size(random)];
    const places = Array.from({ length: rows * added }, () => random.integer(columns));
    return {
      shapes: [
        [rows, columns],
        [rows, added],
      ],
      build: ([x, updates]) =>
        arithmetic.square(indexing.scatterAdd(x, indices(x, places, [rows, added]), updates, 1)),
    };
  },
  MatMul: (random) => {
    const batch = shapeOf(random, random.integer(3));
    const [m, k, n] = [size(random), size(random), size(random)];
    return {
      shapes: [
        [...batch, m, k],
        [...partner(random, batch), k, n],
      ],
      build: ([a, b]) => matMul(a, b),
    };
  },
  Gemm: (random) => {
    const [m, k, n] = [size(random), size(random), size(random)];
    const [transposeA, transposeB] = [random.uniform() < 0.5, random.uniform() < 0.5];
    return {
      shapes: [
        transposeA ? [k, m] : [m, k],
        transposeB ? [n, k] : [k, n],
        pick(random, [[n], [1, n], [m, 1], [m, n]]),
      ],
      build: ([a, b, c]) => gemm(a, b, random.uniform() < 0.7 ? c : undefined, { transposeA, transposeB }),
    };
  },
  "Gemm (linear)": (random) => {
    const [rows, inputs, outputs] = [size(random), size(random), size(random)];
    return {
      shapes: [[rows, inputs], [outputs, inputs], [outputs]],
      build: ([x, weight, bias]) => linear(x, weight, bias),
    };
  },
  Softmax: (random) => {
    const shape = shapeOf(random, 1 + random.integer(3));
    return { shapes: [shape], build: ([x]) => softmax(x, random.integer(shape.length)) };
  },
  LogSoftmax: (random) => {
    const shape = shapeOf(random, 1 + random.integer(3));
    return { shapes: [shape], build: ([x]) => logSoftmax(x, random.integer(shape.length)) };
  },
  Conv: convolution,
  MaxPool: pooling((x, kernel, options) => arithmetic.square(maxPool(x, kernel, options))),
  AveragePool: pooling((x, kernel, options) =>
    arithmetic.square(averagePool(x, kernel, { ...options, countIncludePad: options.pads[0] === 0 })),
  ),
  GlobalAveragePool: (random) => ({
    shapes: [[size(random), size(random), size(random), size(random)]],
    build: ([x]) => arithmetic.square(globalAveragePool(x)),
  }),
  "BatchNormalization (training)": (random) => {
    const shape = channels(random);
    const perChannel = [shape[1]];
    return {
      shapes: [shape, perChannel, perChannel],
      build: ([x, scale, bias]) => batchNormTraining(x, scale, bias, 1e-2).y,
    };
  },
  "BatchNormalization (statistics)": (random) => ({
    shapes: [channels(random)],
    build: ([x]) => {
      const ones = movement.expand(x.graph.scalar(1, x.type), [x.shape[1]]);
      const { mean, variance } = batchNormTraining(x, ones, ones, 1e-2);
      return arithmetic.mul(elementwise.exp(mean), variance);
    },
  }),
  "BatchNormalization (inference)": (random) => {
    const shape = channels(random);
    const perChannel = [shape[1]];
    return {
      shapes: [shape, perChannel, perChannel, perChannel, perChannel],
      build: ([x, scale, bias, mean, variance]) => batchNormInference(x, scale, bias, mean, variance, 1e-2),
      draw: positive,
    };
  },
  softmaxCrossEntropy: (random) => {
    const [count, classes] = [size(random), 2 + random.integer(3)];
    const target = Array.from({ length: count }, () => random.integer(classes));
    return {
      shapes: [[count, classes]],
      build: ([logits]) =>
        softmaxCrossEntropy(logits, indices(logits, target, [count], "int32"), {
          labelSmoothing: pick(random, [0, 0.1, 0.3]),
          labelSmoothingKind: pick(random, ["uniform", "kl"]),
          reduction: pick(random, ["mean", "none"]),
        }),
    };
  },
};

testGradients(cases);
