import { decodeImage } from "./image-file.ts";
import { type PackedFiles, type PackOptions, packFiles } from "./packed-files.ts";
import { ChannelSums, channelSums, type ImageClasses } from "./source.ts";

/** Pictures of one size in one file. */
export interface PackedImages extends Omit<PackedFiles<unknown>, "facts" | "lengths"> {
  /** Mean and deviation over some of the images. */
  normalization(indices: Iterable<number>): Pick<ImageClasses, "mean" | "deviation">;
}

/**
 * Decodes picture files into one file of bytes, [channels, height, width] each, or finds it in the cache.
 * @throws UserError when the cache's disk has no room for the pixels
 */
export async function packImages(paths: readonly string[], options: PackOptions): Promise<PackedImages> {
  const { form } = options;
  const { channels, height, width } = form;
  const {
    facts,
    lengths: _,
    ...packed
  } = await packFiles(
    paths.map((path) => [path]),
    {
      ...options,
      bytes: paths.length * channels * height * width,
      decode: async ([path]) => {
        const { data } = await decodeImage(path, form);
        return [{ bytes: data, facts: channelSums(data, channels) }];
      },
    },
  );
  return {
    ...packed,
    normalization: (indices) => normalizationOf(facts, indices, { channels, pixels: height * width }),
  };
}

/**
 * Mean and deviation over some images.
 * @param sums {@link channelSums} of each image
 * @param pixels of each channel
 */
export function normalizationOf(
  sums: readonly (readonly number[])[],
  indices: Iterable<number>,
  { channels, pixels }: { channels: number; pixels: number },
): Pick<ImageClasses, "mean" | "deviation"> {
  const all = new ChannelSums(channels);
  for (const image of indices) all.addSums(sums[image], pixels);
  return all.normalization(255);
}
