import { tensorData } from "../graph/constants.ts";
import { type Attributes, elementCount, type Shape, type TensorType, type Value } from "../graph/graph.ts";
import { mul } from "./arithmetic.ts";
import { completeConvolution, convInputGradient, outputSize, requireWindow } from "./convolution.ts";
import { scatterAdd } from "./indexing.ts";
import { expand, reshape, zeros } from "./movement.ts";
import { apply, defineOperator, int, intAttribute, ints, intsAttribute, operatorError } from "./operator.ts";

export interface PoolOptions {
  /** Default: the kernel, as in PyTorch. */
  strides?: readonly number[];
  /** Before each spatial axis, then after each. Default 0. */
  pads?: readonly number[];
  /** Default 1. */
  dilations?: readonly number[];
}

// The second output says for each maximum where in the flattened input it stood: the gradient goes back there.
defineOperator("MaxPool", {
  since: 12,
  infer: ([x], attributes): TensorType[] => {
    const shape = pooledShape("MaxPool", x!, attributes);
    return [
      { type: x!.type, shape },
      { type: "int64", shape },
    ];
  },
  gradient: ({ inputs: [x], outputs: [, indices], gradient }) => {
    const count = [elementCount(gradient.shape)];
    const origin = zeros(x.graph, [elementCount(x.shape)], x.type);
    return [reshape(scatterAdd(origin, reshape(indices, count), reshape(gradient, count), 0), x.shape)];
  },
});

/** Largest number in each window of the spatial axes; padding never wins. */
export function maxPool(x: Value, kernel: readonly number[], options: PoolOptions = {}): Value {
  return apply("MaxPool", [x], poolAttributes(kernel, options))[0];
}

// A depthwise convolution with equal weights, so its gradient is that convolution's input gradient.
defineOperator("AveragePool", {
  since: 19,
  infer: ([x], attributes): TensorType[] => [
    { type: x!.type, shape: pooledShape("AveragePool", x!, attributes) },
  ],
  gradient: ({ inputs: [x], attributes, gradient }) => {
    const window = readWindow(attributes, x.shape.length - 2);
    const [channels, size] = [x.shape[1], x.shape.slice(2)];
    const share = mul(gradient, x.graph.constant(inverseCounts(x, gradient.shape.slice(2), attributes)));
    const ones = expand(x.graph.scalar(1, x.type), [channels, 1, ...window.kernel]);
    return [convInputGradient(share, ones, size, { ...window, group: channels })];
  },
});

/** Mean of each window; `countIncludePad` counts padding as zeros (PyTorch's default), otherwise it is left out. */
export function averagePool(
  x: Value,
  kernel: readonly number[],
  { countIncludePad = true, ...options }: PoolOptions & { countIncludePad?: boolean } = {},
): Value {
  return apply("AveragePool", [x], {
    ...poolAttributes(kernel, options),
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

/** A pool's settings as its node carries them. */
export function readWindow(attributes: Attributes, axes: number) {
  const { strides, pads, dilations } = completeConvolution({}, axes);
  return {
    kernel: intsAttribute(attributes, "kernel_shape", []),
    strides: intsAttribute(attributes, "strides", strides),
    pads: intsAttribute(attributes, "pads", pads),
    dilations: intsAttribute(attributes, "dilations", dilations),
  };
}

/** One over the number of elements each window of an average pool counts, [1, 1, …output size]. */
export function inverseCounts(x: Value, size: Shape, attributes: Attributes) {
  const { kernel, strides, pads, dilations } = readWindow(attributes, size.length);
  const includePad = intAttribute(attributes, "count_include_pad", 0) === 1;
  const counts = size.map((length, axis) =>
    Array.from({ length }, (_, index) => {
      const start = index * strides[axis] - pads[axis];
      const places = Array.from({ length: kernel[axis] }, (_, tap) => start + tap * dilations[axis]);
      return includePad ? kernel[axis] : places.filter((at) => at >= 0 && at < x.shape[axis + 2]).length;
    }),
  );
  const products = counts.reduce<number[]>((all, axis) => all.flatMap((a) => axis.map((b) => a * b)), [1]);
  return tensorData(
    products.map((count) => 1 / count),
    [1, 1, ...size],
    x.type,
  );
}

function poolAttributes(kernel: readonly number[], options: PoolOptions): Attributes {
  const { strides, pads, dilations } = completeConvolution({ strides: kernel, ...options }, kernel.length);
  return { kernel_shape: ints(kernel), strides: ints(strides), pads: ints(pads), dilations: ints(dilations) };
}

function pooledShape(operator: string, x: Value, attributes: Attributes): Shape {
  const axes = x.shape.length - 2;
  const { kernel, ...window } = readWindow(attributes, axes);
  if (kernel.length !== axes) {
    throw operatorError(
      operator,
      x,
      `the kernel [${kernel.join(", ")}] needs one size per spatial axis of [${x.shape.join(", ")}]`,
    );
  }
  requireWindow(operator, x, window);
  if (window.pads.some((amount, index) => amount >= kernel[index % axes])) {
    throw operatorError(
      operator,
      x,
      `pads [${window.pads.join(", ")}] have to be smaller than the kernel [${kernel.join(", ")}]`,
    );
  }
  const size = outputSize(x.shape.slice(2), kernel, window);
  if (size.some((length) => length < 1)) {
    throw operatorError(
      operator,
      x,
      `input [${x.shape.join(", ")}] is smaller than the kernel [${kernel.join(", ")}]`,
    );
  }
  return [...x.shape.slice(0, 2), ...size];
}
