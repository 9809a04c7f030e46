import type { Value } from "../graph/graph.ts";
import { type Convolution, conv } from "../ops/convolution.ts";
import { reshape } from "../ops/movement.ts";
import { pad } from "../ops/padding.ts";
import { blockedConv, fittingBlock, type Kernel } from "./blocked.ts";
import type { Target } from "./target.ts";

/**
 * A convolution of x [1, C, …size, m] that leaves the m numbers of each place apart, with weight [O, C/group, …kernel]:
 * [1, O, …out, m].
 *
 * ONNX Runtime's convolution copies what its kernel sees in runs along the last axis. With stride 1 the m numbers can
 * be made part of it, [1, C, …, W·m] with dilation and padding m times as large: the runs get m times as long. With
 * another stride they keep an axis of their own.
 *
 * In blocks of channels the long runs are what pays: places that see padding are computed one by one, so there the
 * last axis is padded before.
 */
export function convInnermost(
  x: Value,
  kernel: Kernel,
  bias: Value | undefined,
  { strides, dilations, pads, group }: Convolution,
  target: Target = {},
): Value {
  const axes = strides.length;
  const last = axes - 1;
  const [before, after] = [pads.slice(0, axes), pads.slice(axes)];
  const m = x.shape[axes + 2];
  if (strides[last] !== 1) {
    return conv(x, reshape(kernel.plain(), [...kernel.shape, 1]), bias, {
      strides: [...strides, 1],
      dilations: [...dilations, 1],
      pads: [...before, 0, ...after, 0],
      group,
    });
  }
  const timesM = (values: readonly number[]) => values.with(last, values[last] * m);
  const rows = reshape(x, timesM(x.shape.slice(2, -1)).toSpliced(0, 0, 1, x.shape[1]));
  const inRows: Convolution = {
    strides,
    dilations: timesM(dilations),
    pads: [...timesM(before), ...timesM(after)],
    group,
  };
  const y = convRows(rows, kernel, bias, inRows, target);
  return reshape(y, [...y.shape.slice(0, -1), y.shape[axes + 1] / m, m]);
}

function convRows(
  rows: Value,
  kernel: Kernel,
  bias: Value | undefined,
  settings: Convolution,
  target: Target,
): Value {
  const { pads } = settings;
  const block = fittingBlock(rows, kernel.shape, settings, target);
  if (block === undefined) return conv(rows, kernel.plain(), bias, settings);
  const padded = pad(rows, [0, 0, 0, pads[1]], [0, 0, 0, pads[3]]);
  const rest = { ...settings, pads: [pads[0], 0, pads[2], 0] };
  return blockedConv(padded, kernel.filters(block), bias, rest, kernel.shape[0]);
}
