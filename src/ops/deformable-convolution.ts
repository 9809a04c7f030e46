import { readOptions } from "../common/options.ts";
import { type Attributes, describe, elementCount, sameShape, type Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, addAll, mul } from "./arithmetic.ts";
import {
  type ConvolutionOptions,
  completeConvolution,
  convolutionAttributes,
  convolutionOptions,
  outputSize,
} from "./convolution.ts";
import { interpolationTerms, numbered } from "./interpolation.ts";
import { matMul } from "./linear.ts";
import { reshape, transpose } from "./movement.ts";
import {
  apply,
  composeOperator,
  int,
  intAttribute,
  intsAttribute,
  operatorError,
  requireAtMost,
} from "./operator.ts";
import { slice } from "./slicing.ts";

// Convolution whose taps each have an offset of their own at every place (Dai et al. 2017), and a factor (Zhu et al.
// 2019). The image is read where the taps point, as in `interpolation.ts`; what follows is a matrix product.

composeOperator("DeformConv", {
  since: 19,
  build: ([x, weight, offsets, bias, mask], attributes) => [
    deformable(x!, weight!, offsets!, bias, mask, attributes),
  ],
});

export interface DeformableOptions extends ConvolutionOptions {
  /** A factor for each tap at each place, [N, groups·kH·kW, oH, oW]. */
  mask?: Value;
  /** Into how many groups of channels the offsets differ. Default 1. */
  offsetGroups?: number;
}

/**
 * Convolution of x [N, C, H, W] with weight [O, C/group, kH, kW] whose taps are moved by offsets
 * [N, groups·kH·kW·2, oH, oW] (y, x), plus bias [O]: torchvision's `deform_conv2d`.
 */
export function deformConv(
  x: Value,
  weight: Value,
  offsets: Value,
  bias?: Value,
  options: DeformableOptions = {},
): Value {
  readOptions("deformConv", options, { ...convolutionOptions, mask: "object", offsetGroups: "number" });
  const { mask, offsetGroups = 1, ...convolution } = options;
  return apply("DeformConv", [x, weight, offsets, bias, mask], {
    ...convolutionAttributes(completeConvolution(convolution, x.shape.length - 2)),
    offset_group: int(offsetGroups),
  })[0];
}

/** x [N, C, H, W], weight [O, C/group, kH, kW], offsets [N, groups·kH·kW·2, oH, oW] (y, x), mask [N, groups·kH·kW, oH, oW]. */
function deformable(
  x: Value,
  weight: Value,
  offsets: Value,
  bias: Value | undefined,
  mask: Value | undefined,
  attributes: Attributes,
): Value {
  const [count, channels, ...size] = x.shape;
  const [outputs, inputs, ...kernel] = weight.shape;
  const defaults = completeConvolution({}, size.length);
  const settings = {
    strides: intsAttribute(attributes, "strides", defaults.strides),
    pads: intsAttribute(attributes, "pads", defaults.pads),
    dilations: intsAttribute(attributes, "dilations", defaults.dilations),
  };
  const group = intAttribute(attributes, "group", 1);
  const parts = intAttribute(attributes, "offset_group", 1);
  const out = outputSize(size, kernel, settings);
  const [taps, points] = [elementCount(kernel), elementCount(out)];
  const wanted = [count, parts * taps * size.length, ...out];
  if (size.length !== 2 || !sameShape(offsets.shape, wanted) || inputs * group !== channels) {
    throw operatorError(
      "DeformConv",
      x,
      `the offsets ${describe(offsets)} and the weight ${describe(weight)} in ${group} groups do not go with ${describe(x)}; offsets [${wanted.join(", ")}] are wanted`,
    );
  }
  const images = count * parts;
  requireAtMost("DeformConv", x, taps * points + images, "places");
  const split = reshape(offsets, [images, taps, size.length, points]);
  const places = size.map((_, axis) => {
    const offset = slice(split, { axes: [2], starts: [axis], ends: [axis + 1] });
    const regular = regularPlaces(axis, kernel, out, settings);
    const fixed = x.graph.constant(tensorData(regular, [1, taps * points], x.type));
    return add(reshape(offset, [images, taps * points]), fixed);
  });
  const grouped = reshape(x, [images, channels / parts, ...size]);
  const read = addAll(
    interpolationTerms(grouped, numbered(x, images), places, { mode: "linear", padding: "zeros" }),
  );
  const weighed = mask ? mul(read, reshape(mask, [images * taps * points, 1])) : read;
  // [N, parts, taps, points, C/parts] → [N, group, C/group·taps, points]
  const columns = transpose(
    reshape(weighed, [count, parts, taps, points, channels / parts]),
    [0, 1, 4, 2, 3],
  );
  const product = matMul(
    reshape(weight, [group, outputs / group, inputs * taps]),
    reshape(columns, [count, group, inputs * taps, points]),
  );
  const y = reshape(product, [count, outputs, ...out]);
  return bias ? add(y, reshape(bias, [1, outputs, 1, 1])) : y;
}

/** Where along an axis each tap of each place of the output looks without an offset. */
function regularPlaces(
  axis: number,
  kernel: readonly number[],
  out: readonly number[],
  {
    strides,
    pads,
    dilations,
  }: { strides: readonly number[]; pads: readonly number[]; dilations: readonly number[] },
): number[] {
  const at = (index: number, sizes: readonly number[]) =>
    axis === 0 ? Math.floor(index / sizes[1]) : index % sizes[1];
  return Array.from({ length: elementCount(kernel) }, (_, tap) =>
    Array.from(
      { length: elementCount(out) },
      (_, place) => at(place, out) * strides[axis] - pads[axis] + at(tap, kernel) * dilations[axis],
    ),
  ).flat();
}
