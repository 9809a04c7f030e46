import { UserError } from "../../common/errors.ts";
import { concat } from "../../ops/movement.ts";
import { globalAveragePool } from "../../ops/pooling.ts";
import { resize } from "../../ops/resize.ts";
import { batchNorm, conv2d, dropout, relu, sequential } from "../layers.ts";
import type { Layer } from "../module.ts";
import { imagenetBackbone, type OutputStride, outputStrides, type ResnetDepth } from "./resnet.ts";
import type { ModelShape } from "./shape.ts";

// A class for each pixel by a residual network for ImageNet whose last stages are dilated, and a head: names, structure
// and initial weights of torchvision's segmentation models, without the auxiliary classifier, which is for training only.
// Blocks of two 3×3 convolutions, which torchvision does not dilate, are dilated in both. Logits are resized to the
// image's size as by PyTorch's `interpolate` (bilinear, `align_corners=False`), in training, evaluation and the file.

export interface FcnOptions {
  /** How much smaller than the image the features are: 8, 16 or 32. */
  stride: number;
  dropout: number;
}

/** Fully convolutional (Long et al. 2015, arXiv 1411.4038), torchvision's `fcn_resnet50`: [N, C, H, W] to [N, classes, H, W]. */
export function fcn(shape: ModelShape, depth: ResnetDepth, options: FcnOptions): Layer {
  const { layers, features } = dilatedBackbone(`fcn-resnet${depth}`, shape, depth, options.stride);
  const width = features / 4;
  const head = sequential([
    ...normalized(conv2d(features, width, 3, { padding: 1, bias: false }), width),
    dropout(options.dropout),
    conv2d(width, shape.classes, 1),
  ]);
  return resized(sequential({ backbone: sequential(layers), classifier: head }));
}

export interface DeeplabOptions extends FcnOptions {
  /** Of the three parallel convolutions the dilations are this, twice and three times this. */
  rate: number;
}

/**
 * DeepLab v3 (Chen et al. 2017, arXiv 1706.05587), torchvision's `deeplabv3_resnet50`: parallel convolutions of several
 * dilations and the image's mean (ASPP), [N, C, H, W] to [N, classes, H, W].
 */
export function deeplab(shape: ModelShape, depth: ResnetDepth, options: DeeplabOptions): Layer {
  const { layers, features } = dilatedBackbone(`deeplabv3-resnet${depth}`, shape, depth, options.stride);
  const width = 256;
  const head = sequential([
    parallelDilations(features, width, options),
    ...normalized(conv2d(width, width, 3, { padding: 1, bias: false }), width),
    conv2d(width, shape.classes, 1),
  ]);
  return resized(sequential({ backbone: sequential(layers), classifier: head }));
}

/** torchvision's `ASPP`. */
function parallelDilations(inputs: number, width: number, { rate, dropout: p }: DeeplabOptions): Layer {
  const small = () => conv2d(inputs, width, 1, { bias: false });
  const dilated = (dilation: number) =>
    conv2d(inputs, width, 3, { padding: dilation, dilation, bias: false });
  const parts = [
    sequential(normalized(small(), width)),
    ...[rate, 2 * rate, 3 * rate].map((dilation) => sequential(normalized(dilated(dilation), width))),
    resized(sequential([globalAveragePool, ...normalized(small(), width)])),
  ];
  const project = sequential([
    ...normalized(conv2d(parts.length * width, width, 1, { bias: false }), width),
    dropout(p),
  ]);
  return (x, scope) => {
    const values = parts.map((part, index) => scope.within(`convs.${index}`, part, x));
    return scope.within("project", project, concat(values, 1));
  };
}

/** A convolution, its BatchNorm and ReLU. */
function normalized(convolution: Layer, width: number): Layer[] {
  return [convolution, batchNorm(width), relu()];
}

/** What a layer makes of maps, at the size of these maps. */
function resized(layer: Layer): Layer {
  return (x, scope) => {
    const maps = layer(x, scope);
    const [count, channels, ...size] = maps.shape;
    const wanted = x.shape.slice(2);
    return size.join() === wanted.join() ? maps : resize(maps, [count, channels, ...wanted]);
  };
}

function dilatedBackbone(name: string, { channels }: ModelShape, depth: ResnetDepth, stride: number) {
  if (!isOutputStride(stride))
    throw new UserError(`${name}: stride is ${stride}; it has to be one of ${outputStrides.join(", ")}`);
  return imagenetBackbone(channels, depth, { outputStride: stride });
}

function isOutputStride(stride: number): stride is OutputStride {
  return outputStrides.some((each) => each === stride);
}
