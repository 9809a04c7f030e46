import { UserError } from "../../common/errors.ts";
import { readOptions } from "../../common/options.ts";
import { filledWith, kaimingNormal, normal } from "../initializers.ts";
import {
  adaptiveAveragePool,
  batchNorm,
  type Conv2dOptions,
  conv2d,
  dropout,
  flatten,
  globalAveragePool,
  linear,
  maxPool,
  relu,
  sequential,
} from "../layers.ts";
import type { Layer } from "../module.ts";
import type { ModelShape } from "./shape.ts";

export interface VggOptions {
  /** Factor of all widths: those of the convolutions, and the 4096 of the linear layers, rounded. Default 1. */
  width?: number;
  /** Probability of dropout in the classifier. Default 0.5. */
  dropout?: number;
}

/** Widths of the convolutions of each stage ("D" of Simonyan & Zisserman 2015, arXiv 1409.1556). */
const stages = [
  [64, 64],
  [128, 128],
  [256, 256, 256],
  [512, 512, 512],
  [512, 512, 512],
];

/**
 * VGG-16 with BatchNorm as torchvision's `vgg16_bn`: three linear layers on 7×7 means of the last feature map. Images
 * have to be of 32×32 or more.
 */
export function vgg16Bn(shape: ModelShape, options: VggOptions = {}): Layer {
  const kinds = { width: "number", dropout: "number" } as const;
  const { width = 1, dropout: p = 0.5 } = readOptions("vgg16Bn", options, kinds);
  const [last, hidden] = [scaled(512, width), scaled(4096, width)];
  const convolutions = { initializer: kaimingNormal("fan-out"), biasInitializer: filledWith(0) };
  const fullyConnected = { initializer: normal(0.01), biasInitializer: filledWith(0) };
  return sequential({
    features: features(shape, "vgg16-bn", width, convolutions),
    avgpool: adaptiveAveragePool(7),
    flatten: flatten(),
    classifier: sequential([
      linear(last * 7 * 7, hidden, fullyConnected),
      relu(),
      dropout(p),
      linear(hidden, hidden, fullyConnected),
      relu(),
      dropout(p),
      linear(hidden, shape.classes, fullyConnected),
    ]),
  });
}

/**
 * VGG-16 with BatchNorm for small images, one linear layer on the mean of the last feature map. Names and structure of
 * kuangliu/pytorch-cifar (`VGG("VGG16")`), which starts from PyTorch's defaults.
 */
export function smallVgg16Bn(shape: ModelShape, options: Pick<VggOptions, "width"> = {}): Layer {
  const { width = 1 } = readOptions("smallVgg16Bn", options, { width: "number" });
  return sequential({
    features: features(shape, "vgg16-bn-small", width, {}),
    pool: globalAveragePool(),
    classifier: linear(scaled(512, width), shape.classes),
  });
}

function features(
  { channels, height, width }: ModelShape,
  name: string,
  factor: number,
  options: Conv2dOptions,
): Layer {
  if (height < 32 || width < 32) {
    throw new UserError(
      `${name} needs images of at least 32×32, got ${height}×${width}; choose cnn or resnet20`,
    );
  }
  let inputs = channels;
  const layers = stages.flatMap((stage) => [
    ...stage.flatMap((base) => {
      const outputs = scaled(base, factor);
      const convolution = conv2d(inputs, outputs, 3, { padding: 1, ...options });
      inputs = outputs;
      return [convolution, batchNorm(outputs), relu()];
    }),
    maxPool(2),
  ]);
  return sequential(layers);
}

function scaled(width: number, factor: number): number {
  return Math.max(1, Math.round(width * factor));
}
