import { type OptionKinds, readOptions } from "../common/options.ts";
import {
  type Attributes,
  describe,
  type Shape,
  sameShape,
  type TensorType,
  type Value,
} from "../graph/graph.ts";
import {
  apply,
  defineOperator,
  int,
  intAttribute,
  ints,
  intsAttribute,
  operatorError,
  requireSameType,
  stringAttribute,
} from "./operator.ts";
import { reduceSum } from "./reduction.ts";

// Convolution and its two gradients.
//
// y = conv(x, w) is linear in x and in w, so ⟨conv(x, w), dy⟩ = F(x, w, dy) is linear in all three. The gradient for
// x is the tensor g with ⟨x, g⟩ = F, the gradient for w the tensor g with ⟨w, g⟩ = F:
//
//   conv(x, w)                   [N, O, out]   ─ convInputGradient(dy, w)   for x, convWeightGradient(x, dy) for w
//   convInputGradient(dy, w)     [N, C, in]    ─ conv(h, w)                 for dy, convWeightGradient(h, dy) for w
//   convWeightGradient(x, dy)    [O, C/g, k]   ─ convInputGradient(dy, h)   for x, conv(x, h)                 for dy
//
// with h the incoming gradient. The three are closed under differentiation, so second and higher derivatives need
// nothing new. `src/lower` turns the two gradients into what the target runs fast.

export interface ConvolutionOptions {
  /** One per spatial axis, as are the others. Default 1. */
  strides?: readonly number[];
  /** Zeros before each spatial axis, then after each: [top, left, bottom, right]. Default 0. */
  pads?: readonly number[];
  dilations?: readonly number[];
  /** Number of groups of channels that do not see each other. Default 1. */
  group?: number;
}

export const convolutionOptions: OptionKinds<ConvolutionOptions> = {
  strides: "list",
  pads: "list",
  dilations: "list",
  group: "number",
};

/** A convolution's settings with every default filled in. */
export interface Convolution {
  strides: readonly number[];
  pads: readonly number[];
  dilations: readonly number[];
  group: number;
}

defineOperator("Conv", {
  since: 11,
  infer: ([x, weight, bias], attributes): TensorType[] => {
    const [input, kernel] = [x!, weight!];
    requireSameType("conv", bias ? [input, kernel, bias] : [input, kernel]);
    const settings = convolutionOf(input, kernel, attributes);
    const { group } = settings;
    if (input.shape.length !== kernel.shape.length || input.shape.length < 3) {
      throw operatorError(
        "conv",
        input,
        `input ${describe(input)} and weight ${describe(kernel)} need the same number of axes, 3 or more`,
      );
    }
    requireWindow("conv", input, settings);
    if (!Number.isInteger(group) || group < 1) {
      throw operatorError("conv", input, `group is ${group}; it has to be a whole number above 0`);
    }
    if (input.shape[1] !== kernel.shape[1] * group) {
      throw operatorError(
        "conv",
        input,
        `input has ${input.shape[1]} channels, weight expects ${kernel.shape[1] * group} (shape [${kernel.shape.join(", ")}]${group > 1 ? `, ${group} groups` : ""})`,
      );
    }
    if (kernel.shape[0] % group !== 0) {
      throw operatorError(
        "conv",
        input,
        `${kernel.shape[0]} output channels do not divide into ${group} groups`,
      );
    }
    if (bias && !sameShape(bias.shape, [kernel.shape[0]])) {
      throw operatorError(
        "conv",
        input,
        `bias has shape [${bias.shape.join(", ")}], weight has ${kernel.shape[0]} output channels (shape [${kernel.shape.join(", ")}])`,
      );
    }
    const size = outputSize(input.shape.slice(2), kernel.shape.slice(2), settings);
    if (size.some((length) => length < 1)) {
      throw operatorError(
        "conv",
        input,
        `input [${input.shape.join(", ")}] is smaller than the kernel [${kernel.shape.slice(2).join(", ")}]`,
      );
    }
    return [{ type: input.type, shape: [input.shape[0], kernel.shape[0], ...size] }];
  },
  gradient: ({ inputs: [x, weight, bias], attributes, gradient, wanted }) => {
    const settings = convolutionOf(x, weight, attributes);
    return [
      wanted[0] ? convInputGradient(gradient, weight, x.shape.slice(2), settings) : undefined,
      wanted[1] ? convWeightGradient(x, gradient, weight.shape.slice(2), settings) : undefined,
      wanted[2] && bias ? reduceSum(gradient, allButChannels(gradient)) : undefined,
    ];
  },
});

defineOperator("ConvInputGradient", {
  since: 1,
  domain: "training",
  infer: ([dy, weight], attributes) => {
    const { group } = readConvolution(attributes, dy!.shape.length - 2);
    const size = intsAttribute(attributes, "size", []);
    return [{ type: dy!.type, shape: [dy!.shape[0], weight!.shape[1] * group, ...size] }];
  },
  gradient: ({ inputs: [dy, weight], attributes, gradient, wanted }) => {
    const settings = readConvolution(attributes, dy.shape.length - 2);
    return [
      wanted[0] ? conv(gradient, weight, undefined, settings) : undefined,
      wanted[1] ? convWeightGradient(gradient, dy, weight.shape.slice(2), settings) : undefined,
    ];
  },
});

defineOperator("ConvWeightGradient", {
  since: 1,
  domain: "training",
  infer: ([x, dy], attributes) => {
    const { group } = readConvolution(attributes, x!.shape.length - 2);
    const size = intsAttribute(attributes, "size", []);
    return [{ type: x!.type, shape: [dy!.shape[1], x!.shape[1] / group, ...size] }];
  },
  gradient: ({ inputs: [x, dy], attributes, gradient, wanted }) => {
    const settings = readConvolution(attributes, x.shape.length - 2);
    return [
      wanted[0] ? convInputGradient(dy, gradient, x.shape.slice(2), settings) : undefined,
      wanted[1] ? conv(x, gradient, undefined, settings) : undefined,
    ];
  },
});

/**
 * Cross-correlation of x [N, C, …] with weight [O, C/group, …] plus bias [O], over any number of spatial axes:
 * PyTorch's `conv1d`, `conv2d`, `conv3d`.
 */
export function conv(x: Value, weight: Value, bias?: Value, options: ConvolutionOptions = {}): Value {
  readOptions("conv", options, convolutionOptions);
  const settings = completeConvolution(options, x.shape.length - 2);
  return apply("Conv", [x, weight, bias], {
    ...convolutionAttributes(settings),
    kernel_shape: ints(weight.shape.slice(2)),
  })[0];
}

/** Gradient of `conv` for its input, whose spatial sizes are `size`. */
export function convInputGradient(dy: Value, weight: Value, size: Shape, settings: Convolution): Value {
  return apply("ConvInputGradient", [dy, weight], {
    ...convolutionAttributes(settings),
    size: ints(size),
  })[0];
}

/** Gradient of `conv` for its weight, whose kernel sizes are `size`. */
export function convWeightGradient(x: Value, dy: Value, size: Shape, settings: Convolution): Value {
  return apply("ConvWeightGradient", [x, dy], { ...convolutionAttributes(settings), size: ints(size) })[0];
}

/** Spatial sizes of a convolution's (or a pool's) output. */
export function outputSize(
  size: Shape,
  kernel: Shape,
  { strides, pads, dilations }: Omit<Convolution, "group">,
): number[] {
  return size.map((length, axis) => {
    const reach = dilations[axis] * (kernel[axis] - 1) + 1;
    return Math.floor((length + pads[axis] + pads[axis + size.length] - reach) / strides[axis]) + 1;
  });
}

export function completeConvolution(options: ConvolutionOptions, axes: number): Convolution {
  const each = (count: number, value: number) => new Array<number>(Math.max(0, count)).fill(value);
  const ones = each(axes, 1);
  return {
    strides: options.strides ?? ones,
    pads: options.pads ?? each(2 * axes, 0),
    dilations: options.dilations ?? ones,
    group: options.group ?? 1,
  };
}

/** Throws unless there is one stride and one dilation per spatial axis of x, and padding on both sides of each. */
export function requireWindow(
  operator: string,
  x: Value,
  { strides, pads, dilations }: Omit<Convolution, "group">,
): void {
  const axes = x.shape.length - 2;
  for (const [name, values, count, least] of [
    ["strides", strides, axes, 1],
    ["dilations", dilations, axes, 1],
    ["pads", pads, 2 * axes, 0],
  ] as const) {
    if (values.length !== count || !values.every((value) => Number.isInteger(value) && value >= least)) {
      throw operatorError(
        operator,
        x,
        `${name} are [${values.join(", ")}]; ${describe(x)} needs ${count} whole numbers of ${least} or more`,
      );
    }
  }
}

/** The settings of a Conv node, padding that it leaves to ONNX (`auto_pad`) made plain. */
export function convolutionOf(x: Value, weight: Value, attributes: Attributes): Convolution {
  const settings = readConvolution(attributes, x.shape.length - 2);
  return { ...settings, pads: plainPads(attributes, x.shape.slice(2), weight.shape.slice(2), settings) };
}

/**
 * Padding as numbers. SAME_UPPER and SAME_LOWER make the output ⌈size/stride⌉ long, an odd element of padding standing
 * after or before; VALID is none.
 */
export function plainPads(
  attributes: Attributes,
  size: Shape,
  kernel: Shape,
  { strides, pads, dilations }: Omit<Convolution, "group">,
): readonly number[] {
  const mode = stringAttribute(attributes, "auto_pad", "NOTSET");
  if (mode === "NOTSET") return pads;
  if (mode === "VALID") return pads.map(() => 0);
  const total = size.map((length, axis) => {
    const reach = dilations[axis] * (kernel[axis] - 1) + 1;
    return Math.max(0, (Math.ceil(length / strides[axis]) - 1) * strides[axis] + reach - length);
  });
  const less = total.map((amount) => Math.floor(amount / 2));
  const more = total.map((amount) => Math.ceil(amount / 2));
  return mode === "SAME_UPPER" ? [...less, ...more] : [...more, ...less];
}

/** The settings a node carries. */
export function readConvolution(attributes: Attributes, axes: number): Convolution {
  const complete = completeConvolution({}, axes);
  return {
    strides: intsAttribute(attributes, "strides", complete.strides),
    pads: intsAttribute(attributes, "pads", complete.pads),
    dilations: intsAttribute(attributes, "dilations", complete.dilations),
    group: intAttribute(attributes, "group", 1),
  };
}

export function convolutionAttributes({ strides, pads, dilations, group }: Convolution) {
  return { strides: ints(strides), pads: ints(pads), dilations: ints(dilations), group: int(group) };
}

/** Every axis but the second, the channels'. */
export function allButChannels(x: Value): number[] {
  return x.shape.map((_, axis) => axis).filter((axis) => axis !== 1);
}
