import { UserError } from "../common/errors.ts";
import type { ImageClasses } from "../data/source.ts";
import { elementCount, type Shape, type Value } from "../graph/graph.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { concat, reshape, transpose } from "../ops/movement.ts";
import { reduceSum } from "../ops/reduction.ts";
import { resize } from "../ops/resize.ts";

// Images of a data set as a model of somebody else takes them: its size, its channels, its scale of numbers.

/**
 * What pixels become, on the scale 0 … 1 before: (x − mean) / deviation.
 * - `dataset`: by mean and deviation of the data set.
 * - `imagenet`: by those of ImageNet, as torchvision's and most published image networks want it.
 * - `unit`: 0 … 1; `symmetric`: −1 … 1.
 */
export const normalizations = ["dataset", "imagenet", "unit", "symmetric"] as const;
export type Normalization = (typeof normalizations)[number];

const imagenet = { mean: [0.485, 0.456, 0.406], deviation: [0.229, 0.224, 0.225] };

/** Luminance of red, green and blue (ITU-R BT.601). */
const luminance = [0.299, 0.587, 0.114];

/** What the pixels of an input are, for the metadata of a written model. */
export interface InputDescription {
  layout: "NCHW" | "NHWC" | "flat";
  channels: "gray" | "RGB" | "other";
  /** The values that stand for black and white. */
  range: readonly [low: number, high: number];
  /** Of an input that is normalized outside the model: what is done to values of that range, channel by channel. */
  normalization?: { mean: readonly number[]; deviation: readonly number[] };
  /** How pictures of other sizes were brought to its size in training, where they were. */
  fit?: ImageClasses["fit"];
}

/** A set of images, as far as it matters for what becomes of them. */
export type StoredImages = Pick<
  ImageClasses,
  "name" | "channels" | "height" | "width" | "maximum" | "mean" | "deviation" | "fit"
>;

/** What a file's own metadata say of the pixels that it takes. */
type OwnScale = Pick<InputDescription, "range" | "normalization">;

export interface ImageInput {
  /** From stored pixels, [N, C, H, W], to what the model takes. */
  adapt: (images: Value, shape: Shape) => Value;
  /** What is done, in words. */
  describe: (shape: Shape) => string;
  /** What the model takes, for its metadata. */
  description: (shape: Shape) => InputDescription;
}

/**
 * Images as a model takes them, whose input is [N, C, H, W], [N, H, W, C], or of any other rank with as many elements:
 * resized (linear, stretched), gray repeated over the channels or colors made gray, normalized.
 */
export function imageInput(images: StoredImages, normalization: Normalization | OwnScale): ImageInput {
  return {
    adapt: (pixels, shape) => adaptImages(pixels, shape, images, normalization),
    describe: (shape) => describeInput(shape, images, normalization),
    description: (shape) => {
      const { channels, isLast, isFlat } = layoutOf(shape, images);
      const { range, normalization: own } = scaleOf(normalization, images, channels);
      const layout = isFlat ? "flat" : isLast ? "NHWC" : "NCHW";
      const { fit } = images;
      return {
        ...{ layout, channels: colorsOf(channels), range },
        ...(own && { normalization: own }),
        ...(fit && { fit }),
      };
    },
  };
}

/**
 * What a task on images has in common with every other: its input is pixels as they are stored, [channels, height,
 * width], and the graph normalizes them by the set's mean and deviation.
 */
export function storedImages(set: StoredImages) {
  const { name, channels, height, width, maximum, mean, deviation, fit } = set;
  const description: InputDescription = {
    layout: "NCHW",
    channels: colorsOf(channels),
    range: [0, maximum],
    ...(fit && { fit }),
  };
  return {
    images: { name, channels, height, width, maximum, mean, deviation, ...(fit && { fit }) },
    input: [channels, height, width],
    metadata: { input: description },
    // (x / maximum − mean) / deviation as one product and one sum.
    prepare: (input: Value) =>
      affine(
        input,
        deviation.map((value) => 1 / (value * maximum)),
        mean.map((value, channel) => -value / deviation[channel]),
      ),
  };
}

/** An image as a row's input: numbers as they are stored. */
export function pixelRow({ shape, data }: { shape: Shape; data: Uint8Array }): TensorData<"float32"> {
  return { type: "float32", shape, data: new Float32Array(data) };
}

function colorsOf(channels: number): InputDescription["channels"] {
  return channels === 1 ? "gray" : channels === 3 ? "RGB" : "other";
}

/** x·factor + shift, channel by channel of [N, C, H, W]. */
function affine(x: Value, factors: readonly number[], shifts: readonly number[]): Value {
  return add(mul(x, perChannel(x, factors)), perChannel(x, shifts));
}

interface Layout {
  channels: number;
  size: readonly [height: number, width: number];
  /** Whether the channels are the last axis. */
  isLast: boolean;
  isFlat: boolean;
}

function layoutOf(shape: Shape, { channels, height, width }: StoredImages): Layout {
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
  pixels: Value,
  shape: Shape,
  images: StoredImages,
  normalization: Normalization | OwnScale,
): Value {
  const { channels, size, isLast, isFlat } = layoutOf(shape, images);
  const { factors, shifts } = scaleOf(normalization, images, channels);
  const [batch, , height, width] = pixels.shape;
  const colored = withChannels(pixels, channels);
  const isAsStored = factors.every((factor) => factor === 1) && shifts.every((shift) => shift === 0);
  const scaled = isAsStored ? colored : affine(colored, factors, shifts);
  const fits = height === size[0] && width === size[1];
  const resized = fits ? scaled : resize(scaled, [batch, channels, ...size]);
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

function perChannel(x: Value, values: readonly number[]): Value {
  return x.graph.constant(tensorData(values, [1, values.length, 1, 1], x.type as "float32"));
}

interface Scale extends OwnScale {
  /** What stored pixels are multiplied by, and what is added then. */
  factors: readonly number[];
  shifts: readonly number[];
}

function scaleOf(normalization: Normalization | OwnScale, images: StoredImages, channels: number): Scale {
  const { range, normalization: own } =
    typeof normalization === "string"
      ? { range: [0, 1] as const, normalization: namedScale(normalization, images, channels) }
      : normalization;
  const [low, high] = range;
  const { mean, deviation } = own ?? { mean: repeated(0, channels), deviation: repeated(1, channels) };
  if (mean.length !== channels || deviation.length !== channels) {
    throw new UserError(
      `the model's metadata normalize ${mean.length} channels, but it takes ${channels}; say how its pixels are scaled (normalization, --normalization)`,
    );
  }
  return {
    ...{ range, normalization: own },
    factors: deviation.map((value) => (high - low) / images.maximum / value),
    shifts: mean.map((value, channel) => (low - value) / deviation[channel]),
  };
}

function namedScale(normalization: Normalization, { mean, deviation }: StoredImages, channels: number) {
  const average = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const fitting = (values: readonly number[]) =>
    values.length === channels ? values : repeated(average(values), channels);
  switch (normalization) {
    case "dataset":
      return { mean: fitting(mean), deviation: fitting(deviation) };
    case "imagenet":
      return { mean: fitting(imagenet.mean), deviation: fitting(imagenet.deviation) };
    case "unit":
      return { mean: repeated(0, channels), deviation: repeated(1, channels) };
    case "symmetric":
      return { mean: repeated(0.5, channels), deviation: repeated(0.5, channels) };
    default:
      return normalization satisfies never;
  }
}

/** How pictures become images, in words. */
const fitText: Record<NonNullable<ImageClasses["fit"]>, string> = {
  crop: "scaled and cropped",
  stretch: "stretched",
  pad: "scaled and padded",
};

function repeated(value: number, count: number): number[] {
  return new Array<number>(count).fill(value);
}

function describeInput(shape: Shape, images: StoredImages, normalization: Normalization | OwnScale): string {
  const { channels, size } = layoutOf(shape, images);
  const { range, normalization: own } = scaleOf(normalization, images, channels);
  const from = `${images.channels}×${images.height}×${images.width}`;
  const to = `${channels}×${size.join("×")}`;
  const how = [
    images.height === size[0] && images.width === size[1] ? undefined : "resized",
    channels === images.channels ? undefined : channels > 1 ? "gray repeated" : "made gray",
  ].filter((part) => part !== undefined);
  const numbers = (values: readonly number[]) =>
    [...new Set(values.map((value) => Number(value.toFixed(4))))].join(", ");
  const scale = own
    ? `normalized by mean ${numbers(own.mean)} and deviation ${numbers(own.deviation)}`
    : `as pixels from ${range[0]} to ${range[1]}`;
  const source = typeof normalization === "string" ? normalization : "the file's metadata";
  const fitted = images.fit && `pictures ${fitText[images.fit]}; `;
  return `${fitted ?? ""}images ${from}${from === to ? "" : ` → ${to} (${how.join(", ")})`}, ${scale} (${source})`;
}
