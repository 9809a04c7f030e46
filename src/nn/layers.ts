import { UserError } from "../common/errors.ts";
import { readOptions } from "../common/options.ts";
import { elementCount, type Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { greaterOrEqual } from "../ops/comparison.ts";
import * as convolution from "../ops/convolution.ts";
import * as elementwise from "../ops/elementwise.ts";
import * as ops from "../ops/linear.ts";
import * as movement from "../ops/movement.ts";
import { batchNormInference, batchNormTraining } from "../ops/normalization.ts";
import { pad } from "../ops/padding.ts";
import * as pooling from "../ops/pooling.ts";
import { convTranspose } from "../ops/transposed-convolution.ts";
import { filledWith, type Initializer, uniformByFanIn } from "./initializers.ts";
import type { Layer } from "./module.ts";

// Layers by PyTorch's names, with its parameter names, defaults and initialization. Each is a function that returns
// a layer: settings first, graph later.

/** What a layer's parameters start from, where that is not PyTorch's default for the layer. */
export interface InitializerOptions {
  initializer?: Initializer;
  biasInitializer?: Initializer;
}

const initializerOptions = { initializer: "function", biasInitializer: "function" } as const;

/** Fully connected: [N, inputs] to [N, outputs]. */
export function linear(
  inputs: number,
  outputs: number,
  options: InitializerOptions & { bias?: boolean } = {},
): Layer {
  const {
    bias = true,
    initializer = uniformByFanIn(inputs),
    biasInitializer = uniformByFanIn(inputs),
  } = readOptions("linear", options, { bias: "boolean", ...initializerOptions });
  return (x, scope) =>
    ops.linear(
      x,
      scope.parameter("weight", [outputs, inputs], "weight", initializer),
      bias ? scope.parameter("bias", [outputs], "bias", biasInitializer) : undefined,
    );
}

export interface Conv2dOptions extends InitializerOptions {
  stride?: number;
  padding?: number;
  dilation?: number;
  groups?: number;
  bias?: boolean;
}

const conv2dOptions = {
  stride: "number",
  padding: "number",
  dilation: "number",
  groups: "number",
  bias: "boolean",
  ...initializerOptions,
} as const;

function requireGroups(layer: string, inputs: number, outputs: number, groups: number): void {
  if (inputs % groups === 0 && outputs % groups === 0) return;
  throw new UserError(
    `${layer}: ${inputs} input and ${outputs} output channels do not divide into ${groups} groups`,
  );
}

/** Convolution with a square kernel: [N, inputs, H, W] to [N, outputs, H′, W′]. */
export function conv2d(inputs: number, outputs: number, kernel: number, options: Conv2dOptions = {}): Layer {
  readOptions("conv2d", options, conv2dOptions);
  const { stride = 1, padding = 0, dilation = 1, groups = 1, bias = true, ...initializers } = options;
  requireGroups("conv2d", inputs, outputs, groups);
  const fanIn = (inputs / groups) * kernel * kernel;
  const { initializer = uniformByFanIn(fanIn), biasInitializer = uniformByFanIn(fanIn) } = initializers;
  const shape = [outputs, inputs / groups, kernel, kernel];
  return (x, scope) =>
    convolution.conv(
      x,
      scope.parameter("weight", shape, "weight", initializer),
      bias ? scope.parameter("bias", [outputs], "bias", biasInitializer) : undefined,
      {
        strides: [stride, stride],
        pads: [padding, padding, padding, padding],
        dilations: [dilation, dilation],
        group: groups,
      },
    );
}

export interface ConvTranspose2dOptions extends Conv2dOptions {
  /** Added to the height and the width of the output, at its end. */
  outputPadding?: number;
}

/**
 * Transposed convolution with a square kernel: [N, inputs, H, W] to [N, outputs, H′, W′], where
 * H′ = (H − 1)·stride − 2·padding + dilation·(kernel − 1) + outputPadding + 1.
 */
export function convTranspose2d(
  inputs: number,
  outputs: number,
  kernel: number,
  options: ConvTranspose2dOptions = {},
): Layer {
  readOptions("convTranspose2d", options, { ...conv2dOptions, outputPadding: "number" });
  const { stride = 1, padding = 0, dilation = 1, groups = 1, bias = true, outputPadding = 0 } = options;
  requireGroups("convTranspose2d", inputs, outputs, groups);
  // PyTorch takes the second axis of a weight for its inputs, which in a transposed convolution are the outputs.
  const fanIn = (outputs / groups) * kernel * kernel;
  const { initializer = uniformByFanIn(fanIn), biasInitializer = uniformByFanIn(fanIn) } = options;
  const shape = [inputs, outputs / groups, kernel, kernel];
  return (x, scope) =>
    convTranspose(
      x,
      scope.parameter("weight", shape, "weight", initializer),
      bias ? scope.parameter("bias", [outputs], "bias", biasInitializer) : undefined,
      {
        strides: [stride, stride],
        pads: [padding, padding, padding, padding],
        dilations: [dilation, dilation],
        group: groups,
        outputPadding: [outputPadding, outputPadding],
      },
    );
}

export interface BatchNormOptions {
  epsilon?: number;
  /** Share of the batch's statistics in the running ones: running ← (1 − momentum)·running + momentum·batch. */
  momentum?: number;
}

/**
 * Batch normalization over the channels of [N, C, …] (Ioffe & Szegedy 2015). Training normalizes by the batch's own
 * statistics; inference by the running ones, whose variance is the unbiased one, as in PyTorch.
 */
export function batchNorm(channels: number, options: BatchNormOptions = {}): Layer {
  const kinds = { epsilon: "number", momentum: "number" } as const;
  const { epsilon = 1e-5, momentum = 0.1 } = readOptions("batchNorm", options, kinds);
  return (x, scope) => {
    const scale = scope.parameter("weight", [channels], "norm-weight", filledWith(1));
    const bias = scope.parameter("bias", [channels], "norm-bias", filledWith(0));
    const runningMean = scope.buffer("running_mean", [channels], 0);
    const runningVariance = scope.buffer("running_var", [channels], 1);
    if (!scope.trains("running_mean"))
      return batchNormInference(x, scale, bias, runningMean, runningVariance, epsilon);
    const statistics = batchNormTraining(x, scale, bias, epsilon);
    const running = { mean: runningMean, variance: runningVariance };
    const next = nextRunningStatistics(x, statistics, running, scope.batchNormMomentum ?? momentum);
    scope.updateBuffer("running_mean", next.mean);
    scope.updateBuffer("running_var", next.variance);
    return statistics.y;
  };
}

interface Statistics {
  mean: Value;
  variance: Value;
}

/** Running statistics moved toward those of a batch x [N, C, …] by `share`; the variance made the unbiased one. */
export function nextRunningStatistics(
  x: Value,
  batch: Statistics,
  running: Statistics,
  share: number,
): Statistics {
  const count = elementCount(x.shape) / x.shape[1];
  const blend = (old: Value, value: Value) => add(mul(old, 1 - share), mul(value, share));
  return {
    mean: blend(running.mean, batch.mean),
    variance: blend(running.variance, mul(batch.variance, count / (count - 1))),
  };
}

export const relu = (): Layer => elementwise.relu;
/** Clipped to [0, 6]. */
export const relu6 = (): Layer => (x) => elementwise.clip(x, 0, 6);
export const sigmoid = (): Layer => elementwise.sigmoid;
export const tanh = (): Layer => elementwise.tanh;
export const gelu = (): Layer => elementwise.gelu;
export const silu = (): Layer => elementwise.silu;

/** Maximum over square windows; `stride` is the kernel when left out. */
export function maxPool(kernel: number, options: { stride?: number; padding?: number } = {}): Layer {
  const kinds = { stride: "number", padding: "number" } as const;
  const { stride = kernel, padding = 0 } = readOptions("maxPool", options, kinds);
  const pads = [padding, padding, padding, padding];
  return (x) => pooling.maxPool(x, [kernel, kernel], { strides: [stride, stride], pads });
}

/** Mean over square windows; `stride` is the kernel when left out, and with `ceilMode` a last window may be cut off. */
export function averagePool(
  kernel: number,
  options: { stride?: number; padding?: number; ceilMode?: boolean } = {},
): Layer {
  const kinds = { stride: "number", padding: "number", ceilMode: "boolean" } as const;
  const { stride = kernel, padding = 0, ceilMode = false } = readOptions("averagePool", options, kinds);
  const pads = [padding, padding, padding, padding];
  return (x) => pooling.averagePool(x, [kernel, kernel], { strides: [stride, stride], pads, ceilMode });
}

/**
 * Mean over size × size windows that cover an image of any height and width: [N, C, H, W] to [N, C, size, size].
 * Window i of n goes from ⌊i·H/n⌋ to ⌈(i + 1)·H/n⌉, as PyTorch's `AdaptiveAvgPool2d`: windows overlap where n does not
 * divide H, and repeat pixels where it is larger.
 */
export function adaptiveAveragePool(size: number): Layer {
  return (x) => {
    // One matrix per axis, since the means are over products of ranges.
    const [rows, columns] = x.shape
      .slice(2)
      .map((length) => tensorData(windowMeans(length, size), [size, length], x.type));
    const overColumns = ops.matMul(x, movement.transpose(x.graph.constant(columns), [1, 0]));
    return ops.matMul(x.graph.constant(rows), overColumns);
  };
}

/** The matrix [size, length] that takes the mean of each of `size` windows over `length` numbers. */
function windowMeans(length: number, size: number): number[] {
  return Array.from({ length: size }, (_, index) => {
    const [first, end] = [Math.floor((index * length) / size), Math.ceil(((index + 1) * length) / size)];
    return Array.from({ length }, (_number, at) => (at >= first && at < end ? 1 / (end - first) : 0));
  }).flat();
}

/**
 * Dropout (Srivastava et al. 2014) as in PyTorch: in training each number is dropped with probability p and the others
 * are divided by 1 − p; in inference nothing happens. All passes of a step drop the same numbers.
 */
export function dropout(p = 0.5): Layer {
  if (!(p >= 0 && p < 1)) throw new UserError(`dropout: p is ${p}; it has to be at least 0 and below 1`);
  return (x, scope) => {
    if (!scope.trains("uniform") || p === 0) return x;
    return dropNumbers(x, scope.random("uniform", x.shape), p);
  };
}

/**
 * Stochastic depth (Huang et al. 2016) as torchvision's, by rows: in training each image of the batch is left out with
 * probability p, and the others are divided by 1 − p; in inference nothing happens. Put it after the layers that a
 * shortcut goes around. All passes of a step leave out the same images.
 */
export function stochasticDepth(p: number): Layer {
  if (!(p >= 0 && p < 1))
    throw new UserError(`stochasticDepth: p is ${p}; it has to be at least 0 and below 1`);
  return (x, scope) => {
    if (!scope.trains("uniform") || p === 0) return x;
    const [images, ...rest] = x.shape;
    return dropNumbers(x, scope.random("uniform", [images, ...rest.map(() => 1)]), p);
  };
}

/** x without the numbers where `uniform`, drawn from [0, 1), is below p; the others are divided by 1 − p. */
export function dropNumbers(x: Value, uniform: Value, p: number): Value {
  const kept = elementwise.cast(greaterOrEqual(uniform, p), x.type);
  return mul(x, mul(kept, 1 / (1 - p)));
}

/** Mean over all places: [N, C, H, W] to [N, C]. */
export const globalAveragePool = (): Layer => (x) => movement.flatten(pooling.globalAveragePool(x));

/** [N, …] to [N, everything else]. */
export const flatten = (): Layer => movement.flatten;

/** Layers one after another, under the names given, or 0, 1, 2, … as in PyTorch. */
export function sequential(layers: Readonly<Record<string, Layer>> | readonly Layer[]): Layer {
  const parts: readonly (readonly [string, Layer])[] = Object.entries(layers);
  return (x, scope) => parts.reduce((value, [name, layer]) => scope.within(name, layer, value), x);
}

/** `main(x) + shortcut(x)`. The parts of `main` and `shortcut` keep their own names. */
export function residualSum(main: Layer, shortcut: Layer = (x) => x): Layer {
  return (x, scope) => add(main(x, scope), shortcut(x, scope));
}

/** `main(x) + shortcut(x)`, then ReLU. */
export function residual(main: Layer, shortcut?: Layer): Layer {
  const added = residualSum(main, shortcut);
  return (x, scope) => elementwise.relu(added(x, scope));
}

/**
 * Squeeze and excitation (Hu et al. 2018): each channel of [N, C, H, W] is multiplied by a number that two layers,
 * `fc1` and `fc2`, make of the means of all channels. Names and activations as torchvision's.
 */
export function squeezeExcitation(
  channels: number,
  squeezed: number,
  options: InitializerOptions & { activation?: Layer } = {},
): Layer {
  readOptions("squeezeExcitation", options, { activation: "function", ...initializerOptions });
  const { activation = relu(), ...initializers } = options;
  const scale = sequential({
    avgpool: pooling.globalAveragePool,
    fc1: conv2d(channels, squeezed, 1, initializers),
    activation,
    fc2: conv2d(squeezed, channels, 1, initializers),
    scale_activation: sigmoid(),
  });
  return (x, scope) => mul(scale(x, scope), x);
}

/** [N, C, H, W] with channels of zeros before and after. */
export function padChannels(before: number, after: number): Layer {
  return (x) => pad(x, [0, before, 0, 0], [0, after, 0, 0]);
}
