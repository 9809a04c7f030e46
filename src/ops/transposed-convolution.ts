import { readOptions } from "../common/options.ts";
import { int64Vector } from "../graph/constants.ts";
import {
  type Attributes,
  describe,
  elementCount,
  sameShape,
  type TensorType,
  type Value,
} from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import {
  allButChannels,
  type Convolution,
  type ConvolutionOptions,
  completeConvolution,
  conv,
  convolutionAttributes,
  convolutionOptions,
  convWeightGradient,
  outputSize,
  readConvolution,
  requireWindow,
} from "./convolution.ts";
import { expand, reshape } from "./movement.ts";
import {
  apply,
  composeOperator,
  defineOperator,
  ints,
  intsAttribute,
  operatorError,
  requireAtMost,
  requireConstant,
  requireSameType,
  stringAttribute,
} from "./operator.ts";
import { pad } from "./padding.ts";
import { reduceSum } from "./reduction.ts";

// ONNX's ConvTranspose is the input gradient of a convolution, with weight [C, O/group, …kernel] and the padding of
// its output instead of the output's size:
//
//   size = stride·(n − 1) + dilation·(k − 1) + 1 + output padding − pads
//
// Its gradient is that convolution again, reading dy padded, or cut, to stride·(n − 1) + dilation·(k − 1) + 1 numbers.

defineOperator("ConvTranspose", {
  since: 11,
  infer: ([x, weight, bias], attributes): TensorType[] => {
    const [input, kernel] = [x!, weight!];
    requireSameType("convTranspose", bias ? [input, kernel, bias] : [input, kernel]);
    if (input.shape.length !== kernel.shape.length || input.shape.length < 3) {
      throw operatorError(
        "convTranspose",
        input,
        `input ${describe(input)} and weight ${describe(kernel)} need the same number of axes, 3 or more`,
      );
    }
    const { size, settings } = readTransposed(input, kernel, attributes);
    requireWindow("convTranspose", input, settings);
    if (input.shape[1] !== kernel.shape[0] || kernel.shape[0] % settings.group !== 0) {
      throw operatorError(
        "convTranspose",
        input,
        `input has ${input.shape[1]} channels, weight expects ${kernel.shape[0]} in ${settings.group} groups (shape [${kernel.shape.join(", ")}])`,
      );
    }
    const outputs = kernel.shape[1] * settings.group;
    if (bias && !sameShape(bias.shape, [outputs])) {
      throw operatorError(
        "convTranspose",
        input,
        `bias has shape [${bias.shape.join(", ")}], weight has ${outputs} output channels (shape [${kernel.shape.join(", ")}])`,
      );
    }
    if (size.some((length) => length < 1)) {
      throw operatorError(
        "convTranspose",
        input,
        `padding leaves nothing of the output of ${describe(input)}`,
      );
    }
    return [{ type: input.type, shape: [input.shape[0], outputs, ...size] }];
  },
  gradient: ({ inputs: [x, weight, bias], attributes, gradient, wanted }) => {
    const { source } = readTransposed(x, weight, attributes);
    const cut = source.pads.map((amount) => Math.min(0, amount));
    const axes = cut.length / 2;
    const seen = pad(gradient, [0, 0, ...cut.slice(0, axes)], [0, 0, ...cut.slice(axes)]);
    const plain = { ...source, pads: source.pads.map((amount) => Math.max(0, amount)) };
    return [
      wanted[0] ? conv(seen, weight, undefined, plain) : undefined,
      wanted[1] ? convWeightGradient(seen, x, weight.shape.slice(2), plain) : undefined,
      wanted[2] && bias ? reduceSum(gradient, allButChannels(gradient)) : undefined,
    ];
  },
});

export interface TransposedConvolutionOptions extends ConvolutionOptions {
  /** Added to the end of each spatial axis of the output. Default 0. */
  outputPadding?: readonly number[];
}

/**
 * Transposed convolution of x [N, C, …] with weight [C, O/group, …] plus bias [O]: PyTorch's `conv_transpose2d` and
 * the like, over any number of spatial axes.
 */
export function convTranspose(
  x: Value,
  weight: Value,
  bias?: Value,
  options: TransposedConvolutionOptions = {},
): Value {
  readOptions("convTranspose", options, { ...convolutionOptions, outputPadding: "list" });
  const { outputPadding, ...convolution } = options;
  const settings = completeConvolution(convolution, x.shape.length - 2);
  return apply("ConvTranspose", [x, weight, bias], {
    ...convolutionAttributes(settings),
    kernel_shape: ints(weight.shape.slice(2)),
    ...(outputPadding ? { output_padding: ints(outputPadding) } : {}),
  })[0];
}

// Blocks put back where they were cut out, and added up where they overlap: a transposed convolution of each channel's
// block places with the kernel that has a single one at each place.
composeOperator("Col2Im", {
  since: 18,
  build: ([x, imageShape, blockShape], attributes) => {
    const image = requireConstant("Col2Im", x!, imageShape, "image_shape");
    const block = requireConstant("Col2Im", x!, blockShape, "block_shape");
    return [columnsToImage(x!, image, block, attributes)];
  },
});

/** Blocks x [N, C·block, count] added up to images [N, C, …image]: PyTorch's `fold`. */
export function foldBlocks(
  x: Value,
  image: readonly number[],
  block: readonly number[],
  options: Omit<ConvolutionOptions, "group"> = {},
): Value {
  readOptions("foldBlocks", options, { strides: "list", pads: "list", dilations: "list" });
  const { strides, pads, dilations } = completeConvolution(options, image.length);
  const sizes = [image, block].map((size) => int64Vector(x.graph, size));
  return apply("Col2Im", [x, ...sizes], {
    strides: ints(strides),
    pads: ints(pads),
    dilations: ints(dilations),
  })[0];
}

function columnsToImage(
  x: Value,
  image: readonly number[],
  block: readonly number[],
  attributes: Attributes,
) {
  const [count, rows] = x.shape;
  const taps = elementCount(block);
  const window = readConvolution(attributes, image.length);
  const size = outputSize(image, block, window);
  if (x.shape.length !== 3 || rows % taps !== 0 || elementCount(size) !== x.shape[2]) {
    throw operatorError(
      "Col2Im",
      x,
      `${describe(x)} does not hold blocks of [${block.join(", ")}] of an image [${image.join(", ")}]; [N, C·${taps}, ${elementCount(size)}] is wanted`,
    );
  }
  const channels = rows / taps;
  requireAtMost("Col2Im", x, taps * taps, "numbers");
  const one = Array.from({ length: taps * taps }, (_, index) =>
    Number(Math.floor(index / taps) === index % taps),
  );
  const kernel = x.graph.constant(tensorData(one, [1, taps, 1, ...block], x.type));
  const weight = reshape(expand(kernel, [channels, taps, 1, ...block]), [rows, 1, ...block]);
  const settings: Convolution = { ...window, group: channels };
  const natural = { ...convolutionAttributes(settings), kernel_shape: ints(block) };
  const blocks = reshape(x, [count, rows, ...size]);
  const reached = readTransposed(blocks, weight, natural).size;
  const missing = image.map((length, axis) => length - reached[axis]);
  const attributesOf = { ...natural, output_padding: ints(missing) };
  return apply("ConvTranspose", [blocks, weight], attributesOf)[0];
}

/**
 * The settings of a node, the spatial sizes of its output, and the convolution whose input gradient it is: its padding
 * is negative where the output goes on beyond what the kernel reaches.
 */
export function readTransposed(x: Value, weight: Value, attributes: Attributes) {
  const [given, kernel] = [x.shape.slice(2), weight.shape.slice(2)];
  const settings = readConvolution(attributes, given.length);
  const { strides, dilations } = settings;
  const extra = intsAttribute(attributes, "output_padding", []);
  const reached = given.map(
    (length, axis) => strides[axis] * (length - 1) + dilations[axis] * (kernel[axis] - 1) + 1,
  );
  const mode = stringAttribute(attributes, "auto_pad", "NOTSET");
  const asked = intsAttribute(attributes, "output_shape", []);
  const same = mode.startsWith("SAME") ? given.map((length, axis) => length * strides[axis]) : undefined;
  const wanted = asked.length > 0 ? asked.slice(-given.length) : same;
  const whole = reached.map((length, axis) => length + (extra[axis] ?? 0));
  const plain = mode === "VALID" ? settings.pads.map(() => 0) : settings.pads;
  const pads = wanted ? padsTo(wanted, whole, mode === "SAME_UPPER") : plain;
  const before = pads.slice(0, given.length);
  // Where the kernel is shorter than the stride, ONNX Runtime's SAME is as long as the kernel reaches.
  const rest = whole.map((length, axis) => length - before[axis] - pads[axis + given.length]);
  const size = asked.length > 0 ? asked.slice(-given.length) : rest;
  const after = reached.map((length, axis) => length - before[axis] - size[axis]);
  const source: Convolution = { ...settings, pads: [...before, ...after] };
  return { settings: { ...settings, pads }, size, source };
}

/** An odd element of padding stands at the end with SAME_UPPER, else at the front. */
function padsTo(wanted: readonly number[], whole: readonly number[], upper: boolean): number[] {
  const total = whole.map((length, axis) => Math.max(0, length - wanted[axis]));
  const less = total.map((amount) => Math.floor(amount / 2));
  const more = total.map((amount) => Math.ceil(amount / 2));
  return upper ? [...less, ...more] : [...more, ...less];
}
