import { type OptionKinds, readOptions } from "../common/options.ts";
import { int64Vector } from "../graph/constants.ts";
import {
  type Attributes,
  describe,
  elementCount,
  type Shape,
  sameShape,
  type TensorType,
  type Value,
} from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { divideOrZero, mul, pow } from "./arithmetic.ts";
import { equal, where } from "./comparison.ts";
import {
  completeConvolution,
  convInputGradient,
  outputSize,
  plainPads,
  requireWindow,
} from "./convolution.ts";
import { abs, sign } from "./elementwise.ts";
import { gatherElements, scatterAdd } from "./indexing.ts";
import { expand, reshape, zeros } from "./movement.ts";
import {
  apply,
  composeOperator,
  defineOperator,
  int,
  intAttribute,
  ints,
  intsAttribute,
  operatorError,
  requireAtMost,
  requireConstant,
} from "./operator.ts";
import { reduceNorm } from "./reduction.ts";

export interface PoolOptions {
  /** Default: the kernel, as in PyTorch. */
  strides?: readonly number[];
  /** Before each spatial axis, then after each. Default 0. */
  pads?: readonly number[];
  /** Default 1. */
  dilations?: readonly number[];
  /** A last window may reach beyond the end. Default false. */
  ceilMode?: boolean;
}

const poolOptions: OptionKinds<PoolOptions> = {
  strides: "list",
  pads: "list",
  dilations: "list",
  ceilMode: "boolean",
};

/** Before opset 22 ONNX counted a last window that begins in the padding after the input. */
function roundingUpOpset(attributes: Attributes): number {
  return intAttribute(attributes, "ceil_mode", 0) === 1 ? 22 : 0;
}

// The second output says for each maximum where in the flattened input it stood: the gradient goes back there.
defineOperator("MaxPool", {
  since: 12,
  sinceOf: roundingUpOpset,
  infer: ([x], attributes): TensorType[] => {
    const shape = pooledShape("MaxPool", x!, attributes);
    return [
      { type: x!.type, shape },
      { type: "int64", shape },
    ];
  },
  gradient: ({ inputs: [x], attributes, gradient }) => {
    // With `storage_order` the places are counted column by column: then they are asked for again.
    const { storage_order: _, ...rowByRow } = attributes;
    const [, indices] = apply("MaxPool", [x], rowByRow);
    const count = [elementCount(gradient.shape)];
    const origin = zeros(x.graph, [elementCount(x.shape)], x.type);
    return [reshape(scatterAdd(origin, reshape(indices, count), reshape(gradient, count), 0), x.shape)];
  },
});

/** Largest number in each window of the spatial axes; padding never wins. */
export function maxPool(x: Value, kernel: readonly number[], options: PoolOptions = {}): Value {
  return apply("MaxPool", [x], poolAttributes(kernel, readOptions("maxPool", options, poolOptions)))[0];
}

// A depthwise convolution with equal weights, so its gradient is that convolution's input gradient.
defineOperator("AveragePool", {
  since: 19,
  sinceOf: roundingUpOpset,
  infer: ([x], attributes): TensorType[] => [
    { type: x!.type, shape: pooledShape("AveragePool", x!, attributes) },
  ],
  gradient: ({ inputs: [x], attributes, gradient }) => {
    const { counted } = readPool(x, attributes);
    const shares = tensorData(inverseCounts(counted()), [1, 1, ...gradient.shape.slice(2)], x.type);
    return [spreadWindows(mul(gradient, x.graph.constant(shares)), x, attributes)];
  },
});

/** Mean of each window; `countIncludePad` counts padding as zeros (PyTorch's default), otherwise it is left out. */
export function averagePool(
  x: Value,
  kernel: readonly number[],
  options: PoolOptions & { countIncludePad?: boolean } = {},
): Value {
  readOptions("averagePool", options, { ...poolOptions, countIncludePad: "boolean" });
  const { countIncludePad = true, ...window } = options;
  return apply("AveragePool", [x], {
    ...poolAttributes(kernel, window),
    count_include_pad: int(countIncludePad ? 1 : 0),
  })[0];
}

defineOperator("GlobalAveragePool", {
  since: 1,
  infer: ([x]) => [{ type: x!.type, shape: [...x!.shape.slice(0, 2), ...x!.shape.slice(2).map(() => 1)] }],
  gradient: ({ inputs: [x], gradient }) => [
    expand(mul(gradient, 1 / elementCount(x.shape.slice(2))), x.shape),
  ],
});

/** Mean over all spatial axes, kept with size 1. */
export function globalAveragePool(x: Value): Value {
  return apply("GlobalAveragePool", [x])[0];
}

// The first of several equal maxima has the gradient, as with MaxPool.
defineOperator("GlobalMaxPool", {
  since: 1,
  infer: ([x]) => [{ type: x!.type, shape: [...x!.shape.slice(0, 2), ...x!.shape.slice(2).map(() => 1)] }],
  gradient: ({ inputs: [x], gradient }) => {
    const [count, channels, ...size] = x.shape;
    const places = elementCount(size);
    requireAtMost("GlobalMaxPool", x, places, "places");
    const [first] = apply("ArgMax", [reshape(x, [count, channels, places])], { axis: int(2) });
    const numbers = int64Vector(
      x.graph,
      Array.from({ length: places }, (_, index) => index),
    );
    const chosen = where(equal(numbers, first), reshape(gradient, [count, channels, 1]), 0);
    return [reshape(chosen, x.shape)];
  },
});

/** The largest element over all spatial axes, kept with size 1. */
export function globalMaxPool(x: Value): Value {
  return apply("GlobalMaxPool", [x])[0];
}

// y = (Σ |x|ᵖ)^(1/p) over a window, so dy/dx = y^(1 − p)·|x|^(p − 2)·x, and 0 for a window of zeros.
defineOperator("LpPool", {
  since: 18,
  sinceOf: roundingUpOpset,
  infer: ([x], attributes): TensorType[] => [{ type: x!.type, shape: pooledShape("LpPool", x!, attributes) }],
  gradient: ({ inputs: [x], outputs: [y], attributes, gradient }) => {
    const p = intAttribute(attributes, "p", 2);
    if (p === 1) return [mul(spreadWindows(gradient, x, attributes), sign(x))];
    const spread = spreadWindows(divideOrZero(gradient, p === 2 ? y : pow(y, p - 1)), x, attributes);
    return [mul(spread, p === 2 ? x : mul(pow(abs(x), p - 2), x))];
  },
});

composeOperator("GlobalLpPool", {
  since: 2,
  build: ([x], attributes) => {
    const axes = x!.shape.map((_, axis) => axis).slice(2);
    return [reduceNorm(x!, intAttribute(attributes, "p", 2), axes)];
  },
});

// Zeros, with each number of x at the place that `places` names, counted in the flattened result. Where a place is named
// twice it is not defined which number it has.
defineOperator("MaxUnpool", {
  since: 11,
  infer: ([x, places, shape], attributes) => {
    if (!sameShape(x!.shape, places!.shape) || places!.type !== "int64") {
      throw operatorError(
        "MaxUnpool",
        x!,
        `places ${describe(places!)} do not go with ${describe(x!)}; int64 of the same shape is wanted`,
      );
    }
    const asked = shape && requireConstant("MaxUnpool", x!, shape, "output_shape");
    return [{ type: x!.type, shape: asked ?? unpooledShape(x!, attributes) }];
  },
  gradient: ({ inputs: [x, places], gradient }) => {
    const count = [elementCount(x.shape)];
    const flat = reshape(gradient, [elementCount(gradient.shape)]);
    return [reshape(gatherElements(flat, reshape(places, count), 0), x.shape), undefined, undefined];
  },
});

/** Zeros of a shape, with each number of x at the place (int64) that is named for it, counted in the flattened result. */
export function maxUnpool(x: Value, places: Value, shape: Shape): Value {
  const ones = x.shape.slice(2).map(() => 1);
  return apply("MaxUnpool", [x, places, int64Vector(x.graph, shape)], { kernel_shape: ints(ones) })[0];
}

/** What MaxUnpool computes, without its kernel. */
export function plainMaxUnpool(x: Value, places: Value, shape: Shape): Value {
  const count = [elementCount(x.shape)];
  const origin = zeros(x.graph, [elementCount(shape)], x.type);
  return reshape(scatterAdd(origin, reshape(places, count), reshape(x, count), 0), shape);
}

function unpooledShape(x: Value, attributes: Attributes): number[] {
  const size = x.shape.slice(2);
  const { strides, pads } = completeConvolution({}, size.length);
  const kernel = intsAttribute(attributes, "kernel_shape", []);
  const steps = intsAttribute(attributes, "strides", strides);
  const cut = intsAttribute(attributes, "pads", pads);
  const spread = size.map(
    (length, axis) => (length - 1) * steps[axis] + kernel[axis] - cut[axis] - cut[axis + size.length],
  );
  return [...x.shape.slice(0, 2), ...spread];
}

/** What each window's number gives to all that the window sees, added up. */
function spreadWindows(gradient: Value, x: Value, attributes: Attributes): Value {
  const { kernel, ...window } = readPool(x, attributes);
  const channels = x.shape[1];
  const ones = expand(x.graph.scalar(1, x.type), [channels, 1, ...kernel]);
  return convInputGradient(gradient, ones, x.shape.slice(2), { ...window, group: channels });
}

/**
 * A pool's settings with all defaults, the sizes of its output, and of each axis how many places each window counts.
 * With `ceil_mode` a last window may reach beyond the padding if it begins before: the padding here is what
 * it reaches, but what is beyond the padding that was asked for never counts.
 */
export function readPool(x: Value, attributes: Attributes) {
  const given = x.shape.slice(2);
  const axes = given.length;
  const complete = completeConvolution({}, axes);
  const kernel = intsAttribute(attributes, "kernel_shape", []);
  const strides = intsAttribute(attributes, "strides", complete.strides);
  const dilations = intsAttribute(attributes, "dilations", complete.dilations);
  const asked = intsAttribute(attributes, "pads", complete.pads);
  const pads = plainPads(attributes, given, kernel, { strides, dilations, pads: asked });
  const window = { kernel, strides, dilations, asked: pads };
  const floor = outputSize(given, kernel, { strides, dilations, pads });
  if (intAttribute(attributes, "ceil_mode", 0) === 0) {
    return {
      ...window,
      pads,
      size: floor,
      counted: () => countPlaces(x, { ...window, size: floor, attributes }),
    };
  }
  const reach = kernel.map((taps, axis) => dilations[axis] * (taps - 1) + 1);
  const size = given.map((length, axis) => {
    const room = length + pads[axis] + pads[axis + axes] - reach[axis];
    const count = Math.ceil(room / strides[axis]) + 1;
    return (count - 1) * strides[axis] >= length + pads[axis] ? count - 1 : count;
  });
  const after = given.map((length, axis) =>
    Math.max(pads[axis + axes], (size[axis] - 1) * strides[axis] + reach[axis] - length - pads[axis]),
  );
  return {
    ...window,
    pads: [...pads.slice(0, axes), ...after],
    size,
    counted: () => countPlaces(x, { ...window, size, attributes }),
  };
}

interface Windows {
  kernel: Shape;
  strides: Shape;
  dilations: Shape;
  /** Padding as asked for. */
  asked: Shape;
  size: Shape;
  attributes: Attributes;
}

/** Of each axis, how many elements each window counts: with `count_include_pad` those in the padding too. */
function countPlaces(x: Value, { kernel, strides, dilations, asked, size, attributes }: Windows) {
  const looked = size.reduce((sum, count, axis) => sum + count * kernel[axis], elementCount(size));
  requireAtMost("AveragePool", x, looked, "places of windows");
  const given = x.shape.slice(2);
  const includePad = intAttribute(attributes, "count_include_pad", 0) === 1;
  return size.map((count, axis) =>
    Array.from({ length: Math.max(0, count) }, (_, index) => {
      const start = index * strides[axis] - asked[axis];
      const [first, end] = includePad
        ? [-asked[axis], given[axis] + asked[axis + size.length]]
        : [0, given[axis]];
      const places = Array.from({ length: kernel[axis] }, (_, tap) => start + tap * dilations[axis]);
      return places.filter((at) => at >= first && at < end).length;
    }),
  );
}

/** One over the number of elements each window counts, in row-major order. */
export function inverseCounts(counted: readonly (readonly number[])[]): number[] {
  const products = counted.reduce<number[]>((all, axis) => all.flatMap((a) => axis.map((b) => a * b)), [1]);
  return products.map((count) => 1 / count);
}

function poolAttributes(kernel: readonly number[], options: PoolOptions): Attributes {
  const { strides, pads, dilations } = completeConvolution({ strides: kernel, ...options }, kernel.length);
  return {
    kernel_shape: ints(kernel),
    strides: ints(strides),
    pads: ints(pads),
    dilations: ints(dilations),
    ...(options.ceilMode ? { ceil_mode: int(1) } : {}),
  };
}

function pooledShape(operator: string, x: Value, attributes: Attributes): Shape {
  const axes = x.shape.length - 2;
  const kernel = intsAttribute(attributes, "kernel_shape", []);
  if (kernel.length !== axes) {
    throw operatorError(
      operator,
      x,
      `the kernel [${kernel.join(", ")}] needs one size per spatial axis of [${x.shape.join(", ")}]`,
    );
  }
  const complete = completeConvolution({}, axes);
  requireWindow(operator, x, {
    strides: intsAttribute(attributes, "strides", complete.strides),
    pads: intsAttribute(attributes, "pads", complete.pads),
    dilations: intsAttribute(attributes, "dilations", complete.dilations),
  });
  const { size, asked } = readPool(x, attributes);
  if (asked.some((amount, index) => amount >= kernel[index % axes])) {
    throw operatorError(
      operator,
      x,
      `pads [${asked.join(", ")}] have to be smaller than the kernel [${kernel.join(", ")}]`,
    );
  }
  if (size.some((length) => length < 1)) {
    throw operatorError(
      operator,
      x,
      `input [${x.shape.join(", ")}] is smaller than the kernel [${kernel.join(", ")}]`,
    );
  }
  return [...x.shape.slice(0, 2), ...size];
}
