import { UserError } from "../common/errors.ts";
import type { Random } from "../common/random.ts";
import type { TensorData } from "../onnx/tensor.ts";

// What data are to the rest of Lowland: samples that can be read by their index, wherever they lie.

/** One example by parts: `{ image, class }`, `{ image, mask }`, … */
export type Sample = Readonly<Record<string, TensorData>>;

/** What data sets are read for: a class for each image, a class for each pixel, or the joints of persons. */
export type SampleKind = "classes" | "masks" | "persons";

/** Random access to samples, in memory, in files, in an archive or behind a network. */
export interface DataSource<S extends Sample = Sample> {
  /** What people call it. */
  readonly name: string;
  readonly count: number;
  /** Tells one content from another: of the list of files, not of every byte. */
  readonly fingerprint: string;
  /** The sample at an index from 0 to count − 1. Its arrays belong to the source: do not write to them. */
  read(index: number): S | Promise<S>;
}

/** An image and the number of its class. */
export interface ClassSample extends Sample {
  /** [channels, height, width], 0 … maximum. */
  image: TensorData<"uint8">;
  /** [] */
  class: TensorData<"int32">;
}

/** Images of one size, each of one class. Labels are known without reading images. */
export interface ImageClasses extends DataSource<ClassSample> {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly classNames: readonly string[];
  /** [count], each an index into classNames. */
  readonly labels: Int32Array<ArrayBuffer>;
  /** The pixel value that stands for 1.0. */
  readonly maximum: number;
  /** Of each channel, on the 0 … 1 scale: what normalization subtracts and divides by. */
  readonly mean: readonly number[];
  readonly deviation: readonly number[];
  /** How pictures of other sizes were brought to this one; absent for images that have it. */
  readonly fit?: "crop" | "stretch" | "pad";
  read(index: number): ClassSample;
}

/** The parts of a set of images. */
export interface DatasetPair {
  train: ImageClasses;
  /** Measured during training beside the test part, where the data have it. */
  validation?: ImageClasses;
  test: ImageClasses;
  /** Closes the files that images are read from, if there are any; reading opens them again. */
  close?(): void;
}

/** What {@link imageClasses} needs to know besides where the pixels are. */
export type ImageClassesDescription = Omit<ImageClasses, "count" | "read">;

/**
 * Images of one size and their classes as a source.
 * @param pixels gives the pixels of an image, [channels, height, width]; a view will do
 * @throws UserError naming the first label that no class has
 */
export function imageClasses(
  description: ImageClassesDescription,
  pixels: (index: number) => Uint8Array<ArrayBuffer>,
): ImageClasses {
  const { name, labels, classNames, channels, height, width } = description;
  const wrong = labels.findIndex((label) => !(label >= 0 && label < classNames.length));
  if (wrong >= 0)
    throw new UserError(
      `${name}: image ${wrong} has the label ${labels[wrong]}; there are ${classNames.length} classes (0 … ${classNames.length - 1})`,
    );
  const shape = [channels, height, width];
  return {
    ...description,
    count: labels.length,
    read: (index) => ({
      image: { type: "uint8", shape, data: pixels(index) },
      class: classAt(labels, index),
    }),
  };
}

/** The class of an image, as its sample has it. */
export function classAt(labels: Int32Array<ArrayBuffer>, index: number): ClassSample["class"] {
  return { type: "int32", shape: [], data: labels.subarray(index, index + 1) };
}

/**
 * The samples of a source at these indices, in this order, as a source of their own. Only labels are copied. Of persons,
 * the samples become the whole truth: annotations and detected boxes are of whole pictures, and are left out.
 */
export function selected<Source extends DataSource>(source: Source, indices: ArrayLike<number>): Source {
  const chosen = Int32Array.from(indices);
  return {
    ...source,
    count: chosen.length,
    fingerprint: `${source.fingerprint}[${chosen.join()}]`,
    ...(isImageClasses(source) && { labels: chosen.map((index) => source.labels[index]) }),
    ...("annotated" in source && { annotated: undefined, withBoxes: undefined }),
    ...("scores" in source && { scores: Array.from(chosen, (index) => (source.scores as number[])[index]) }),
    read: (index: number) => source.read(chosen[index]),
  };
}

/**
 * Draws `count` different samples at random, in the order drawn.
 * @throws UserError when count is no integer from 1 to the number of samples
 */
export function subset<Source extends DataSource>(source: Source, count: number, random: Random): Source {
  if (!Number.isInteger(count) || count < 1 || count > source.count) {
    throw new UserError(
      `a subset of ${count} images was requested, but ${source.name} has ${source.count}; choose from 1 to ${source.count}`,
    );
  }
  return selected(source, random.permutation(source.count).subarray(0, count));
}

/**
 * Mean and (population) standard deviation of each channel over all images, on the 0 … 1 scale.
 * @param images [count, channels, pixels]
 */
export function measuredNormalization(
  images: Uint8Array,
  channels: number,
  pixels: number,
  maximum: number,
): Pick<ImageClasses, "mean" | "deviation"> {
  const sums = new ChannelSums(channels);
  for (let start = 0; start < images.length; start += channels * pixels)
    sums.add(images.subarray(start, start + channels * pixels));
  return sums.normalization(maximum);
}

/** The sum of each channel's pixels and the sum of their squares: [value, square] for each channel, one after the other. */
export function channelSums(image: Uint8Array, channels: number): number[] {
  const plane = image.length / channels;
  const sums: number[] = [];
  for (let channel = 0; channel < channels; channel++) {
    let [value, square] = [0, 0];
    const end = (channel + 1) * plane;
    for (let at = channel * plane; at < end; ) {
      // So many squares of bytes fit in 31 bits, where sums are fastest.
      const stop = Math.min(end, at + 2 ** 15);
      let [some, squares] = [0, 0];
      for (; at < stop; at++) {
        const pixel = image[at];
        some = (some + pixel) | 0;
        squares = (squares + pixel * pixel) | 0;
      }
      value += some;
      square += squares;
    }
    sums.push(value, square);
  }
  return sums;
}

/** Sums of each channel's pixels and their squares, gathered image by image. */
export class ChannelSums {
  private readonly sums: { value: number; square: number }[];
  private pixels = 0;

  constructor(channels: number) {
    this.sums = Array.from({ length: channels }, () => ({ value: 0, square: 0 }));
  }

  /** @param image [channels, …], all channels of the same size */
  add(image: Uint8Array): void {
    const channels = this.sums.length;
    this.addSums(channelSums(image, channels), image.length / channels);
  }

  /**
   * @param sums those of an image, as {@link channelSums} gives them
   * @param pixels of each channel
   */
  addSums(sums: ArrayLike<number>, pixels: number): void {
    for (const [channel, sum] of this.sums.entries()) {
      sum.value += sums[2 * channel];
      sum.square += sums[2 * channel + 1];
    }
    this.pixels += pixels;
  }

  /** Images of one value have no deviation: theirs is 1, so that normalization does not divide by zero. */
  normalization(maximum: number): Pick<ImageClasses, "mean" | "deviation"> {
    const mean = this.sums.map(({ value }) => value / this.pixels);
    const deviation = this.sums.map(({ square }, channel) => {
      const variance = square / this.pixels - mean[channel] ** 2;
      return variance > 0 ? Math.sqrt(variance) / maximum : 1;
    });
    return { mean: mean.map((value) => value / maximum), deviation };
  }
}

/** Whether a source holds images with classes. */
export function isImageClasses(source: DataSource): source is ImageClasses {
  return "classNames" in source && "labels" in source;
}
