import type { Node, Value } from "../graph/graph.ts";
import { conv, readConvolution } from "../ops/convolution.ts";
import { pad, reshape, reverse, transpose } from "../ops/movement.ts";
import { apply, int, ints } from "../ops/operator.ts";

/**
 * Gradient of a convolution for its input. With strides 1 it is a convolution of dy with the kernel turned around and
 * input and output channels exchanged, padded by d·(k − 1) − pad; otherwise ONNX's ConvTranspose.
 */
export function lowerConvInputGradient([dy, weight]: readonly Value[], node: Node): readonly Value[] {
  const size = node.outputs[0].shape.slice(2);
  const { strides, pads, dilations, group } = readConvolution(node.attributes, size.length);
  const kernel = weight.shape.slice(2);
  const reach = kernel.map((taps, axis) => dilations[axis] * (taps - 1));
  if (strides.some((stride) => stride !== 1)) {
    const outputPadding = size.map((length, axis) => {
      const padded = length + pads[axis] + pads[axis + size.length];
      return padded - reach[axis] - 1 - strides[axis] * (dy.shape[axis + 2] - 1);
    });
    return apply("ConvTranspose", [dy, weight], {
      kernel_shape: ints(kernel),
      strides: ints(strides),
      pads: ints(pads),
      dilations: ints(dilations),
      group: int(group),
      output_padding: ints(outputPadding),
    });
  }
  const before = reach.map((length, axis) => length - pads[axis]);
  const after = size.map((length, axis) => length - dy.shape[axis + 2] - before[axis] + reach[axis]);
  // Where the forward convolution padded by more than the kernel reaches, the outermost of dy saw only padding.
  const cut = (amounts: readonly number[]) => [0, 0, ...amounts.map((amount) => Math.min(0, amount))];
  const grow = (amounts: readonly number[]) => amounts.map((amount) => Math.max(0, amount));
  return [
    conv(pad(dy, cut(before), cut(after)), turned(weight, group), undefined, {
      pads: [...grow(before), ...grow(after)],
      dilations,
      group,
    }),
  ];
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
