import { elementCount, type Shape, type Value } from "../graph/graph.ts";
import type { AttributeValue } from "../onnx/attributes.ts";
import { type Convolution, convolutionAttributes, outputSize } from "../ops/convolution.ts";
import { reshape, transpose } from "../ops/movement.ts";
import { int, ints } from "../ops/operator.ts";
import type { Target } from "./target.ts";

// ONNX Runtime's blocked convolution: channels in blocks of as many as a vector register holds, one place after the
// other, [N, C/b, H, W, b] (NCHWc). ONNX Runtime takes it by itself where weights are constants. Here they are inputs,
// so its operators are named. They are internal to ONNX Runtime and their block depends on the machine, so they are
// only for programs that run where they were compiled: no file has them.

const domain = "com.microsoft.nchwc";

/** Versions of the operator sets that programs for a target use beside ONNX's own. */
export const targetDomains: Readonly<Record<string, number>> = { [domain]: 1 };

/** The block to convolve in, if a convolution can be: two spatial axes, one group, and whole blocks of channels. */
export function fittingBlock(
  x: Value,
  weight: Value,
  { strides, group }: Convolution,
  { blockedChannels }: Target,
): number | undefined {
  if (blockedChannels === undefined || x.type !== "float32" || strides.length !== 2 || group !== 1)
    return undefined;
  const whole = x.shape[1] % blockedChannels === 0 && weight.shape[0] % blockedChannels === 0;
  return whole ? blockedChannels : undefined;
}

/** The same as `conv`, in blocks that fit. */
export function blockedConv(
  x: Value,
  weight: Value,
  bias: Value | undefined,
  settings: Convolution,
  block: number,
): Value {
  return convWithFilters(x, filtersOf(weight, block), bias, settings);
}

/** The same with a weight that is in the blocked convolution's order. */
export function convWithFilters(
  x: Value,
  filters: Value,
  bias: Value | undefined,
  settings: Convolution,
): Value {
  const kernel = filters.shape.slice(2);
  const shape = [x.shape[0], filters.shape[0], ...outputSize(x.shape.slice(2), kernel, settings)];
  const attributes = { ...convolutionAttributes(settings), kernel_shape: ints(kernel) };
  const y = add("Conv", [inBlocks(x), filters, bias], shape, attributes);
  return add("ReorderOutput", [y], shape, { channels: int(shape[1]) });
}

/** [N, C, H, W] to [N, C/b, H, W, b], under the shape it had. */
export function inBlocks(x: Value): Value {
  return add("ReorderInput", [x], x.shape);
}

// Both orders of filters leave runs of a block: to transpose single numbers takes several times as long.

/** [O, I, …kernel] to [O/b, I/b, …kernel, b of I, b of O], under the shape it had. */
function filtersOf(weight: Value, block: number): Value {
  const [outputs, inputs, ...kernel] = weight.shape;
  const taps = elementCount(kernel);
  const filters = inBlocks(reshape(weight, [1, outputs, inputs, taps]));
  const apart = reshape(filters, [outputs / block, inputs / block, block, taps, block]);
  return reshape(transpose(apart, [0, 1, 3, 2, 4]), weight.shape);
}

/** The filters whose kernel is dy [I, O, …kernel] with its first two axes exchanged. */
export function filtersOfExchanged(dy: Value, block: number): Value {
  const [inputs, outputs, ...kernel] = dy.shape;
  const taps = elementCount(kernel);
  const apart = reshape(inBlocks(dy), [inputs / block, block, outputs / block, taps, block]);
  return reshape(transpose(apart, [2, 0, 3, 1, 4]), [outputs, inputs, ...kernel]);
}

function add(
  operator: string,
  inputs: readonly (Value | undefined)[],
  shape: Shape,
  attributes: Readonly<Record<string, AttributeValue>> = {},
): Value {
  return inputs[0]!.graph.add(operator, inputs, attributes, [{ type: "float32", shape }], domain)[0];
}
