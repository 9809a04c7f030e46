import { elementCount, type Node, type Shape, type Value } from "../graph/graph.ts";
import { type Convolution, conv, readConvolution } from "../ops/convolution.ts";
import { matMul, transposeLast } from "../ops/linear.ts";
import { concat, pad, reshape, slice, transpose } from "../ops/movement.ts";
import { reduceSum } from "../ops/reduction.ts";

// Gradient of a convolution for its weight: for output channel o, input channel c and tap t of the kernel
//
//   dw[o, c, t] = Σ over images n and places p of  dy[n, o, p] · x[n, c, stride·p + dilation·t − pad].
//
// The sum is long (a batch of images times their places) and the result small, the opposite of what a convolution
// kernel is built for. Two forms, of which `chooseForm` takes one by the shape.

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
 * A convolution whose channels are the images, whose kernel is dy and whose output places are the taps. Written with
 * the axes of x as they are, it would have 9 output places for a 3×3 kernel and copy x in runs of 3. So the channels
 * of x go innermost and are made part of the last spatial axis: neighbouring taps along a row, with all channels, are
 * then one run of memory (k·c numbers), and the convolution has taps·c output places.
 *
 *   input  [1, group·N, …, W·c]     stride 1, dilation (…, stride·c), pads (…, pad·c)
 *   kernel [group·o, N, …places]
 *   output [1, group·o, …, k·c]
 *
 * Where the taps of the last axis stand apart (dilation), the channels keep an axis of their own.
 */
function asConvolution(problem: Problem): Value {
  const { x, dy, images, c, o, size, places, kernel, strides, dilations, pads, group } = problem;
  const last = size.length - 1;
  const merged = dilations[last] === 1;
  const spatial = size.map((_, axis) => axis);
  // Channels last in two steps, each of which ONNX Runtime has a fast path for.
  const channelsLast = transpose(reshape(x, [images * group, c, ...size]), [
    0,
    ...spatial.map((axis) => axis + 2),
    1,
  ]);
  const rows = reshape(channelsLast, [images, group, ...size, c]);
  const ordered =
    group === 1 ? rows : transpose(rows, [1, 0, ...[...spatial, last + 1].map((axis) => axis + 2)]);
  const widen = (values: readonly number[], added: number) =>
    merged ? values.with(last, values[last] * c) : [...values, added];
  const input = reshape(ordered, [1, group * images, ...widen(size, c)]);
  const weight = transpose(dy, [1, 0, ...spatial.map((axis) => axis + 2)]);
  const correlated = conv(
    input,
    reshape(weight, [o * group, images, ...places, ...(merged ? [] : [1])]),
    undefined,
    {
      strides: merged ? dilations.with(last, 1) : [...dilations, 1],
      dilations: widen(strides, 1),
      pads: [...widen(pads.slice(0, last + 1), 0), ...widen(pads.slice(last + 1), 0)],
      group,
    },
  );
  // Where a stride did not divide evenly there are more shifts than taps.
  const ends = widen(kernel, c);
  const axes = ends.map((_, axis) => axis + 2);
  const taps = slice(correlated, { axes, starts: ends.map(() => 0), ends });
  return transpose(reshape(taps, [group * o, ...kernel, c]), [
    0,
    last + 2,
    ...spatial.map((axis) => axis + 1),
  ]);
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

/** The forms by name; all compute the same sums in a different order. */
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
export function chooseForm(kernel: Shape, channelsInGroup: number): WeightGradientForm {
  const run = kernel[kernel.length - 1] * channelsInGroup;
  return elementCount(kernel) === 1 || run < shortestRun ? "columns" : "convolution";
}

/** The fewest neighbouring numbers that are worth copying as one run. */
const shortestRun = 12;

/** Lowers ConvWeightGradient. */
export function lowerConvWeightGradient([x, dy]: readonly Value[], node: Node): readonly Value[] {
  const [, c, ...kernel] = node.outputs[0].shape;
  return [buildWeightGradient(chooseForm(kernel, c), x, dy, node)];
}

/** One form of a ConvWeightGradient node. */
export function buildWeightGradient(form: WeightGradientForm, x: Value, dy: Value, node: Node): Value {
  const [outputs, c, ...kernel] = node.outputs[0].shape;
  const settings = readConvolution(node.attributes, kernel.length);
  return weightGradientForms[form]({
    ...settings,
    x,
    dy,
    images: x.shape[0],
    c,
    o: outputs / settings.group,
    size: x.shape.slice(2),
    places: dy.shape.slice(2),
    kernel,
  });
}

/** What one tap sees of the padded x at every place of the output. */
function seenBy(padded: Value, tap: readonly number[], { places, strides, dilations }: Problem): Value {
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
