import type { Random } from "../common/random.ts";
import { many, normal, shapeOf, testByDefinition, upTo } from "../testing/by-definition.ts";
import { at, dense, naiveConv, naivePool, naiveStatistics } from "../testing/naive.ts";
import { conv } from "./convolution.ts";
import { concat } from "./movement.ts";
import { batchNormInference, batchNormTraining } from "./normalization.ts";
import { averagePool, globalAveragePool, maxPool } from "./pooling.ts";

// Convolution, pooling and batch normalization.

const spatial = (random: Random) => {
  const axes = upTo(random, 2);
  const kernel = many(axes, () => upTo(random, 3));
  const window = {
    strides: many(axes, () => upTo(random, 3)),
    dilations: many(axes, () => upTo(random, 2)),
    pads: [...kernel, ...kernel].map((taps) => random.integer(taps)),
  };
  const size = kernel.map((taps, axis) => window.dilations[axis] * (taps - 1) + upTo(random, 4));
  return { kernel, window, size };
};

testByDefinition({
  "conv with groups, strides, dilations and uneven padding": (random) => {
    const { kernel, window, size } = spatial(random);
    const group = upTo(random, 3);
    const [inputs, outputs] = [group * upTo(random, 2), group * upTo(random, 2)];
    const x = normal(random, [upTo(random, 2), inputs, ...size]);
    const weight = normal(random, [outputs, inputs / group, ...kernel]);
    const bias = random.uniform() < 0.5 ? normal(random, [outputs]) : undefined;
    return {
      inputs: bias ? [x, weight, bias] : [x, weight],
      build: ([a, b, c]) => conv(a, b, c, { ...window, group }),
      expected: naiveConv(x, weight, bias, window, group),
    };
  },
  maxPool: (random) => {
    const { kernel, window, size } = spatial(random);
    // All below zero: padding that counted as zero would win.
    const x = dense([2, 2, ...size], () => -1 - random.uniform());
    return {
      inputs: [x],
      build: ([value]) => maxPool(value, kernel, window),
      expected: naivePool(x, kernel, window, (seen) => Math.max(...seen)),
    };
  },
  "averagePool counting padding": (random) => {
    const { kernel, window, size } = spatial(random);
    const x = normal(random, [2, 2, ...size]);
    return {
      inputs: [x],
      build: ([value]) => averagePool(value, kernel, window),
      expected: naivePool(
        x,
        kernel,
        window,
        (seen, taps) => seen.reduce((sum, each) => sum + each, 0) / taps,
      ),
    };
  },
  "averagePool leaving padding out": (random) => {
    const { kernel, size, ...rest } = spatial(random);
    const window = { ...rest.window, dilations: kernel.map(() => 1) };
    const x = normal(random, [2, 2, ...size]);
    return {
      inputs: [x],
      build: ([value]) => averagePool(value, kernel, { ...window, countIncludePad: false }),
      expected: naivePool(
        x,
        kernel,
        window,
        (seen) => seen.reduce((sum, each) => sum + each, 0) / seen.length,
      ),
    };
  },
  globalAveragePool: (random) => {
    const x = normal(random, [upTo(random, 3), upTo(random, 3), ...shapeOf(random, 2)]);
    const [count, channels, ...size] = x.shape;
    const window = { strides: [1, 1], dilations: [1, 1], pads: [0, 0, 0, 0] };
    const mean = (seen: number[]) => seen.reduce((sum, each) => sum + each, 0) / (size[0] * size[1]);
    return {
      inputs: [x],
      build: ([value]) => globalAveragePool(value),
      expected: { ...naivePool(x, size, window, mean), shape: [count, channels, 1, 1] },
    };
  },
  "batchNorm in training": (random) => {
    const x = normal(random, [1 + upTo(random, 3), upTo(random, 3), ...shapeOf(random, random.integer(3))]);
    const [scale, bias] = [normal(random, [x.shape[1]]), normal(random, [x.shape[1]])];
    const { mean, variance } = naiveStatistics(x);
    return {
      inputs: [x, scale, bias],
      // ε is large, so that it matters, and a power of two, since ONNX holds it in float32.
      build: ([value, gamma, beta]) => batchNormTraining(value, gamma, beta, 0.25).y,
      expected: dense(x.shape, (position) => {
        const c = position[1];
        return (scale.data[c] * (at(x, position)! - mean[c])) / Math.sqrt(variance[c] + 0.25) + bias.data[c];
      }),
    };
  },
  "batchNorm's statistics": (random) => {
    const x = normal(random, [1 + upTo(random, 3), upTo(random, 3), ...shapeOf(random, random.integer(3))]);
    const one = dense([x.shape[1]], () => 1);
    const { mean, variance } = naiveStatistics(x);
    return {
      inputs: [x, one],
      build: ([value, scale]) => {
        const statistics = batchNormTraining(value, scale, scale, 0.25);
        return concat([statistics.mean, statistics.variance], 0);
      },
      expected: { shape: [2 * x.shape[1]], data: [...mean, ...variance] },
    };
  },
  "batchNorm in inference": (random) => {
    const x = normal(random, [upTo(random, 3), upTo(random, 3), ...shapeOf(random, random.integer(3))]);
    const [scale, bias, mean] = many(3, () => normal(random, [x.shape[1]]));
    const variance = dense([x.shape[1]], () => 0.5 + random.uniform());
    return {
      inputs: [x, scale, bias, mean, variance],
      build: ([value, gamma, beta, m, v]) => batchNormInference(value, gamma, beta, m, v, 0.25),
      expected: dense(x.shape, (position) => {
        const c = position[1];
        const deviation = Math.sqrt(variance.data[c] + 0.25);
        return (scale.data[c] * (at(x, position)! - mean.data[c])) / deviation + bias.data[c];
      }),
    };
  },
});
