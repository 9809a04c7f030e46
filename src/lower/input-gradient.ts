import { elementCount, type Node, type Shape, type Value } from "../graph/graph.ts";
import { type Convolution, readConvolution } from "../ops/convolution.ts";
import { concat, reshape, transpose, zeros } from "../ops/movement.ts";
import { apply, int, ints } from "../ops/operator.ts";
import "../ops/transposed-convolution.ts";
import { pad } from "../ops/padding.ts";
import { reverse, slice } from "../ops/slicing.ts";
import {
  blockedConv,
  filtersOfTaps,
  filtersOfTurned,
  inBlocks,
  type Kernel,
  outOfBlocks,
  wholeBlocks,
} from "./blocked.ts";
import { blockThatPays, convolve } from "./convolution.ts";
import { scaled, withoutFactor } from "./scaled-gradient.ts";
import type { Target } from "./target.ts";

/**
 * Gradient of a convolution for its input: ONNX's ConvTranspose; with strides 1, a convolution of dy with the kernel turned
 * around and input and output channels exchanged, padded by d·(k − 1) − pad; in blocks of channels and with strides, such a
 * convolution for each phase of the places.
 */
export function lowerConvInputGradient(
  [gradient, given]: readonly Value[],
  node: Node,
  target: Target,
): readonly Value[] {
  const { dy, factor } = withoutFactor(gradient, given.shape);
  const weight = scaled(given, factor);
  const size = node.outputs[0].shape.slice(2);
  const settings = readConvolution(node.attributes, size.length);
  const form = chooseInputGradient(dy, weight, size, settings, target);
  return [inputGradientForms[form](dy, weight, size, settings, target)];
}

/** The forms by name; all compute the same sums in a different order. The convolution needs strides 1, phases need blocks. */
export const inputGradientForms = {
  transposed: transposedConvolution,
  convolution: turnedConvolution,
  phases: phasedConvolution,
};

/**
 * With strides and without blocks there is only ConvTranspose: filling dy up with zeros for a convolution took 19 to 152 ms
 * where it took 5 to 43, and one convolution per phase, their results interleaved, 7 to 67. In blocks phases are put between
 * one another by Concat, which runs on all threads, in runs of whole blocks. Milliseconds with 3×3 kernels on 1 and 2 threads
 * of an AVX2 EPYC with other work, batch 128:
 *
 *                                  phases     ConvTranspose
 *   16 ← 32, 28×28 ← 14×14        5.1  5.7        5.3   6.6
 *   64 ← 128, 32×32 ← 16×16      72   36         68    46
 *   256 ← 512, 7×7 ← 4×4         58   34         91    53
 *
 * With strides 1, ConvTranspose multiplies first and then adds up taps·C numbers per place of dy, on one thread; the
 * convolution copies taps·O numbers per place of x, on all of them. Milliseconds on 1 and 2 threads of an AVX-512 EPYC,
 * batch 128:
 *
 *                                convolution   ConvTranspose
 *   16 ← 16, 32×32, 3×3             8.7  5.4      11.2  16.9
 *   16 ← 64, 32×32, 3×3            32.2 19.9      23.2  25.9
 *   6 ← 16, 14×14 ← 10×10, 5×5      4.1  2.6       0.8   1.2
 *   3 ← 64, 32×32, 3×3             21.7 14.8       6.7   7.5
 */
function chooseInputGradient(
  dy: Value,
  weight: Value,
  size: Shape,
  settings: Convolution,
  target: Target,
): keyof typeof inputGradientForms {
  const { strides, group } = settings;
  const [outputs, inputs, ...kernel] = weight.shape;
  if (strides.some((stride) => stride !== 1)) {
    const turned = { shape: [group * inputs, outputs / group, ...kernel] };
    const isInBlocks = blockThatPays(dy, turned, size, settings, target) !== undefined;
    return isInBlocks && phasesOf(dy, weight, size, settings) ? "phases" : "transposed";
  }
  const copied = (outputs / group) * elementCount(size);
  const added = inputs * elementCount(dy.shape.slice(2));
  return elementCount(kernel) > 1 && 4 * added < copied ? "transposed" : "convolution";
}

/** Every stride-th place of an axis, of which the gradient is a convolution of dy with strides 1. */
interface Phase {
  /** The taps of the kernel that see these places, the last one first. */
  taps: readonly number[];
  /** Padding of dy. */
  before: number;
  after: number;
}

/**
 * The phases of each axis: for place s·q + r, the sum over taps t = s·j + (r + pad) mod s of
 *
 *   dy[q + (r + pad − t) / s] · w[t].
 *
 * Nothing where dilations part the taps, or where a phase does not see the ends of dy.
 */
function phasesOf(dy: Value, weight: Value, size: Shape, settings: Convolution): Phase[][] | undefined {
  const { strides, pads, dilations } = settings;
  if (dilations.some((dilation) => dilation !== 1)) return undefined;
  const axes = size.map((length, axis) => {
    const [stride, places, taps] = [strides[axis], dy.shape[axis + 2], weight.shape[axis + 2]];
    return Array.from({ length: stride }, (_, phase): Phase => {
      const first = (phase + pads[axis]) % stride;
      const count = Math.ceil(Math.max(0, taps - first) / stride);
      const reach = (phase + pads[axis] - first) / stride;
      return {
        taps: Array.from({ length: count }, (_, index) => first + stride * (count - 1 - index)),
        before: count - 1 - reach,
        after: Math.ceil(length / stride) + reach - places,
      };
    });
  });
  const fits = axes
    .flat()
    .every(({ taps, before, after }) => taps.length === 0 || Math.min(before, after) >= 0);
  return fits ? axes : undefined;
}

/** Each phase as a convolution in blocks, and their results between one another: first those of a row, then the rows. */
function phasedConvolution(
  dy: Value,
  weight: Value,
  size: Shape,
  settings: Convolution,
  { blockedChannels: block }: Target,
): Value {
  const axes = phasesOf(dy, weight, size, settings);
  if (!axes || block === undefined) throw new Error("there are no phases to convolve in blocks");
  const [rows, columns] = axes;
  const [images, inputs, width] = [dy.shape[0], weight.shape[1], weight.shape[3]];
  const channels = wholeBlocks(inputs, block);
  const [height, breadth] = size.map((length, axis) => Math.ceil(length / settings.strides[axis]));
  const places = (images * channels * height * breadth) / block;
  const lines = rows.map((row) => {
    const phases = columns.map((column) => {
      const taps = row.taps.flatMap((y) => column.taps.map((x) => y * width + x));
      // A phase that no tap sees, of a kernel smaller than the stride.
      if (taps.length === 0) return zeros(dy.graph, [places, block], "float32");
      const filters = filtersOfTaps(weight, block, taps, [row.taps.length, column.taps.length]);
      const pads = [row.before, column.before, row.after, column.after];
      const phase = blockedConv(dy, filters, undefined, {
        strides: [1, 1],
        dilations: [1, 1],
        pads,
        group: 1,
      });
      return reshape(inBlocks(phase), [places, block]);
    });
    return reshape(concat(phases, 1), [places / breadth, breadth * columns.length * block]);
  });
  const whole = [images, channels, height * rows.length, breadth * columns.length];
  const dx = outOfBlocks(reshape(concat(lines, 1), whole), inputs);
  return slice(dx, { axes: [2, 3], starts: [0, 0], ends: size });
}

function transposedConvolution(dy: Value, weight: Value, size: Shape, settings: Convolution): Value {
  const { strides, pads, dilations, group } = settings;
  const kernel = weight.shape.slice(2);
  const outputPadding = size.map((length, axis) => {
    const padded = length + pads[axis] + pads[axis + size.length];
    return padded - dilations[axis] * (kernel[axis] - 1) - 1 - strides[axis] * (dy.shape[axis + 2] - 1);
  });
  return apply("ConvTranspose", [dy, weight], {
    kernel_shape: ints(kernel),
    strides: ints(strides),
    pads: ints(pads),
    dilations: ints(dilations),
    group: int(group),
    output_padding: ints(outputPadding),
  })[0];
}

function turnedConvolution(
  dy: Value,
  weight: Value,
  size: Shape,
  settings: Convolution,
  target: Target,
): Value {
  const { strides, pads, dilations, group } = settings;
  const reach = weight.shape.slice(2).map((taps, axis) => dilations[axis] * (taps - 1));
  const before = reach.map((length, axis) => length - pads[axis]);
  const after = size.map((length, axis) => length - dy.shape[axis + 2] - before[axis] + reach[axis]);
  // Where the forward convolution padded by more than the kernel reaches, the outermost of dy saw only padding.
  const cut = (amounts: readonly number[]) => [0, 0, ...amounts.map((amount) => Math.min(0, amount))];
  const grow = (amounts: readonly number[]) => amounts.map((amount) => Math.max(0, amount));
  const padded = { strides, dilations, pads: [...grow(before), ...grow(after)], group };
  return convolve(pad(dy, cut(before), cut(after)), turnedKernel(weight, group), undefined, padded, target);
}

/** The kernel turned around in space, with its channels exchanged within each group. */
function turnedKernel(weight: Value, group: number): Kernel {
  const [outputs, inputs, ...kernel] = weight.shape;
  return {
    shape: [group * inputs, outputs / group, ...kernel],
    plain: () => turned(weight, group),
    filters: (block) => filtersOfTurned(weight, block),
  };
}

/** The kernel [O, I/g, …] turned around in space, with its channels exchanged within each group: [I, O/g, …]. */
function turned(weight: Value, group: number): Value {
  const [outputs, inputs, ...kernel] = weight.shape;
  const grouped = reshape(weight, [group, outputs / group, inputs, ...kernel]);
  const exchanged = transpose(grouped, [0, 2, 1, ...kernel.map((_, axis) => axis + 3)]);
  const turnedAxes = kernel.flatMap((taps, axis) => (taps > 1 ? [axis + 2] : []));
  const flat = reshape(exchanged, [group * inputs, outputs / group, ...kernel]);
  return turnedAxes.length > 0 ? reverse(flat, turnedAxes) : flat;
}
