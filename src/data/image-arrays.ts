import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { UserError } from "../common/errors.ts";
import { classAt, type DataSource, type ImageClasses, imageClasses, isImageClasses } from "./source.ts";
import { checkLabels, checkLength, firstIndex, type Refuse, refusing, validateForm } from "./validate.ts";

/** Images with classes as plain arrays. */
export interface ImageArrays extends Omit<ImageClasses, "labels" | "read" | "fingerprint"> {
  /** [count, channels, height, width], pixel values 0 … maximum. */
  images: Uint8Array;
  /** [count], each an index into classNames. */
  labels: Uint8Array | Int32Array | readonly number[];
}

/**
 * Arrays as a source. Of a source with labels these are what counts, so that `{ ...source, labels }` is one with other
 * classes; any other source is returned as it is.
 *
 * @throws UserError naming the first thing of arrays that is wrong: counts, labels, pixels, normalization
 */
export function sourceOf(given: ImageArrays | ImageClasses): ImageClasses;
export function sourceOf<Source extends DataSource>(given: ImageArrays | Source): ImageClasses | Source;
export function sourceOf<Source extends DataSource>(given: ImageArrays | Source): ImageClasses | Source {
  if ("read" in given && !isImageClasses(given)) return given;
  const refuse = refusing(given);
  validateForm(given, refuse);
  checkLabels(given, refuse);
  const own = Int32Array.from(given.labels);
  if ("read" in given) {
    return {
      ...given,
      labels: own,
      read: (index) => ({ ...given.read(index), class: classAt(own, index) }),
    };
  }
  checkPixels(given, refuse);
  const { images, name, channels, height, width, classNames, maximum, mean, deviation } = given;
  const size = channels * height * width;
  return imageClasses(
    {
      ...{ name, channels, height, width, classNames, maximum, mean, deviation },
      labels: own,
      fingerprint: bytesToHex(sha256.create().update(images).update(new Uint8Array(own.buffer)).digest()),
    },
    (index) => images.subarray(index * size, (index + 1) * size) as Uint8Array<ArrayBuffer>,
  );
}

/** The parts of some data: what is trained on, what is tested on, and what is looked at beside it if anything is. */
export type Parts<Source> = Readonly<{ train: Source; validation?: Source; test: Source }>;

/**
 * The parts of some data as sources.
 *
 * @throws UserError for a part that is missing, and as {@link sourceOf}
 */
export function sourcesOf(given: Parts<ImageArrays | ImageClasses>): Parts<ImageClasses>;
export function sourcesOf<Source extends DataSource>(
  given: Parts<ImageArrays | Source>,
): Parts<ImageClasses | Source>;
export function sourcesOf<Source extends DataSource>(
  given: Parts<ImageArrays | Source>,
): Parts<ImageClasses | Source> {
  for (const part of ["train", "test"] as const) {
    if (given[part]) continue;
    throw new UserError(`the data have no ${part} images; give { train, test }, a data set of images each`);
  }
  const { train, validation, test } = given;
  return {
    train: sourceOf(train),
    ...(validation && { validation: sourceOf(validation) }),
    test: sourceOf(test),
  };
}

function checkPixels({ images, count, channels, height, width, maximum }: ImageArrays, refuse: Refuse): void {
  const size = channels * height * width;
  const shape = `${count} images of ${channels}×${height}×${width}`;
  checkLength("images", images, count * size, shape, "a Uint8Array", refuse);
  const isPixel = (pixel: number) => Number.isInteger(pixel) && pixel >= 0 && pixel <= maximum;
  // Bytes are at most 255.
  const wrong =
    images instanceof Uint8Array && maximum >= 255 ? -1 : firstIndex(images, (pixel) => !isPixel(pixel));
  if (wrong >= 0) {
    refuse(
      `image ${Math.floor(wrong / size)} has the pixel value ${images[wrong]}; pixels are whole numbers from 0 to maximum, which is ${maximum}`,
    );
  }
  // Kept as bytes, which would change other numbers.
  if (images instanceof Uint8Array) return;
  refuse(`images is of type ${Object.getPrototypeOf(images).constructor.name}; it has to be a Uint8Array`);
}
