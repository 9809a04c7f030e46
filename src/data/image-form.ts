// What a picture file means, however it is decoded.

/** How pictures of many sizes become images of one size. */
export interface ImageForm {
  channels: 1 | 3;
  height: number;
  width: number;
  /**
   * - `crop`: scaled until it covers the size, the rest cut off evenly (the usual evaluation crop).
   * - `stretch`: scaled along each axis, so proportions change.
   * - `pad`: scaled until it fits inside, the rest black.
   */
  fit: "crop" | "stretch" | "pad";
}

/** How a picture file is decoded. */
export interface DecodeOptions extends Partial<ImageForm> {
  /**
   * What is done about the EXIF orientation: `apply` (default) turns the picture as viewers show it, `ignore` leaves pixels
   * as they are stored, which coordinates of annotations belong to.
   */
  orientation?: "apply" | "ignore";
}

/** A picture in memory. */
export interface DecodedImage {
  channels: 1 | 3;
  height: number;
  width: number;
  /** [channels, height, width], 0 … 255. */
  data: Uint8Array;
}

/** A file that is no picture, or only a part of one. The message says why, without the path. */
export class UnreadableImage extends Error {
  override readonly name = "UnreadableImage";
  /** Which file it is, where several are read together. */
  path?: string;
}

/** Extensions that are looked at in folders, in lower case. The content decides what a file is, not its name. */
export const imageExtensions: ReadonlySet<string> = new Set([
  ".jpg",
  ".jpeg",
  ".png",
  ".webp",
  ".gif",
  ".tif",
  ".tiff",
  ".avif",
  ".bmp",
]);

/** A file of a few bytes can say that it has billions of pixels. */
export const mostPixels = 2 ** 28;

/** Pillow's fixed-point weights of 0.299, 0.587 and 0.114: equal channels stay what they are. */
export function luminance(planes: Uint8Array, pixels: number): Uint8Array {
  const gray = new Uint8Array(pixels);
  for (let at = 0; at < pixels; at++)
    gray[at] =
      (planes[at] * 19595 + planes[pixels + at] * 38470 + planes[2 * pixels + at] * 7471 + 0x8000) >> 16;
  return gray;
}
