import { elementCount, type Node, type Shape, type Value } from "../graph/graph.ts";
import { type Convolution, conv, convolutionOf, outputSize } from "../ops/convolution.ts";
import { reshape, transpose } from "../ops/movement.ts";
import { pad } from "../ops/padding.ts";
import { blockedConv, fittingBlock, type Kernel, kernelOf } from "./blocked.ts";
import { convInnermost } from "./innermost.ts";
import { doesLack, type Target } from "./target.ts";

/** A convolution in the form that is fast for its shape. */
export function lowerConv([x, weight, bias]: readonly Value[], node: Node, target: Target): readonly Value[] {
  return [convolve(x, kernelOf(weight), bias, convolutionOf(x, weight, node.attributes), target)];
}

/** A convolution in the form that is fast for its shape, with a kernel in any order. */
export function convolve(
  x: Value,
  kernel: Kernel,
  bias: Value | undefined,
  settings: Convolution,
  target: Target,
): Value {
  if (doesLack(target, "channel-triples")) return convInFours(x, kernel.plain(), bias, settings);
  const places = outputSize(x.shape.slice(2), kernel.shape.slice(2), settings);
  const block = blockThatPays(x, kernel, places, settings, target);
  const atOnce = paysAtOnce(x, kernel, places, settings, target);
  if (block !== undefined && !(atOnce && kernel.shape[0] > 4 * elementCount(places)))
    return blockedConv(x, kernel.filters(block), bias, settings, kernel.shape[0]);
  return atOnce
    ? convAtOnce(x, kernel, bias, settings, { blockedChannels: block })
    : conv(x, kernel.plain(), bias, settings);
}

/**
 * The same on a device whose Conv is wrong for some numbers of channels: with channels of zeros up to a multiple of 4.
 *
 * ONNX Runtime 1.30's on WebGPU was wrong, by as much as the result, for 3×3 and 5×5 kernels with 6, 9, 15, 18, 21 and 30
 * channels and a multiple of 4 filters; right for 1, 2, 3, 5, 8, 10, 12, 14 and 16 channels, 1×1 kernels, and 6 or 10 filters.
 */
function convInFours(x: Value, weight: Value, bias: Value | undefined, settings: Convolution): Value {
  const [filters, channels, ...kernel] = weight.shape;
  const isPointwise = elementCount(kernel) === 1 && settings.strides.every((stride) => stride === 1);
  const isTriple = channels > 3 && channels % 3 === 0 && channels % 4 !== 0;
  if (settings.group !== 1 || isPointwise || !isTriple || filters % 4 !== 0)
    return conv(x, weight, bias, settings);
  const none = weight.shape.map(() => 0);
  const added = none.with(1, 4 - (channels % 4));
  return conv(pad(x, none, added), pad(weight, none, added), bias, settings);
}

/** Fewer places of all images together than this are not worth putting the weights in order. */
const fewestPlaces = 1024;

/**
 * The block to convolve in where it pays, once every change of order on the way is counted. Milliseconds with 3×3
 * kernels on one thread of an AVX-512 EPYC, the fastest of 8 runs that took turns on a busy machine:
 *
 *                                   plain   in blocks   at once in blocks
 *   16 → 16, 32×32, batch 128        12.1         8.2                10.8
 *   32 → 32, 16×16, batch 128         8.5         5.4                 6.6
 *   32 → 32, 14×14, batch 128         7.7         3.9                 4.7
 *   64 → 64, 8×8, batch 128           6.9         4.0                 4.8
 *   64 → 64, 7×7, batch 128           4.4         3.2                 3.5      plain: at once
 *   16 → 32, 28×28 to 14×14, 128      5.6         3.3
 *   32 → 64, 14×14 to 7×7, 128        3.2         2.2                          plain: at once
 *   64 → 64, 32×32, batch 32         21.0        14.6                19.0
 *   128 → 128, 16×16, batch 32       18.3        14.6                16.5
 *   256 → 256, 8×8, batch 32         16.2        14.6                14.6      plain: at once
 *   512 → 512, 7×7, batch 32         49.3        50.2                43.7      plain: at once
 *   512 → 512, 4×4, batch 128        63.7        66.1                49.0      plain: at once
 *   256 → 256, 14×14, batch 4         6.3         6.1                 6.2
 *   512 → 512, 14×14, one image       8.9        10.5                10.8
 *   16 → 32, 1×1, 32×32 to 16×16      1.0         1.3
 *
 * With 1 or 3 channels on the way in there is a kernel as well, as fast as the plain one.
 */
export function blockThatPays(
  x: Value,
  kernel: Pick<Kernel, "shape">,
  places: Shape,
  settings: Convolution,
  target: Target,
): number | undefined {
  const pays = elementCount(kernel.shape.slice(2)) > 1 && x.shape[0] * elementCount(places) >= fewestPlaces;
  return pays ? fittingBlock(x, kernel.shape, settings, target) : undefined;
}

/**
 * Whether to convolve all images at once. ONNX Runtime takes one image after the other and divides its places among
 * the threads; where there are more filters than places it does not, and one thread copies what the kernel sees for
 * all of them. Milliseconds with 3×3 kernels on 2 threads of an AVX-512 EPYC:
 *
 *                                  one by one   at once
 *   64 → 64, 7×7, batch 128               9.6       2.2
 *   32 → 64, 14×14 to 7×7, batch 128      5.1       1.7
 *   256 → 256, 14×14, batch 32           40.5      22.6
 *   512 → 512, 7×7, batch 32             39.3      21.7
 *   64 → 64, 8×8, batch 128               2.9       3.0      as many places as filters
 *   128 → 128, 14×14, batch 32            6.7       6.7
 *   32 → 32, 16×16, batch 128             4.0       4.5
 *
 * A 1×1 kernel copies nothing and is left alone.
 *
 * In WebAssembly longer runs pay earlier, the changes of order included; milliseconds on one thread, batch 128:
 *
 *   64 → 64, 7×7                         28.7      21.5
 *   32 → 32, 14×14                       25.4      22.9
 *   16 → 32, 28×28 to 14×14              14.7      14.4
 *   16 → 16, 28×28                       27.8      29.0
 */
function paysAtOnce(
  x: Value,
  { shape }: Kernel,
  places: Shape,
  { strides, group }: Convolution,
  { webAssembly }: Target,
): boolean {
  const axes = strides.length;
  // At most three spatial axes, of which the images may take one.
  const fits = axes < 3 || strides[axes - 1] === 1;
  const copies = elementCount(shape.slice(2)) > 1;
  return (
    fits && copies && x.shape[0] > 1 && (webAssembly ? 8 : 1) * (shape[0] / group) > elementCount(places)
  );
}

/** The same convolution with the images innermost: [1, C, …size, N] to [1, O, …places, N]. */
export function convAtOnce(
  x: Value,
  kernel: Kernel,
  bias: Value | undefined,
  settings: Convolution,
  target: Target = {},
): Value {
  const [images, ...one] = x.shape;
  const innermost = transpose(reshape(x, [images, elementCount(one)]), [1, 0]);
  const y = convInnermost(reshape(innermost, [1, ...one, images]), kernel, bias, settings, target);
  const result = y.shape.slice(1, -1);
  return reshape(transpose(reshape(y, [elementCount(result), images]), [1, 0]), [images, ...result]);
}
