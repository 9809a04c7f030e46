import { UserError } from "../common/errors.ts";
import type { Random } from "../common/random.ts";

/** What is done at random to a training image, in this order. What is left out is not done. */
export interface Augmentation {
  /** The image is surrounded by this many pixels of value 0 and a window of its size is cut out at a random place. */
  crop?: number;
  /** With probability ½ left and right are exchanged. */
  flip?: boolean;
  /**
   * With the given probability a square of size × size pixels takes the data's mean color. Its center is any pixel of the
   * image alike, so it may stick out (DeVries and Taylor 2017).
   */
  cutout?: { size: number; probability: number };
}

/** The form of images that are augmented, and the color of cutout's square. */
export interface AugmentedForm {
  channels: number;
  height: number;
  width: number;
  /** Of each channel, in pixel values. */
  fill: readonly number[];
  /** The value of pixels outside the image. Default 0. */
  padding?: number;
}

/** Where an augmented image's pixels come from: drawn first, so that an image and its mask can share it. */
export interface ImageMove {
  /** The window's upper left corner, in coordinates of the image without its padding. */
  top: number;
  left: number;
  mirrored: boolean;
  /** The square to blank, cut to the image; absent for none. */
  blank?: { top: number; left: number; bottom: number; right: number };
}

/**
 * Draws what happens to one image. The number of draws depends on the settings only, not on what is drawn.
 */
export function drawMove(
  { crop = 0, flip = false, cutout }: Augmentation,
  { height, width }: Pick<AugmentedForm, "height" | "width">,
  random: Random,
): ImageMove {
  const move: ImageMove = {
    top: crop > 0 ? random.integer(2 * crop + 1) - crop : 0,
    left: crop > 0 ? random.integer(2 * crop + 1) - crop : 0,
    mirrored: flip && random.uniform() < 0.5,
  };
  if (!cutout) return move;
  const isBlanked = random.uniform() < cutout.probability;
  const top = random.integer(height) - (cutout.size >> 1);
  const left = random.integer(width) - (cutout.size >> 1);
  if (!isBlanked) return move;
  return {
    ...move,
    blank: {
      top: clamp(top, height),
      left: clamp(left, width),
      bottom: clamp(top + cutout.size, height),
      right: clamp(left + cutout.size, width),
    },
  };
}

/**
 * An image as a move shows it, in new memory.
 * @param pixels [channels, height, width]
 */
export function moved(
  pixels: Uint8Array,
  { channels, height, width, fill, padding = 0 }: AugmentedForm,
  { top, left, mirrored, blank }: ImageMove,
): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(pixels.length).fill(padding);
  // In every row the columns [from, to) of the result show the image, from source column `start` on by `step`.
  const step = mirrored ? -1 : 1;
  const start = mirrored ? left + width - 1 : left;
  const from = clamp(mirrored ? left : -left, width);
  const to = clamp(mirrored ? width + left : width - left, width);
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < height; y++) {
      const row = y + top;
      if (row < 0 || row >= height) continue;
      const target = (channel * height + y) * width;
      let source = (channel * height + row) * width + start + step * from;
      if (step === 1) {
        result.set(pixels.subarray(source, source + to - from), target + from);
        continue;
      }
      for (let x = from; x < to; x++, source--) result[target + x] = pixels[source];
    }
    if (!blank) continue;
    for (let y = blank.top; y < blank.bottom; y++) {
      const row = (channel * height + y) * width;
      result.fill(fill[channel], row + blank.left, row + blank.right);
    }
  }
  return result;
}

/** @throws UserError naming the setting that is out of range */
export function checkAugmentation({ crop, cutout }: Augmentation): void {
  const refuse = (setting: string, given: number, expected: string) => {
    throw new UserError(`augmentation: ${setting} is ${given}; choose ${expected}`);
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

function clamp(value: number, maximum: number): number {
  return Math.min(Math.max(value, 0), maximum);
}
