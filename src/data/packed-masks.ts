import { decodeImage } from "./image-file.ts";
import { UnreadableImage } from "./image-form.ts";
import { type ColorClasses, decodeMask, type MaskValue, sizeOf, valuesOf } from "./mask-file.ts";
import { type PackedFiles, type PackOptions, packFiles } from "./packed-files.ts";
import { channelSums } from "./source.ts";

/** A picture file and the file with the class of each of its pixels. */
export interface MaskPair {
  image: string;
  mask: string;
}

/** What is kept of a picture and its mask. */
export interface MaskFacts {
  /** {@link channelSums} of the image. */
  sums: readonly number[];
  /** Of the mask's file. */
  values: readonly MaskValue[];
  /** Values at the size of the form, each with its number of pixels. */
  pixels: readonly (readonly [value: number, pixels: number])[];
}

/**
 * Decodes pictures and masks into one file of bytes, each the image, [channels, height, width], and its mask, [height,
 * width]; or finds it in the cache. Pixels of both are taken as they are stored, without an EXIF orientation.
 * @param colors the classes of colors, of masks that hold colors
 * @throws UserError when the cache's disk has no room for the pixels
 */
export function packMasks(
  pairs: readonly MaskPair[],
  { colors, ...options }: PackOptions & { colors?: ColorClasses },
): Promise<PackedFiles<MaskFacts>> {
  const { form } = options;
  const { channels, height, width } = form;
  return packFiles(
    pairs.map(({ image, mask }) => [image, mask]),
    {
      ...options,
      form: { ...form, colors: colors ? [...colors] : "numbers" },
      bytes: pairs.length * (channels + 1) * height * width,
      decode: async ([image, mask]) => {
        const [{ data }, size] = await blaming(image, () =>
          Promise.all([decodeImage(image, { ...form, orientation: "ignore" }), sizeOf(image)]),
        );
        const { classes, values } = await blaming(mask, () => decodeMask(mask, form, size, colors));
        const bytes = new Uint8Array(data.length + classes.length);
        bytes.set(data);
        bytes.set(classes, data.length);
        const pixels = valuesOf(classes, width).map(([value, count]) => [value, count] as const);
        return [{ bytes, facts: { sums: channelSums(data, channels), values, pixels } }];
      },
    },
  );
}

async function blaming<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof UnreadableImage) error.path = path;
    throw error;
  }
}
