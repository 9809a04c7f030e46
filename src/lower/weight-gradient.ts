import { elementCount, type Node, type Shape, type Value } from "../graph/graph.ts";
import { type Convolution, readConvolution } from "../ops/convolution.ts";
import { matMul, transposeLast } from "../ops/linear.ts";
import { concat, reshape, transpose, zeros } from "../ops/movement.ts";
import { pad } from "../ops/padding.ts";
import { reduceSum } from "../ops/reduction.ts";
import { slice } from "../ops/slicing.ts";
import {
  blockedConv,
  exchanged,
  fillsBlocks,
  filtersOfExchanged,
  inBlocks,
  kernelOf,
  outOfBlocks,
  wholeBlocks,
} from "./blocked.ts";
import { convInnermost } from "./innermost.ts";
import { scaled, withoutFactor } from "./scaled-gradient.ts";
import { doesLack, type Target } from "./target.ts";

// Gradient of a convolution for its weight: for output channel o, input channel c and tap t of the kernel
//
//   dw[o, c, t] = Σ over images n and places p of  dy[n, o, p] · x[n, c, stride·p + dilation·t − pad].
//
// The sum is long (a batch of images times their places) and the result small, the opposite of what a convolution
// kernel is built for. Two forms, of which `chooseWeightGradient` takes one by the shape.

/** What every form is built from; c and o count channels within a group. */
interface Problem extends Convolution {
  x: Value;
  dy: Value;
  images: number;
  c: number;
  o: number;
  /** Spatial sizes of x, dy and the kernel. */
  size: Shape;
  places: Shape;
  kernel: Shape;
}

/**
 * A convolution whose channels are the images, whose kernel is dy and whose output places are the taps; strides and
 * dilations change places. The channels of x are innermost, so that what neighboring taps of a row see in all
 * channels is one run of k·c numbers (with the axes as they are it would be k).
 *
 *   input  [1, group·N, …size, c]
 *   kernel [group·o, N, …places]
 *   output [1, group·o, …kernel, c]
 */
function asConvolution(problem: Problem): Value {
  const { x, dy, images, c, o, size, kernel, strides, dilations, pads, group } = problem;
  const axes = size.map((_, axis) => axis);
  // Channels last, then groups first: ONNX Runtime has a fast path for either, but takes ten times as long for both
  // in one, which is also what it makes of a second transposition that only moves an axis of size 1.
  const order = [0, ...axes.map((axis) => axis + 2), 1];
  const rows = transpose(reshape(x, [images * group, c, ...size]), order);
  const apart = reshape(rows, [images, group, ...size, c]);
  const input =
    group === 1 ? rows : transpose(apart, [1, 0, ...apart.shape.slice(2).map((_, axis) => axis + 2)]);
  const after = paddingAfter(problem).map((length) => Math.max(0, length));
  const correlated = convInnermost(
    reshape(input, [1, group * images, ...size, c]),
    kernelOf(transpose(dy, [1, 0, ...axes.map((axis) => axis + 2)])),
    undefined,
    { strides: dilations, dilations: strides, pads: [...pads.slice(0, axes.length), ...after], group },
  );
  // Where the taps do not see the end of x there are more shifts than taps.
  const taps = slice(correlated, {
    axes: axes.map((axis) => axis + 2),
    starts: axes.map(() => 0),
    ends: kernel,
  });
  const last = kernel.length + 1;
  return transpose(reshape(taps, [group * o, ...kernel, c]), [0, last, ...axes.map((axis) => axis + 1)]);
}

/**
 * The padding at the end of x that the taps see: less than `pads` where a stride does not divide evenly, and below 0
 * where they do not see all of x.
 */
function paddingAfter({ size, places, kernel, strides, dilations, pads }: Problem): number[] {
  return size.map((length, axis) => {
    const seen = (places[axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1;
    return seen - length - pads[axis];
  });
}

/**
 * The same convolution in blocks of channels: b images are a block, and b channels of x are innermost, the order that x
 * is in for the forward convolution as well.
 *
 *   input  [C/b, N, H, W·b]
 *   kernel [O, N, …places]
 *   output [C/b, O, kh, kw·b]
 *
 * Places that see padding are computed one by one along the last axis, so that is padded before; and by what the taps
 * see, which is less than `pads` where a stride does not divide evenly.
 */
function asBlockedConvolution(problem: Problem, block: number): Value {
  const { x, dy, images, size, kernel, strides, dilations, pads } = problem;
  const [height, width] = size;
  const [c, o] = [wholeBlocks(problem.c, block), wholeBlocks(problem.o, block)];
  const after = paddingAfter(problem);
  const blocks = reshape(inBlocks(x, c), [images, c / block, height * width * block]);
  const rows = reshape(exchanged(blocks), [c / block, images, height, width * block]);
  const seen = pad(rows, [0, 0, 0, 0], [0, 0, Math.min(0, after[0]), Math.min(0, after[1]) * block]);
  const correlated = blockedConv(
    withZeros(seen, pads[1] * block, Math.max(0, after[1]) * block),
    filtersOfExchanged(dy, block),
    undefined,
    {
      strides: dilations,
      dilations: [strides[0], strides[1] * block],
      pads: [pads[0], 0, Math.max(0, after[0]), 0],
      group: 1,
    },
  );
  const taps = exchanged(reshape(correlated, [c / block, o, elementCount(kernel) * block]));
  const dw = outOfBlocks(reshape(taps, [o, c, ...kernel]), problem.c);
  return o === problem.o ? dw : slice(dw, { axes: [0], starts: [0], ends: [problem.o] });
}

/** With zeros before and after the last axis, by Concat: ONNX Runtime pads on one thread. */
function withZeros(x: Value, before: number, after: number): Value {
  const [start, end] = [before, after].map((length) =>
    length === 0 ? [] : [zeros(x.graph, x.shape.with(-1, length), x.type)],
  );
  return concat([...start, x, ...end], x.shape.length - 1);
}

/**
 * A matrix product of what each tap sees of x, one under the other, [taps·c, places], with dyᵀ [places, o]: one
 * product per image and a sum over the images, or, where those would be more numbers than x and dy together, one
 * product over all images.
 */
function asColumns(problem: Problem): Value {
  const { x, dy, images, c, o, size, places, kernel, group } = problem;
  const count = elementCount(places);
  const padded = pad(
    x,
    [0, 0, ...problem.pads.slice(0, size.length)],
    [0, 0, ...problem.pads.slice(size.length)],
  );
  const seen = tapsOf(kernel).map((tap) =>
    reshape(seenBy(padded, tap, problem), [images * group, c, ...places]),
  );
  const rows = seen.length * c;
  const columns = reshape(concat(seen, 1), [images * group, rows, count]);
  const outputs = reshape(dy, [images * group, o, count]);
  const perImage = images * group * rows * o <= elementCount(columns.shape) + elementCount(dy.shape);
  const products = perImage
    ? reduceSum(reshape(matMul(columns, transposeLast(outputs)), [images, group * rows * o]), [0])
    : matMul(allImages(columns, group), transposeLast(allImages(outputs, group)));
  const ordered = transpose(reshape(products, [group, seen.length, c, o]), [0, 3, 2, 1]);
  return reshape(ordered, [group * o, c, ...kernel]);
}

/** The forms by name that need no target; all compute the same sums in a different order. */
export const weightGradientForms = { convolution: asConvolution, columns: asColumns };
export type WeightGradientForm = keyof typeof weightGradientForms;

/**
 * The form that is fast for a shape. Milliseconds with 3×3 kernels, batch 128, one thread of an AVX-512 EPYC, against
 * the convolution in x's own axes ("swapped"):
 *
 *   channels, places       convolution   columns   swapped
 *   16 → 16, 32×32                 9.7      14.6      30.9
 *   32 → 32, 16×16                 6.6      10.3      18.8
 *   64 → 64, 8×8                   5.3      10.3      12.4
 *   256 → 256, 8×8                  63         –       127
 *   3 → 64, 32×32                  9.5       6.5      23.1      runs of 9 numbers
 *   1 → 16, 28×28                  2.3       1.3       2.2      runs of 3
 *   4 → 8, 28×28                   2.3       3.2       5.4      runs of 12
 *   64 → 128, 16×16, 1×1           7.2       4.8      28.1
 */
function chooseWeightGradient(kernel: Shape, channelsInGroup: number): WeightGradientForm {
  const run = kernel[kernel.length - 1] * channelsInGroup;
  return elementCount(kernel) === 1 || run < shortestRun ? "columns" : "convolution";
}

/** The fewest neighboring numbers that are worth copying as one run. */
const shortestRun = 12;

/**
 * The block of the blocked form where it can be taken: with a dilation along the last axis it would have strides that
 * part the channels. Milliseconds with 3×3 kernels on one thread of an AVX-512 EPYC, the fastest of 10 runs that took
 * turns on a busy machine:
 *
 *                                  convolution   in blocks
 *   16 → 16, 32×32, batch 128            10.7         8.8
 *   32 → 32, 16×16, batch 128             7.2         5.3
 *   32 → 32, 14×14, batch 128             6.0         4.0
 *   64 → 64, 8×8, batch 128               6.2         4.0
 *   64 → 64, 7×7, batch 128               3.6         2.6
 *   16 → 32, 28×28 to 14×14, 128          6.2         5.0
 *   32 → 64, 14×14 to 7×7, 128            4.3         3.4
 *   16 → 16, 12×12, batch 16             0.23        0.16
 *   64 → 64, 32×32, batch 32             26.3        19.0
 *   128 → 128, 16×16, batch 32           21.0        16.5
 *   256 → 256, 8×8, batch 32             20.2        13.2
 *   512 → 512, 4×4, batch 32             21.4        15.8
 *   512 → 512, 4×4, batch 128            80.7        48.6
 *
 * With a single tap there are few places in a row; the product of columns takes half the time.
 */
function blockThatPays(
  { x, images, c, o, kernel, dilations, group }: Problem,
  { blockedChannels }: Target,
): number | undefined {
  if (blockedChannels === undefined || x.type !== "float32" || kernel.length !== 2) return undefined;
  const fills = images % blockedChannels === 0 && fillsBlocks(c, o, blockedChannels);
  const fits = fills && group === 1 && dilations[1] === 1;
  return fits && elementCount(kernel) > 1 ? blockedChannels : undefined;
}

/** The gradient of `conv(x, w)` for a kernel of the given spatial sizes, in a chosen form. */
export function weightGradient(
  form: WeightGradientForm,
  x: Value,
  dy: Value,
  kernel: Shape,
  settings: Convolution,
): Value {
  return weightGradientForms[form](problemOf(x, dy, kernel, settings));
}

/** Lowers ConvWeightGradient. */
export function lowerConvWeightGradient(
  [x, gradient]: readonly Value[],
  node: Node,
  target: Target,
): readonly Value[] {
  const { dy, factor } = withoutFactor(gradient, node.outputs[0].shape);
  const [, c, ...kernel] = node.outputs[0].shape;
  const settings = readConvolution(node.attributes, kernel.length);
  const problem = problemOf(x, dy, kernel, settings);
  const block = blockThatPays(problem, target);
  if (block !== undefined) return [scaled(asBlockedConvolution(problem, block), factor)];
  // As a convolution it has as many channels as there are images.
  const form = doesLack(target, "channel-triples") ? "columns" : chooseWeightGradient(kernel, c);
  return [scaled(weightGradientForms[form](problem), factor)];
}

function problemOf(x: Value, dy: Value, kernel: Shape, settings: Convolution): Problem {
  const { group } = settings;
  const [images, c, o] = [x.shape[0], x.shape[1] / group, dy.shape[1] / group];
  const [size, places] = [x.shape.slice(2), dy.shape.slice(2)];
  return { ...settings, x, dy, images, c, o, size, places, kernel };
}

/** What one tap of a window sees of the padded x at every place of the output. */
export function seenBy(
  padded: Value,
  tap: readonly number[],
  { places, strides, dilations }: Pick<Problem, "places" | "strides" | "dilations">,
): Value {
  const starts = tap.map((at, axis) => at * dilations[axis]);
  return slice(padded, {
    axes: tap.map((_, axis) => axis + 2),
    starts,
    ends: places.map((length, axis) => starts[axis] + (length - 1) * strides[axis] + 1),
    steps: strides,
  });
}

/** [N·group, rows, places] to [group, rows, N·places]. */
function allImages(x: Value, group: number): Value {
  const [, rows, count] = x.shape;
  const images = x.shape[0] / group;
  const ordered = transpose(reshape(x, [images, group, rows, count]), [1, 2, 0, 3]);
  return reshape(ordered, [group, rows, images * count]);
}

/** Every position in a kernel, in row-major order. */
export function tapsOf(kernel: Shape): number[][] {
  return kernel.reduce<number[][]>(
    (all, length) => all.flatMap((tap) => Array.from({ length }, (_, at) => [...tap, at])),
    [[]],
  );
}
