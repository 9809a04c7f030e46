import { elementCount, type Shape, type Value } from "../graph/graph.ts";
import { madeBy } from "../graph/walk.ts";
import type { AttributeValue } from "../onnx/attributes.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { type Convolution, convolutionAttributes, outputSize } from "../ops/convolution.ts";
import { gather } from "../ops/indexing.ts";
import { concat, reshape, zeros } from "../ops/movement.ts";
import { int, ints } from "../ops/operator.ts";
import type { Target } from "./target.ts";

// ONNX Runtime's blocked convolution: channels in blocks of as many as a vector register holds, one place after the
// other, [N, C/b, H, W, b] (NCHWc). ONNX Runtime takes it by itself where weights are constants. Here they are inputs,
// so its operators are named. They are internal to ONNX Runtime and their block depends on the machine, so they are
// only for programs that run where they were compiled: no file has them.

const domain = "com.microsoft.nchwc";

/** Versions of the operator sets that programs for a target use beside ONNX's own. */
export const targetDomains: Readonly<Record<string, number>> = { [domain]: 1 };

/** The weight of a convolution, [O, I/group, …kernel], in the order that a form of the convolution wants it in. */
export interface Kernel {
  readonly shape: Shape;
  /** As ONNX's Conv takes it. */
  plain(): Value;
  /** As the blocked convolution takes it: [O/b, I/b, …kernel, b of I, b of O], under the shape [O, I, …kernel]. */
  filters(block: number): Value;
}

/** A tensor of the graph as a kernel. */
export function kernelOf(weight: Value): Kernel {
  return { shape: weight.shape, plain: () => weight, filters: (block) => filtersOf(weight, block) };
}

/** The most products per product there is when blocks of channels are filled up with zeros. */
const mostFilled = 1.4;

/** The block to convolve in, if a convolution can be: two spatial axes, one group, and channels that nearly fill their blocks. */
export function fittingBlock(
  x: Value,
  [outputs]: Shape,
  { strides, group }: Convolution,
  { blockedChannels }: Target,
): number | undefined {
  if (blockedChannels === undefined || x.type !== "float32" || strides.length !== 2 || group !== 1)
    return undefined;
  return fillsBlocks(x.shape[1], outputs, blockedChannels) ? blockedChannels : undefined;
}

/** Whether products of two numbers of channels are nearly as many as those of the blocks they are in. */
export function fillsBlocks(inputs: number, outputs: number, block: number): boolean {
  return wholeBlocks(inputs, block) * wholeBlocks(outputs, block) <= mostFilled * inputs * outputs;
}

export function wholeBlocks(channels: number, block: number): number {
  return Math.ceil(channels / block) * block;
}

/** The same as `conv`, in blocks, with filters in the blocked convolution's order; `outputs` of them are no filling. */
export function blockedConv(
  x: Value,
  filters: Value,
  bias: Value | undefined,
  settings: Convolution,
  outputs: number = filters.shape[0],
): Value {
  const [filled, channels, ...kernel] = filters.shape;
  const shape = [x.shape[0], filled, ...outputSize(x.shape.slice(2), kernel, settings)];
  const attributes = { ...convolutionAttributes(settings), kernel_shape: ints(kernel) };
  const inputs = [inBlocks(x, channels), filters, bias && filledUp(bias, 0, filled)];
  return outOfBlocks(add("Conv", inputs, shape, attributes), outputs);
}

/**
 * [N, C, H, W] to [N, C′/b, H, W, b], under the shape [N, C′, H, W], with zeros in channels from C on. What came out of such
 * blocks goes back as it was: the filling of a convolution's results is zero, as that of its filters and biases.
 */
export function inBlocks(x: Value, channels: number = x.shape[1]): Value {
  const blocks = madeBy(x, "ReorderOutput")?.node.inputs[0];
  if (blocks?.shape[1] === channels) return blocks;
  return reordered(filledUp(x, 1, channels));
}

/** [N, C′/b, H, W, b], under the shape [N, C′, H, W], to [N, C, H, W]. */
export function outOfBlocks(x: Value, channels: number = x.shape[1]): Value {
  return add("ReorderOutput", [x], x.shape.with(1, channels), { channels: int(channels) });
}

/** With zeros at the end of an axis. */
export function filledUp(x: Value, axis: number, length: number): Value {
  if (x.shape[axis] === length) return x;
  return concat([x, zeros(x.graph, x.shape.with(axis, length - x.shape[axis]), x.type)], axis);
}

function reordered(x: Value): Value {
  return add("ReorderInput", [x], x.shape);
}

// Filters are put in order by ReorderInput, which runs on all threads, twice: once for each of the two innermost axes of
// a block. To transpose five axes runs on one thread. What is left to move are runs of whole blocks, by Gather.

/** [O, I, …kernel] to [O/b, I/b, …kernel, b of I, b of O], under the shape it had. */
function filtersOf(weight: Value, block: number): Value {
  const filled = inWholeBlocks(weight, block);
  const [outputs, inputs, ...kernel] = filled.shape;
  const taps = elementCount(kernel);
  const inputsLast = reordered(reshape(filled, [outputs, inputs, 1, taps]));
  return reshape(reordered(reshape(inputsLast, [1, outputs, 1, inputs * taps])), filled.shape);
}

function inWholeBlocks(weight: Value, block: number): Value {
  const [outputs, inputs] = weight.shape;
  return filledUp(filledUp(weight, 1, wholeBlocks(inputs, block)), 0, wholeBlocks(outputs, block));
}

/** The filters whose kernel is x [I, O, …kernel] with its first two axes exchanged. */
export function filtersOfExchanged(x: Value, block: number): Value {
  const { blocks, rows, columns, kernel } = blocksOf(x, block);
  const apart = reshape(blocks, [rows, columns, elementCount(kernel) * block * block]);
  return reshape(exchanged(apart), [columns * block, rows * block, ...kernel]);
}

/** The same with the taps of the kernel in the opposite order. */
export function filtersOfTurned(x: Value, block: number): Value {
  const kernel = x.shape.slice(2);
  const taps = Array.from({ length: elementCount(kernel) }, (_, tap) => tap);
  return filtersOfTaps(x, block, taps.reverse(), kernel);
}

/** The same with some taps of the kernel, given by their place in it, as a kernel of another shape. */
export function filtersOfTaps(x: Value, block: number, chosen: readonly number[], shape: Shape): Value {
  const { blocks, rows, columns, kernel } = blocksOf(x, block);
  const taps = elementCount(kernel);
  const order = Array.from({ length: rows * columns }, (_, index) => {
    const [column, row] = [Math.floor(index / rows), index % rows];
    return chosen.map((tap) => (row * columns + column) * taps + tap);
  });
  const apart = reshape(blocks, [rows * columns * taps, block * block]);
  return reshape(taken(apart, order.flat()), [columns * block, rows * block, ...shape]);
}

/** [I, O, …kernel] to [I/b, O/b, …kernel, b of I, b of O], rows and columns of blocks. */
function blocksOf(x: Value, block: number) {
  const filled = inWholeBlocks(x, block);
  const [inputs, outputs, ...kernel] = filled.shape;
  const taps = elementCount(kernel);
  const [rows, columns] = [inputs / block, outputs / block];
  const inputsLast = reordered(reshape(filled, [1, inputs, 1, outputs * taps]));
  const blocks = reordered(reshape(inputsLast, [rows * columns, block, 1, taps * block]));
  return { blocks, rows, columns, kernel };
}

/** The first two axes of three exchanged, for long runs along the third. */
export function exchanged(x: Value): Value {
  const [rows, columns, run] = x.shape;
  if (rows === 1 || columns === 1) return reshape(x, [columns, rows, run]);
  const order = Array.from({ length: rows * columns }, (_, index) => {
    const [column, row] = [Math.floor(index / rows), index % rows];
    return row * columns + column;
  });
  return reshape(taken(reshape(x, [rows * columns, run]), order), [columns, rows, run]);
}

function taken(rows: Value, order: readonly number[]): Value {
  return gather(rows, rows.graph.constant(tensorData(order, [order.length], "int32")));
}

function add(
  operator: string,
  inputs: readonly (Value | undefined)[],
  shape: Shape,
  attributes: Readonly<Record<string, AttributeValue>> = {},
): Value {
  return inputs[0]!.graph.add(operator, inputs, attributes, [{ type: "float32", shape }], domain)[0];
}
