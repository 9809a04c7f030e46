/** From stored bytes to what a network sees: normalisation, and for training random crops, flips and cutout. */
import { UserError } from "../common/errors.ts";
import type { Random } from "../common/random.ts";
import type { ImageDataset } from "./dataset.ts";

/** What is done at random to a training image, in this order. What is left out is not done. */
export interface Augmentation {
  /**
   * The image is surrounded by so many pixels of value 0 (before normalisation, as in torchvision's `RandomCrop`)
   * and a window of the old size is cut out at a random place.
   */
  crop?: number;
  /** With probability ½ left and right are exchanged. */
  flip?: boolean;
  /**
   * With the given probability a square of size × size pixels becomes 0 after normalisation, i.e. the mean. Its
   * centre is any pixel of the image alike, so it may stick out (DeVries and Taylor 2017).
   */
  cutout?: { size: number; probability: number };
}

/**
 * Writes image `index` into `output` from `offset` on, as [channels, height, width]. `random` is drawn from as the
 * augmentation needs; without it the image is only normalised.
 */
export type ImageWriter = (index: number, output: Float32Array, offset: number, random?: Random) => void;

/**
 * Makes the function that turns images of a data set into network input: (pixel / maximum − mean) / deviation per
 * channel, augmented if asked for. The number of draws per image depends on the augmentation only, not on the draws.
 *
 * @throws UserError when a setting of the augmentation is out of range
 */
export function imageWriter(dataset: ImageDataset, augmentation: Augmentation = {}): ImageWriter {
  checkAugmentation(augmentation);
  const { images, channels, height, width } = dataset;
  const { crop = 0, flip = false, cutout } = augmentation;
  const tables = normalisationTables(dataset);

  return (index, output, offset, random) => {
    let down = 0; // The window's upper left corner, in coordinates of the unpadded image.
    let right = 0;
    let mirrored = false;
    if (random && crop > 0) {
      down = random.integer(2 * crop + 1) - crop;
      right = random.integer(2 * crop + 1) - crop;
    }
    if (random && flip) mirrored = random.uniform() < 0.5;

    // In every row the columns [from, to) of the output show the image, from source column `start` on by `step`.
    const step = mirrored ? -1 : 1;
    const start = mirrored ? right + width - 1 : right;
    const from = clamp(mirrored ? right : -right, width);
    const to = clamp(mirrored ? width + right : width - right, width);

    let target = offset;
    for (let channel = 0; channel < channels; channel++) {
      const table = tables[channel]!;
      const padding = table[0]!;
      const plane = (index * channels + channel) * height;
      for (let y = 0; y < height; y++, target += width) {
        const row = y + down;
        if (row < 0 || row >= height) {
          output.fill(padding, target, target + width);
          continue;
        }
        for (let x = 0; x < from; x++) output[target + x] = padding;
        let source = (plane + row) * width + start + step * from;
        for (let x = from; x < to; x++, source += step) output[target + x] = table[images[source]!]!;
        for (let x = to; x < width; x++) output[target + x] = padding;
      }
    }
    if (random && cutout) cutOut(output, offset, dataset, cutout, random);
  };
}

function cutOut(
  output: Float32Array,
  offset: number,
  { channels, height, width }: ImageDataset,
  { size, probability }: NonNullable<Augmentation["cutout"]>,
  random: Random,
) {
  const wanted = random.uniform() < probability;
  const top = random.integer(height) - (size >> 1);
  const left = random.integer(width) - (size >> 1);
  if (!wanted) return;
  for (let channel = 0; channel < channels; channel++) {
    for (let y = clamp(top, height); y < clamp(top + size, height); y++) {
      const row = offset + (channel * height + y) * width;
      output.fill(0, row + clamp(left, width), row + clamp(left + size, width));
    }
  }
}

/** For each channel the network input of each of the 256 pixel values. */
function normalisationTables({ channels, maximum, mean, deviation }: ImageDataset): Float32Array[] {
  return Array.from({ length: channels }, (_, channel) =>
    Float32Array.from(
      { length: 256 },
      (_, pixel) => (pixel / maximum - mean[channel]!) / deviation[channel]!,
    ),
  );
}

function clamp(value: number, maximum: number): number {
  return Math.min(Math.max(value, 0), maximum);
}

function checkAugmentation({ crop, cutout }: Augmentation) {
  const refuse = (setting: string, got: number, wanted: string) => {
    throw new UserError(`augmentation: ${setting} is ${got}; choose ${wanted}`);
  };
  if (crop !== undefined && !(Number.isInteger(crop) && crop >= 0)) {
    refuse("crop", crop, "the width of the padding in pixels, an integer of at least 0");
  }
  if (!cutout) return;
  if (!(Number.isInteger(cutout.size) && cutout.size >= 1)) {
    refuse("cutout.size", cutout.size, "the side of the square in pixels, an integer of at least 1");
  }
  if (!(cutout.probability >= 0 && cutout.probability <= 1)) {
    refuse("cutout.probability", cutout.probability, "a number from 0 to 1");
  }
}
