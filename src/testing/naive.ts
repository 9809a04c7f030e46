import { elementCount, type Shape } from "../graph/graph.ts";

// Operators by their definitions, one number at a time in float64: what the graph's operators are compared with.

/** A tensor of plain numbers in row-major order. */
export interface Dense {
  shape: Shape;
  data: number[];
}

export interface Window {
  strides: readonly number[];
  pads: readonly number[];
  dilations: readonly number[];
}

/** Builds a tensor from a function of the position. */
export function dense(shape: Shape, element: (position: readonly number[]) => number): Dense {
  return { shape, data: positions(shape).map(element) };
}

/** Every position of a shape, in row-major order. */
export function positions(shape: Shape): number[][] {
  return shape.reduce<number[][]>(
    (all, size) =>
      all.flatMap((position) => Array.from({ length: size }, (_, index) => [...position, index])),
    [[]],
  );
}

/** The element at a position, or undefined outside. */
export function at({ shape, data }: Dense, position: readonly number[]): number | undefined {
  let offset = 0;
  for (const [axis, index] of position.entries()) {
    if (index < 0 || index >= shape[axis]) return undefined;
    offset = offset * shape[axis] + index;
  }
  return data[offset];
}

/** Where a window's taps stand in the input: [tap, position] for one place of the output. */
function taps(kernel: Shape, place: readonly number[], { strides, pads, dilations }: Window) {
  return positions(kernel).map((tap) => ({
    tap,
    position: tap.map((index, axis) => place[axis] * strides[axis] - pads[axis] + index * dilations[axis]),
  }));
}

/** ⌊(size + pads − dilation·(kernel − 1) − 1)/stride⌋ + 1 per axis. */
function windows(size: Shape, kernel: Shape, { strides, pads, dilations }: Window): number[] {
  return size.map((length, axis) => {
    const padded = length + pads[axis] + pads[axis + size.length];
    return Math.floor((padded - dilations[axis] * (kernel[axis] - 1) - 1) / strides[axis]) + 1;
  });
}

/** y[n, o, p] = bias[o] + Σ over c, tap of weight[o, c, tap]·x[n, c of o's group, p·stride − pad + tap·dilation]. */
export function naiveConv(
  x: Dense,
  weight: Dense,
  bias: Dense | undefined,
  window: Window,
  group: number,
): Dense {
  const [count, , ...size] = x.shape;
  const [outputs, inputs, ...kernel] = weight.shape;
  return dense([count, outputs, ...windows(size, kernel, window)], ([n, o, ...place]) => {
    const first = Math.floor(o / (outputs / group)) * inputs;
    let sum = bias ? bias.data[o] : 0;
    for (let channel = 0; channel < inputs; channel++) {
      for (const { tap, position } of taps(kernel, place, window)) {
        sum += at(weight, [o, channel, ...tap])! * (at(x, [n, first + channel, ...position]) ?? 0);
      }
    }
    return sum;
  });
}

/** What each window sees, handed to `reduce` with the number of its taps. */
export function naivePool(
  x: Dense,
  kernel: Shape,
  window: Window,
  reduce: (seen: number[], tapCount: number) => number,
): Dense {
  const [count, channels, ...size] = x.shape;
  return dense([count, channels, ...windows(size, kernel, window)], ([n, channel, ...place]) => {
    const seen = taps(kernel, place, window).map(({ position }) => at(x, [n, channel, ...position]));
    return reduce(
      seen.filter((value) => value !== undefined),
      elementCount(kernel),
    );
  });
}

/** Mean and population variance of each channel of [N, C, …]. */
export function naiveStatistics(x: Dense): { mean: number[]; variance: number[] } {
  const channels = Array.from({ length: x.shape[1] }, (_, channel) =>
    x.data.filter((_, index) => positions(x.shape)[index][1] === channel),
  );
  const mean = channels.map((values) => values.reduce((sum, value) => sum + value, 0) / values.length);
  const variance = channels.map(
    (values, channel) => values.reduce((sum, value) => sum + (value - mean[channel]) ** 2, 0) / values.length,
  );
  return { mean, variance };
}

/** Rewrites each line of numbers along an axis. */
export function alongAxis(x: Dense, axis: number, rewrite: (line: number[]) => number[]): Dense {
  return dense(x.shape, (position) => {
    const line = Array.from({ length: x.shape[axis] }, (_, index) => at(x, position.with(axis, index))!);
    return rewrite(line)[position[axis]];
  });
}
