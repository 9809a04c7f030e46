import type { Random } from "../common/random.ts";
import { elementCount, Graph, type Shape, type Value } from "../graph/graph.ts";
import type { DataType, Tensors } from "../onnx/tensor.ts";
import {
  type Convolution,
  completeConvolution,
  conv,
  convInputGradient,
  convWeightGradient,
  outputSize,
} from "../ops/convolution.ts";
import { tensor } from "./numeric.ts";

// Convolutions and their gradients, for tests that compute them in several forms.

export interface ConvolutionCase extends Convolution {
  images: number;
  channels: number;
  outputs: number;
  size: Shape;
  kernel: Shape;
}

type Sizes = Pick<ConvolutionCase, "images" | "channels" | "outputs" | "size" | "kernel">;

/** Fills in what a case leaves out: these sizes, and a convolution without strides, padding or groups. */
export function caseFrom(usual: Sizes) {
  return ({
    images,
    channels,
    outputs,
    size,
    kernel,
    ...settings
  }: Partial<ConvolutionCase>): ConvolutionCase => {
    const sizes = {
      images: images ?? usual.images,
      channels: channels ?? usual.channels,
      outputs: outputs ?? usual.outputs,
      size: size ?? usual.size,
      kernel: kernel ?? usual.kernel,
    };
    return { ...sizes, ...completeConvolution(settings, sizes.size.length) };
  };
}

/** The inputs of a case in a graph of their own, and numbers to feed. Equal streams give equal numbers. */
export function convolutionInputs(problem: ConvolutionCase, random: Random, type: DataType = "float32") {
  const { images, channels, outputs, size, kernel, group } = problem;
  const graph = new Graph();
  const feeds: Tensors = {};
  const input = (name: string, shape: Shape): Value => {
    const numbers = Float32Array.from({ length: elementCount(shape) }, () => random.normal());
    feeds[name] = tensor(numbers, shape, type);
    return graph.input(name, type, shape);
  };
  return {
    x: input("x", [images, channels, ...size]),
    weight: input("weight", [outputs, channels / group, ...kernel]),
    dy: input("dy", [images, outputs, ...outputSize(size, kernel, problem)]),
    bias: input("bias", [outputs]),
    feeds,
  };
}

/** The convolution and its two gradients, as the graph has them. */
export function convolutionOperators(
  { x, weight, dy, bias }: { x: Value; weight: Value; dy: Value; bias?: Value },
  problem: ConvolutionCase,
): { y: Value; dx: Value; dw: Value } {
  const { size, kernel, strides, pads, dilations, group } = problem;
  const settings = { strides, pads, dilations, group };
  return {
    y: conv(x, weight, bias, settings),
    dx: convInputGradient(dy, weight, size, settings),
    dw: convWeightGradient(x, dy, kernel, settings),
  };
}
