import { readOptions } from "../../common/options.ts";
import { filledWith, kaimingNormal, normal, uniform } from "../initializers.ts";
import {
  batchNorm,
  conv2d,
  dropout,
  globalAveragePool,
  linear,
  relu6,
  residualSum,
  sequential,
  silu,
  squeezeExcitation,
  stochasticDepth,
} from "../layers.ts";
import type { Layer } from "../module.ts";
import type { ModelShape } from "./shape.ts";

// Networks of depthwise convolutions between 1×1 ones, with torchvision's names, structure and initialization.

export interface MobilenetOptions {
  /** Factor of all widths, which are then rounded to multiples of 8. Default 1. */
  width?: number;
  /** Probability of dropout before the last layer. Default 0.2. */
  dropout?: number;
}

/** MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381), torchvision's `mobilenet_v2`. */
export function mobilenetV2({ channels, classes }: ModelShape, options: MobilenetOptions = {}): Layer {
  const kinds = { width: "number", dropout: "number" } as const;
  const { width: factor = 1, dropout: p = 0.2 } = readOptions("mobilenetV2", options, kinds);
  // Of each stage: factor of the inner width, width, units, stride of the first.
  const stages = [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
  ];
  let inputs = multipleOf8(32 * factor);
  const features = [convolution(channels, inputs, 3, { stride: 2, activation: relu6() })];
  for (const [expansion, base, units, stride] of stages) {
    const outputs = multipleOf8(base * factor);
    for (let unit = 0; unit < units; unit++) {
      features.push(invertedResidual(inputs, outputs, unit === 0 ? stride : 1, expansion));
      inputs = outputs;
    }
  }
  const last = multipleOf8(1280 * Math.max(1, factor));
  features.push(convolution(inputs, last, 1, { activation: relu6() }));
  return sequential({
    features: sequential(features),
    avgpool: globalAveragePool(),
    classifier: sequential([
      dropout(p),
      linear(last, classes, { initializer: normal(0.01), biasInitializer: filledWith(0) }),
    ]),
  });
}

export interface EfficientnetOptions extends MobilenetOptions {
  /** Factor of the number of units of each stage, which is then rounded up. Default 1. */
  depth?: number;
  /** Probability that the last unit is left out; it falls to 0 toward the first. Default 0.2. */
  stochasticDepth?: number;
}

/**
 * EfficientNet-B0 (Tan & Le 2019, arXiv 1905.11946), torchvision's `efficientnet_b0`; larger ones by `width` and
 * `depth`, as B1 with a depth of 1.1.
 */
export function efficientnetB0({ channels, classes }: ModelShape, options: EfficientnetOptions = {}): Layer {
  const kinds = { width: "number", depth: "number", dropout: "number", stochasticDepth: "number" } as const;
  const {
    width: factor = 1,
    depth = 1,
    dropout: p = 0.2,
    stochasticDepth: leftOut = 0.2,
  } = readOptions("efficientnetB0", options, kinds);
  // Of each stage: factor of the inner width, kernel, stride of the first unit, width, units.
  const stages = [
    [1, 3, 1, 16, 1],
    [6, 3, 2, 24, 2],
    [6, 5, 2, 40, 2],
    [6, 3, 2, 80, 3],
    [6, 5, 1, 112, 3],
    [6, 5, 2, 192, 4],
    [6, 3, 1, 320, 1],
  ].map(([expansion, kernel, stride, base, units]) => ({
    expansion,
    kernel,
    stride,
    outputs: multipleOf8(base * factor),
    units: Math.ceil(units * depth),
  }));
  const total = stages.reduce((sumOfUnits, { units }) => sumOfUnits + units, 0);
  let inputs = multipleOf8(32 * factor);
  const features = [convolution(channels, inputs, 3, { stride: 2, activation: silu() })];
  let index = 0;
  for (const { units, outputs, stride, ...stage } of stages) {
    const blocks = Array.from({ length: units }, (_, unit) => {
      const settings = { ...stage, stride: unit === 0 ? stride : 1, leftOut: (leftOut * index++) / total };
      const block = mbConv(inputs, outputs, settings);
      inputs = outputs;
      return block;
    });
    features.push(sequential(blocks));
  }
  const last = 4 * inputs;
  features.push(convolution(inputs, last, 1, { activation: silu() }));
  const initializer = uniform(1 / Math.sqrt(classes));
  return sequential({
    features: sequential(features),
    avgpool: globalAveragePool(),
    classifier: sequential([
      dropout(p),
      linear(last, classes, { initializer, biasInitializer: filledWith(0) }),
    ]),
  });
}

interface ConvolutionOptions {
  stride?: number;
  groups?: number;
  activation?: Layer;
}

/** Convolution that keeps the size but for its stride, BatchNorm, activation: torchvision's `Conv2dNormActivation`. */
function convolution(
  inputs: number,
  outputs: number,
  kernel: number,
  { activation, ...options }: ConvolutionOptions = {},
): Layer {
  return sequential([
    conv2d(inputs, outputs, kernel, {
      padding: (kernel - 1) / 2,
      bias: false,
      initializer: kaimingNormal("fan-out"),
      ...options,
    }),
    batchNorm(outputs),
    ...(activation ? [activation] : []),
  ]);
}

/** Widened by a 1×1 convolution, depthwise 3×3, narrowed again without activation (`InvertedResidual`). */
function invertedResidual(inputs: number, outputs: number, stride: number, expansion: number): Layer {
  const inner = inputs * expansion;
  const activation = relu6();
  const conv = sequential([
    ...(expansion === 1 ? [] : [convolution(inputs, inner, 1, { activation })]),
    convolution(inner, inner, 3, { stride, groups: inner, activation }),
    conv2d(inner, outputs, 1, { bias: false, initializer: kaimingNormal("fan-out") }),
    batchNorm(outputs),
  ]);
  const named = sequential({ conv });
  return stride === 1 && inputs === outputs ? residualSum(named) : named;
}

interface MbConvSettings {
  expansion: number;
  kernel: number;
  stride: number;
  leftOut: number;
}

/** As the inverted residual, with squeeze and excitation after the depthwise convolution (`MBConv`). */
function mbConv(
  inputs: number,
  outputs: number,
  { expansion, kernel, stride, leftOut }: MbConvSettings,
): Layer {
  const inner = multipleOf8(inputs * expansion);
  const activation = silu();
  const squeezed = Math.max(1, Math.floor(inputs / 4));
  const block = sequential([
    ...(inner === inputs ? [] : [convolution(inputs, inner, 1, { activation })]),
    convolution(inner, inner, kernel, { stride, groups: inner, activation }),
    squeezeExcitation(inner, squeezed, {
      activation,
      initializer: kaimingNormal("fan-out"),
      biasInitializer: filledWith(0),
    }),
    convolution(inner, outputs, 1),
  ]);
  if (stride !== 1 || inputs !== outputs) return sequential({ block });
  return residualSum(sequential({ block, stochastic_depth: stochasticDepth(leftOut) }));
}

/** The nearest multiple of 8, but not less than nine tenths of the number. */
function multipleOf8(width: number): number {
  const rounded = Math.max(8, Math.floor((width + 4) / 8) * 8);
  return rounded < 0.9 * width ? rounded + 8 : rounded;
}
