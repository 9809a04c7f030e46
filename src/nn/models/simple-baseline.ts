import { UserError } from "../../common/errors.ts";
import { readOptions } from "../../common/options.ts";
import { filledWith, type Initializer, normal } from "../initializers.ts";
import { batchNorm, conv2d, convTranspose2d, relu, sequential } from "../layers.ts";
import type { Layer } from "../module.ts";
import { basicBlock, imagenetBackbone, type ResnetDepth } from "./resnet.ts";
import type { ModelShape } from "./shape.ts";

// Networks from an image to a heat map for each joint, at a quarter of its resolution (Xiao et al. 2018, arXiv 1804.06208).

/**
 * A residual network for ImageNet without its head, three transposed convolutions and a 1×1 convolution:
 * [N, channels, H, W] to [N, classes, H/4, W/4]. Names and structure of microsoft/human-pose-estimation.pytorch
 * (`PoseResNet`). What comes after the backbone starts normal with deviation 0.001, as there.
 * @throws UserError for an image whose sides are no multiples of 32
 */
export function simpleBaseline(shape: ModelShape, depth: ResnetDepth = 50): Layer {
  requireMultiple(shape, 32, `simple-baseline-${depth}`);
  const { layers, features } = imagenetBackbone(shape.channels, depth);
  return sequential({
    ...layers,
    deconv_layers: upsampling([features, 256, 256, 256], headInitializer),
    final_layer: heatMaps(256, shape.classes),
  });
}

export interface SmallSimpleBaselineOptions {
  /** All widths are multiplied by it. */
  width?: number;
  /** Residual blocks where the image is smallest. */
  units?: number;
}

/**
 * The same form for training on a CPU: four 3×3 convolutions of stride 2 (16-32-64-64), residual blocks, and two
 * transposed convolutions of width 64. 23 million multiplications and additions for an image of 96×96.
 * @throws UserError for an image whose sides are no multiples of 16
 */
export function smallSimpleBaseline(shape: ModelShape, options: SmallSimpleBaselineOptions = {}): Layer {
  const kinds = { width: "number", units: "number" } as const;
  const { width = 1, units = 1 } = readOptions("smallSimpleBaseline", options, kinds);
  requireMultiple(shape, 16, "simple-baseline-small");
  const widths = [16, 32, 64, 64].map((channels) => Math.max(1, Math.round(channels * width)));
  const last = widths[3];
  const stages = widths.flatMap((channels, stage): [string, Layer][] => [
    [
      `conv${stage + 1}`,
      conv2d(widths[stage - 1] ?? shape.channels, channels, 3, { stride: 2, padding: 1, bias: false }),
    ],
    [`bn${stage + 1}`, batchNorm(channels)],
    [`relu${stage + 1}`, relu()],
  ]);
  return sequential({
    ...Object.fromEntries(stages),
    blocks: sequential(
      Array.from({ length: units }, () => basicBlock(last, last, 1, { projection: "downsample" })),
    ),
    deconv_layers: upsampling([last, last, last]),
    final_layer: heatMaps(last, shape.classes),
  });
}

const headInitializer = normal(0.001);

/** Transposed convolutions from each width to the next, each doubling height and width, with BatchNorm and ReLU. */
function upsampling(widths: readonly number[], initializer?: Initializer): Layer {
  const layers = widths
    .slice(1)
    .flatMap((width, index) => [
      convTranspose2d(widths[index], width, 4, { stride: 2, padding: 1, bias: false, initializer }),
      batchNorm(width),
      relu(),
    ]);
  return sequential(layers);
}

/** Starts near 0, which nearly all pixels of a target are. */
function heatMaps(width: number, joints: number): Layer {
  return conv2d(width, joints, 1, { initializer: headInitializer, biasInitializer: filledWith(0) });
}

function requireMultiple({ height, width }: ModelShape, of: number, name: string): void {
  if (height % of === 0 && width % of === 0) return;
  throw new UserError(
    `${name} takes images whose sides are multiples of ${of}, got ${height}×${width}; choose ${nearest(height, of)}×${nearest(width, of)}`,
  );
}

function nearest(length: number, of: number): number {
  return Math.max(of, of * Math.round(length / of));
}
