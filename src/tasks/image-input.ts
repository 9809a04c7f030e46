import { UserError } from "../common/errors.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { tensorData } from "../graph/constants.ts";
import { elementCount, type Shape, type Value } from "../graph/graph.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { concat, reshape, transpose } from "../ops/movement.ts";
import { reduceSum } from "../ops/reduction.ts";
import { resize } from "../ops/resize.ts";

// Images of a data set as a model of somebody else takes them: its size, its channels, its scale of numbers.

/**
 * What pixels become, on the scale 0 … 1 before: (x − mean) / deviation.
 * - `dataset`: by mean and deviation of the data set, as `train` does.
 * - `imagenet`: by those of ImageNet, as torchvision's and most published image networks want it.
 * - `unit`: 0 … 1; `symmetric`: −1 … 1.
 */
export const normalizations = ["dataset", "imagenet", "unit", "symmetric"] as const;
export type Normalization = (typeof normalizations)[number];

const imagenet = { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] };

/** Luminance of red, green and blue (ITU-R BT.601). */
const luminance = [0.299, 0.587, 0.114];

export interface ImageInput {
  /** From images as `trainingBatches` gives them, [N, C, H, W], to what the model takes. */
  adapt: (images: Value, shape: Shape) => Value;
  /** What is done, in words. */
  describe: (shape: Shape) => string;
}

/**
 * Images as a model takes them, whose input is [N, C, H, W], [N, H, W, C], or of any other rank with as many numbers:
 * resized (linear, stretched), grey repeated over the channels or colours made grey, normalised.
 */
export function imageInput(dataset: ImageDataset, normalization: Normalization): ImageInput {
  return {
    adapt: (images, shape) => adaptImages(images, shape, dataset, normalization),
    describe: (shape) => describeInput(shape, dataset, normalization),
  };
}

interface Layout {
  channels: number;
  size: readonly [height: number, width: number];
  /** Whether the channels are the last axis. */
  isLast: boolean;
  isFlat: boolean;
}

function layoutOf(shape: Shape, { channels, height, width }: ImageDataset): Layout {
  if (shape.length === 4) {
    const isLast = [1, 3].includes(shape[3]) && ![1, 3].includes(shape[1]);
    const [own, ...size] = isLast ? [shape[3], shape[1], shape[2]] : shape.slice(1);
    const canBe = own === channels || own === 1 || channels === 1;
    if (canBe) return { channels: own, size: [size[0], size[1]], isLast, isFlat: false };
  } else if (elementCount(shape.slice(1)) === channels * height * width) {
    return { channels, size: [height, width], isLast: false, isFlat: true };
  }
  throw new UserError(
    `the model takes [${shape.join(", ")}], which images of ${channels}×${height}×${width} cannot be made into; it has to be [batch, channels, height, width], [batch, height, width, channels] or as many numbers`,
  );
}

function adaptImages(
  images: Value,
  shape: Shape,
  dataset: ImageDataset,
  normalization: Normalization,
): Value {
  const { channels, size, isLast, isFlat } = layoutOf(shape, dataset);
  const scale = scaleOf(normalization, dataset, channels);
  const [batch, , height, width] = images.shape;
  const isAsLoaded = channels === dataset.channels && normalization === "dataset";
  // (x − m)/s = x·(1/s) + (−m/s), and back from the data set's own scale: x·σ + μ.
  const coloured = isAsLoaded
    ? images
    : affine(
        withChannels(affine(images, dataset.deviation, dataset.mean), channels),
        scale.deviation.map((value) => 1 / value),
        scale.mean.map((value, channel) => -value / scale.deviation[channel]),
      );
  const fits = height === size[0] && width === size[1];
  const resized = fits ? coloured : resize(coloured, [batch, channels, ...size]);
  if (isFlat) return reshape(resized, shape);
  return isLast ? transpose(resized, [0, 2, 3, 1]) : resized;
}

function withChannels(x: Value, channels: number): Value {
  const own = x.shape[1];
  if (own === channels) return x;
  if (own === 1)
    return concat(
      Array.from({ length: channels }, () => x),
      1,
    );
  const weights = own === luminance.length ? luminance : new Array(own).fill(1 / own);
  return reduceSum(mul(x, perChannel(x, weights)), [1], true);
}

/** x·factor + shift, channel by channel. */
function affine(x: Value, factor: readonly number[], shift: readonly number[]): Value {
  return add(mul(x, perChannel(x, factor)), perChannel(x, shift));
}

function perChannel(x: Value, values: readonly number[]): Value {
  return x.graph.constant(tensorData(values, [1, values.length, 1, 1], x.type as "float32"));
}

function scaleOf(normalization: Normalization, { mean, deviation }: ImageDataset, channels: number) {
  const all = (value: number) => new Array<number>(channels).fill(value);
  const average = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const fitting = (values: readonly number[]) => (values.length === channels ? values : all(average(values)));
  switch (normalization) {
    case "dataset":
      return { mean: fitting(mean), deviation: fitting(deviation) };
    case "imagenet":
      return { mean: fitting(imagenet.mean), deviation: fitting(imagenet.deviation) };
    case "unit":
      return { mean: all(0), deviation: all(1) };
    case "symmetric":
      return { mean: all(0.5), deviation: all(0.5) };
  }
}

function describeInput(shape: Shape, dataset: ImageDataset, normalization: Normalization): string {
  const { channels, size } = layoutOf(shape, dataset);
  const { mean, deviation } = scaleOf(normalization, dataset, channels);
  const from = `${dataset.channels}×${dataset.height}×${dataset.width}`;
  const to = `${channels}×${size.join("×")}`;
  const how = [
    dataset.height === size[0] && dataset.width === size[1] ? undefined : "resized",
    channels === dataset.channels ? undefined : channels > 1 ? "grey repeated" : "made grey",
  ].filter((part) => part !== undefined);
  const numbers = (values: readonly number[]) =>
    [...new Set(values.map((value) => Number(value.toFixed(4))))].join(", ");
  return `images ${from}${from === to ? "" : ` → ${to} (${how.join(", ")})`}, normalised by mean ${numbers(mean)} and deviation ${numbers(deviation)} (${normalization})`;
}
