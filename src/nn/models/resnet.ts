import { slice } from "../../ops/slicing.ts";
import { kaimingNormal } from "../initializers.ts";
import {
  batchNorm,
  type Conv2dOptions,
  conv2d,
  globalAveragePool,
  linear,
  maxPool,
  padChannels,
  relu,
  residual,
  sequential,
} from "../layers.ts";
import type { Layer } from "../module.ts";
import type { ModelShape } from "./shape.ts";

// Residual networks (He et al. 2016, arXiv 1512.03385), in three spellings of PyTorch's world.

/** Units of the stages. */
const depths = { 18: [2, 2, 2, 2], 34: [3, 4, 6, 3], 50: [3, 4, 6, 3] } as const;

/** How many layers a residual network has. */
export type ResnetDepth = keyof typeof depths;

/** How much smaller than the image what a residual network for ImageNet makes of it is. */
export const outputStrides = [8, 16, 32] as const;
export type OutputStride = (typeof outputStrides)[number];

/**
 * The residual network with a stem for small images, a 3×3 convolution and no pooling. Names and structure of
 * kuangliu/pytorch-cifar (`ResNet18`, …), which starts from PyTorch's defaults.
 */
export function resnet({ channels, classes }: ModelShape, depth: ResnetDepth = 18): Layer {
  return sequential({
    conv1: conv2d(channels, 64, 3, { padding: 1, bias: false }),
    bn1: batchNorm(64),
    relu: relu(),
    ...stages(depth, { projection: "shortcut" }),
    pool: globalAveragePool(),
    linear: linear(512 * expansion(depth), classes),
  });
}

/**
 * The residual network for images of ImageNet's size, as torchvision's `resnet18`, …: a 7×7 convolution of stride 2
 * and a max pool first. Weights of convolutions start normal by fan-out.
 */
export function imagenetResnet({ channels, classes }: ModelShape, depth: ResnetDepth = 18): Layer {
  const { layers, features } = imagenetBackbone(channels, depth);
  return sequential({ ...layers, avgpool: globalAveragePool(), fc: linear(features, classes) });
}

/**
 * The layers of {@link imagenetResnet} before its pool: [N, channels, H, W] to [N, features, H/32, W/32], sizes rounded
 * up at each of the five halvings.
 * @param outputStride how much smaller the result is: 32, or 8 or 16, where the last stages are dilated in place of their
 * strides, as by torchvision's `replace_stride_with_dilation`
 */
export function imagenetBackbone(
  channels: number,
  depth: ResnetDepth,
  { outputStride = 32 }: { outputStride?: OutputStride } = {},
) {
  const initializer = kaimingNormal("fan-out");
  const layers: Record<string, Layer> = {
    conv1: conv2d(channels, 64, 7, { stride: 2, padding: 3, bias: false, initializer }),
    bn1: batchNorm(64),
    relu: relu(),
    maxpool: maxPool(3, { stride: 2, padding: 1 }),
    ...stages(depth, { projection: "downsample", initializer }, outputStride),
  };
  return { layers, features: 512 * expansion(depth) };
}

/**
 * The residual network of 20 layers for CIFAR (section 4.2 of the paper), shortcuts without parameters ("option A").
 */
export function resnet20({ channels, classes }: ModelShape): Layer {
  const stage = (inputs: number, outputs: number) =>
    sequential([inputs, outputs, outputs].map((from) => unprojectedBlock(from, outputs)));
  return sequential({
    conv1: conv2d(channels, 16, 3, { padding: 1, bias: false }),
    bn1: batchNorm(16),
    relu: relu(),
    layer1: stage(16, 16),
    layer2: stage(16, 32),
    layer3: stage(32, 64),
    pool: globalAveragePool(),
    linear: linear(64, classes),
  });
}

interface Spelling extends Pick<Conv2dOptions, "initializer"> {
  /** What the convolution beside a block is called. */
  projection: string;
}

/** From 50 layers on, blocks end four times as wide as they are inside. */
function expansion(depth: ResnetDepth): number {
  return depth < 50 ? 1 : 4;
}

function stages(
  depth: ResnetDepth,
  spelling: Spelling,
  outputStride: OutputStride = 32,
): Record<string, Layer> {
  const block = depth < 50 ? basicBlock : bottleneck;
  let [inputs, reached, dilation] = [64, 4, 1];
  const layers = depths[depth].map((units, stage) => {
    const width = 64 * 2 ** stage;
    const halves = stage > 0 && reached < outputStride;
    if (halves) reached *= 2;
    // The first block of a dilated stage still has the dilation of the stage before.
    const before = dilation;
    if (stage > 0 && !halves) dilation *= 2;
    const blocks = Array.from({ length: units }, (_, unit) => {
      const isFirst = unit === 0;
      const made = block(inputs, width, isFirst && halves ? 2 : 1, {
        ...spelling,
        dilation: isFirst ? before : dilation,
      });
      inputs = width * expansion(depth);
      return made;
    });
    return [`layer${stage + 1}`, sequential(blocks)] as const;
  });
  return Object.fromEntries(layers);
}

interface BlockOptions extends Spelling {
  /** Of its 3×3 convolutions. Default 1. */
  dilation?: number;
}

/** Two 3×3 convolutions, the first with the stride, beside a shortcut. */
export function basicBlock(
  inputs: number,
  width: number,
  stride: number,
  { dilation, ...spelling }: BlockOptions,
): Layer {
  const { initializer } = spelling;
  return residual(
    sequential({
      ...convolution(1, inputs, width, 3, { stride, dilation, initializer }),
      relu: relu(),
      ...convolution(2, width, width, 3, { dilation, initializer }),
    }),
    shortcut(inputs, width, stride, spelling),
  );
}

/** 1×1, 3×3 with the stride, and 1×1 to four times the width. */
function bottleneck(
  inputs: number,
  width: number,
  stride: number,
  { dilation, ...spelling }: BlockOptions,
): Layer {
  const { initializer } = spelling;
  return residual(
    sequential({
      ...convolution(1, inputs, width, 1, { initializer }),
      relu1: relu(),
      ...convolution(2, width, width, 3, { stride, dilation, initializer }),
      relu2: relu(),
      ...convolution(3, width, 4 * width, 1, { initializer }),
    }),
    shortcut(inputs, 4 * width, stride, spelling),
  );
}

/** A convolution that keeps the size but for its stride, and its BatchNorm: `conv1` and `bn1`, …. */
function convolution(
  number: number,
  inputs: number,
  outputs: number,
  kernel: number,
  { dilation = 1, ...options }: Conv2dOptions,
): Record<string, Layer> {
  return {
    [`conv${number}`]: conv2d(inputs, outputs, kernel, {
      padding: (dilation * (kernel - 1)) / 2,
      dilation,
      bias: false,
      ...options,
    }),
    [`bn${number}`]: batchNorm(outputs),
  };
}

/** A 1×1 convolution where the shape changes, else the input itself. */
function shortcut(inputs: number, outputs: number, stride: number, { projection, initializer }: Spelling) {
  if (stride === 1 && inputs === outputs) return undefined;
  const layers = [conv2d(inputs, outputs, 1, { stride, bias: false, initializer }), batchNorm(outputs)];
  return sequential({ [projection]: sequential(layers) });
}

/** Two 3×3 convolutions and a shortcut; where the width doubles, the first has stride 2. */
function unprojectedBlock(inputs: number, outputs: number): Layer {
  const stride = inputs === outputs ? 1 : 2;
  return residual(
    sequential({
      ...convolution(1, inputs, outputs, 3, { stride }),
      relu: relu(),
      ...convolution(2, outputs, outputs, 3, {}),
    }),
    stride === 1 ? undefined : subsampled(outputs - inputs),
  );
}

/** Every second pixel, with channels of zeros added evenly before and after. */
function subsampled(added: number): Layer {
  const before = Math.floor(added / 2);
  const padded = padChannels(before, added - before);
  return (x, scope) =>
    padded(slice(x, { axes: [2, 3], starts: [0, 0], ends: x.shape.slice(2), steps: [2, 2] }), scope);
}
