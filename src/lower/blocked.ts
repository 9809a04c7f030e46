import { elementCount, type Shape, type Value } from "../graph/graph.ts";
import type { AttributeValue } from "../onnx/attributes.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { type Convolution, convolutionAttributes, outputSize } from "../ops/convolution.ts";
import { gather } from "../ops/indexing.ts";
import { reshape } from "../ops/movement.ts";
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
  return { shape: weight.shape, plain: () => weight, filters: () => filtersOf(weight) };
}

/** The block to convolve in, if a convolution can be: two spatial axes, one group, and whole blocks of channels. */
export function fittingBlock(
  x: Value,
  { shape: [outputs] }: Kernel,
  { strides, group }: Convolution,
  { blockedChannels }: Target,
): number | undefined {
  if (blockedChannels === undefined || x.type !== "float32" || strides.length !== 2 || group !== 1)
    return undefined;
  const whole = x.shape[1] % blockedChannels === 0 && outputs % blockedChannels === 0;
  return whole ? blockedChannels : undefined;
}

/** The same as `conv`, in blocks, with filters in the blocked convolution's order. */
export function blockedConv(x: Value, filters: Value, bias: Value | undefined, settings: Convolution): Value {
  const kernel = filters.shape.slice(2);
  const shape = [x.shape[0], filters.shape[0], ...outputSize(x.shape.slice(2), kernel, settings)];
  const attributes = { ...convolutionAttributes(settings), kernel_shape: ints(kernel) };
  return outOfBlocks(add("Conv", [inBlocks(x), filters, bias], shape, attributes));
}

/** [N, C, H, W] to [N, C/b, H, W, b], under the shape it had. */
export function inBlocks(x: Value): Value {
  return add("ReorderInput", [x], x.shape);
}

/** [N, C/b, H, W, b], under the shape [N, C, H, W], to that shape. */
export function outOfBlocks(x: Value): Value {
  return add("ReorderOutput", [x], x.shape, { channels: int(x.shape[1]) });
}

// Filters are put in order by ReorderInput, which runs on all threads, twice: once for each of the two innermost axes of
// a block. To transpose five axes runs on one thread. What is left to move are runs of whole blocks, by Gather.

/** [O, I, …kernel] to [O/b, I/b, …kernel, b of I, b of O], under the shape it had. */
function filtersOf(weight: Value): Value {
  const [outputs, inputs, ...kernel] = weight.shape;
  const taps = elementCount(kernel);
  const inputsLast = inBlocks(reshape(weight, [outputs, inputs, 1, taps]));
  return reshape(inBlocks(reshape(inputsLast, [1, outputs, 1, inputs * taps])), weight.shape);
}

/** The filters whose kernel is x [I, O, …kernel] with its first two axes exchanged. */
export function filtersOfExchanged(x: Value, block: number): Value {
  const [inputs, outputs, ...kernel] = x.shape;
  const [rows, columns] = [inputs / block, outputs / block];
  const apart = reshape(blocksOf(x, block), [rows, columns, elementCount(kernel) * block * block]);
  return reshape(exchanged(apart), [outputs, inputs, ...kernel]);
}

/** The same with the taps of the kernel in the opposite order. */
export function filtersOfTurned(x: Value, block: number): Value {
  const [inputs, outputs, ...kernel] = x.shape;
  const [rows, columns, taps] = [inputs / block, outputs / block, elementCount(kernel)];
  const order = Array.from({ length: rows * columns * taps }, (_, index) => {
    const tap = taps - 1 - (index % taps);
    const [row, column] = [Math.floor(index / taps) % rows, Math.floor(index / (taps * rows))];
    return (row * columns + column) * taps + tap;
  });
  const blocks = reshape(blocksOf(x, block), [rows * columns * taps, block * block]);
  return reshape(taken(blocks, order), [outputs, inputs, ...kernel]);
}

/** [I, O, …kernel] to [I/b, O/b, …kernel, b of I, b of O]. */
function blocksOf(x: Value, block: number): Value {
  const [inputs, outputs, ...kernel] = x.shape;
  const taps = elementCount(kernel);
  const inputsLast = inBlocks(reshape(x, [1, inputs, 1, outputs * taps]));
  return inBlocks(reshape(inputsLast, [(inputs / block) * (outputs / block), block, 1, taps * block]));
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
