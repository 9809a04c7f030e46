import type { Value } from "../graph/graph.ts";
import { type Convolution, conv } from "../ops/convolution.ts";
import { reshape } from "../ops/movement.ts";

/**
 * A convolution of x [1, C, …size, m] that leaves the m numbers of each place apart, with weight [O, C/group, …kernel]:
 * [1, O, …out, m].
 *
 * ONNX Runtime's convolution copies what its kernel sees in runs along the last axis. With stride 1 the m numbers can
 * be made part of it, [1, C, …, W·m] with dilation and padding m times as large: the runs get m times as long. With
 * another stride they keep an axis of their own.
 */
export function convInnermost(
  x: Value,
  weight: Value,
  bias: Value | undefined,
  { strides, dilations, pads, group }: Convolution,
): Value {
  const axes = strides.length;
  const last = axes - 1;
  const [before, after] = [pads.slice(0, axes), pads.slice(axes)];
  const m = x.shape[axes + 2];
  if (strides[last] !== 1) {
    return conv(x, reshape(weight, [...weight.shape, 1]), bias, {
      strides: [...strides, 1],
      dilations: [...dilations, 1],
      pads: [...before, 0, ...after, 0],
      group,
    });
  }
  const timesM = (values: readonly number[]) => values.with(last, values[last] * m);
  const y = conv(reshape(x, timesM(x.shape.slice(2, -1)).toSpliced(0, 0, 1, x.shape[1])), weight, bias, {
    strides,
    dilations: timesM(dilations),
    pads: [...timesM(before), ...timesM(after)],
    group,
  });
  return reshape(y, [...y.shape.slice(0, -1), y.shape[axes + 1] / m, m]);
}
