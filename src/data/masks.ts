import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { UserError } from "../common/errors.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { type DataSource, type ImageClasses, measuredNormalization, type Sample } from "./source.ts";
import { checkLength, refusing, validateForm } from "./validate.ts";

/** The value of a mask's pixels that are of no class: borders, padding. */
export const ignoredClass = 255;

/** An image and the class of each of its pixels. */
export interface MaskSample extends Sample {
  /** [channels, height, width], 0 … maximum. */
  image: TensorData<"uint8">;
  /** [height, width]: a class, or {@link ignoredClass}. */
  mask: TensorData<"uint8">;
}

/** Images of one size, each with a mask. */
export interface ImageMasks
  extends DataSource<MaskSample>,
    Pick<
      ImageClasses,
      "channels" | "height" | "width" | "classNames" | "maximum" | "mean" | "deviation" | "fit"
    > {
  /** Share of the pixels that have a class. Tells these from images with a class each. */
  readonly classShare: number;
  /** How many pixels each class has, in all masks or in some of them: what `classWeights` reads. */
  readonly classPixels?: readonly number[];
}

/** Images and masks as plain arrays. */
export interface MaskArrays
  extends Pick<ImageMasks, "name" | "count" | "channels" | "height" | "width" | "classNames" | "maximum">,
    Partial<Pick<ImageMasks, "mean" | "deviation">> {
  /** [count, channels, height, width], 0 … maximum. */
  images: Uint8Array;
  /** [count, height, width], each an index into classNames, or {@link ignoredClass}. */
  masks: Uint8Array;
  /** What messages call an image and its mask. Default: `mask 3`. */
  nameOf?: (index: number) => string;
}

/**
 * Arrays of images and masks as a source. Mean and deviation are those of the images unless they are given; a test part
 * has those of its training part.
 *
 * @throws UserError naming the first thing that is wrong: sizes, a mask's value that no class has
 */
export function imageMasks({
  images,
  masks,
  nameOf = (index) => `mask ${index}`,
  ...form
}: MaskArrays): ImageMasks {
  const { count, channels, height, width, classNames, maximum } = form;
  const plane = height * width;
  const { mean, deviation } = { ...measuredNormalization(images, channels, plane, maximum), ...form };
  const description = { ...form, mean, deviation };
  const refuse = refusing(form);
  validateForm(description, refuse);
  if (classNames.length > ignoredClass)
    refuse(`it has ${classNames.length} classes; masks of bytes have at most ${ignoredClass}`);
  checkLength("images", images, count * channels * plane, "one value for each pixel", "a Uint8Array", refuse);
  checkLength("masks", masks, count * plane, "one class for each pixel", "a Uint8Array", refuse);
  const wrong = masks.findIndex((value) => value >= classNames.length && value !== ignoredClass);
  if (wrong >= 0) {
    const index = Math.floor(wrong / plane);
    const same = masks.subarray(index * plane, (index + 1) * plane).filter((value) => value === masks[wrong]);
    refuse(
      `${nameOf(index)} has the value ${masks[wrong]} in ${same.length} of ${plane} pixels; there are ${classNames.length} classes (0 … ${classNames.length - 1}), and ${ignoredClass} for pixels of none`,
    );
  }
  const counts = classPixels([masks], classNames.length);
  const part = (array: Uint8Array, index: number, size: number) =>
    array.subarray(index * size, (index + 1) * size) as Uint8Array<ArrayBuffer>;
  return {
    ...description,
    classShare: counts.reduce((sum, pixels) => sum + pixels, 0) / masks.length,
    classPixels: counts,
    fingerprint: bytesToHex(sha256.create().update(images).update(masks).digest()),
    read: (index) => ({
      image: { type: "uint8", shape: [channels, height, width], data: part(images, index, channels * plane) },
      mask: { type: "uint8", shape: [height, width], data: part(masks, index, plane) },
    }),
  };
}

/** How many pixels of masks each class has. */
export function classPixels(masks: Iterable<Uint8Array>, classes: number): number[] {
  const counts = new Array<number>(classes).fill(0);
  for (const mask of masks) for (const value of mask) if (value < classes) counts[value]++;
  return counts;
}

/** @throws UserError for data without masks */
export function masksOf(source: DataSource): ImageMasks {
  if ("classShare" in source) return source as ImageMasks;
  throw new UserError(
    `${source.name} has no masks: segmentation needs a class for each pixel, as wardrobe and a folder of pictures and masks have`,
  );
}
