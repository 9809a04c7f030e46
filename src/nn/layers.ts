import { UserError } from "../common/errors.ts";
import { elementCount, type Value } from "../graph/graph.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { greaterOrEqual } from "../ops/comparison.ts";
import * as convolution from "../ops/convolution.ts";
import * as elementwise from "../ops/elementwise.ts";
import * as ops from "../ops/linear.ts";
import * as movement from "../ops/movement.ts";
import { batchNormInference, batchNormTraining } from "../ops/normalization.ts";
import * as pooling from "../ops/pooling.ts";
import { filledWith, uniformByFanIn } from "./initializers.ts";
import type { Layer } from "./module.ts";

// Layers by PyTorch's names, with its parameter names, defaults and initialisation. Each is a function that returns
// a layer: settings first, graph later.

/** Fully connected: [N, inputs] to [N, outputs]. */
export function linear(inputs: number, outputs: number, { bias = true }: { bias?: boolean } = {}): Layer {
  const initializer = uniformByFanIn(inputs);
  return (x, scope) =>
    ops.linear(
      x,
      scope.parameter("weight", [outputs, inputs], "weight", initializer),
      bias ? scope.parameter("bias", [outputs], "bias", initializer) : undefined,
    );
}

export interface Conv2dOptions {
  stride?: number;
  padding?: number;
  dilation?: number;
  groups?: number;
  bias?: boolean;
}

/** Convolution with a square kernel: [N, inputs, H, W] to [N, outputs, H′, W′]. */
export function conv2d(
  inputs: number,
  outputs: number,
  kernel: number,
  { stride = 1, padding = 0, dilation = 1, groups = 1, bias = true }: Conv2dOptions = {},
): Layer {
  if (inputs % groups !== 0 || outputs % groups !== 0) {
    throw new UserError(
      `conv2d: ${inputs} input and ${outputs} output channels do not divide into ${groups} groups`,
    );
  }
  const initializer = uniformByFanIn((inputs / groups) * kernel * kernel);
  const shape = [outputs, inputs / groups, kernel, kernel];
  return (x, scope) =>
    convolution.conv(
      x,
      scope.parameter("weight", shape, "weight", initializer),
      bias ? scope.parameter("bias", [outputs], "bias", initializer) : undefined,
      {
        strides: [stride, stride],
        pads: [padding, padding, padding, padding],
        dilations: [dilation, dilation],
        group: groups,
      },
    );
}

export interface BatchNormOptions {
  epsilon?: number;
  /** Share of the batch's statistics in the running ones: running ← (1 − momentum)·running + momentum·batch. */
  momentum?: number;
}

/**
 * Batch normalisation over the channels of [N, C, …] (Ioffe & Szegedy 2015). Training normalises by the batch's own
 * statistics; inference by the running ones, whose variance is the unbiased one, as in PyTorch.
 */
export function batchNorm(
  channels: number,
  { epsilon = 1e-5, momentum = 0.1 }: BatchNormOptions = {},
): Layer {
  return (x, scope) => {
    const scale = scope.parameter("weight", [channels], "norm-weight", filledWith(1));
    const bias = scope.parameter("bias", [channels], "norm-bias", filledWith(0));
    const runningMean = scope.buffer("running_mean", [channels], 0);
    const runningVariance = scope.buffer("running_var", [channels], 1);
    if (!scope.training) return batchNormInference(x, scale, bias, runningMean, runningVariance, epsilon);
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
export const tanh = (): Layer => elementwise.tanh;
export const gelu = (): Layer => elementwise.gelu;
export const silu = (): Layer => elementwise.silu;

/** Maximum over square windows; `stride` is the kernel when left out. */
export function maxPool(
  kernel: number,
  { stride = kernel, padding = 0 }: { stride?: number; padding?: number } = {},
): Layer {
  const pads = [padding, padding, padding, padding];
  return (x) => pooling.maxPool(x, [kernel, kernel], { strides: [stride, stride], pads });
}

/** Mean over square windows; `stride` is the kernel when left out. */
export function averagePool(
  kernel: number,
  { stride = kernel, padding = 0 }: { stride?: number; padding?: number } = {},
): Layer {
  const pads = [padding, padding, padding, padding];
  return (x) => pooling.averagePool(x, [kernel, kernel], { strides: [stride, stride], pads });
}

/**
 * Dropout (Srivastava et al. 2014) as in PyTorch: in training each number is dropped with probability p and the others
 * are divided by 1 − p; in inference nothing happens. All passes of a step drop the same numbers.
 */
export function dropout(p = 0.5): Layer {
  if (!(p >= 0 && p < 1)) throw new UserError(`dropout: p is ${p}; it has to be at least 0 and below 1`);
  return (x, scope) => {
    if (!scope.training || p === 0) return x;
    return dropNumbers(x, scope.random("uniform", x.shape), p);
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

/** `main(x) + shortcut(x)`, then ReLU. The parts of `main` and `shortcut` keep their own names. */
export function residual(main: Layer, shortcut: Layer): Layer {
  return (x, scope) => elementwise.relu(add(main(x, scope), shortcut(x, scope)));
}
