import { UserError } from "../../common/errors.ts";
import { type BadFile, describeBad } from "../bad-files.ts";
import { type PackOptions, packedBytes } from "../packed-files.ts";

export interface PictureSetOptions extends PackOptions {
  /** How messages name the set. */
  name: string;
  /** What to do about files that are no pictures. Default `"refuse"`. */
  onBadImage?: "refuse" | "skip";
  /** Gets a sentence for files that were left out, and one for the folder where decoded pictures are kept. */
  log?: (line: string) => void;
}

/**
 * Packs files, and says what was wrong with them and where they are kept.
 * @throws UserError naming up to ten files that cannot be read and the number of all, unless they are to be skipped
 */
export async function packedOrRefused<Packed extends { bad: readonly BadFile[] }>(
  pack: (options: PackOptions) => Promise<Packed>,
  options: PictureSetOptions,
): Promise<Packed> {
  const { name, cacheFolder, onBadImage = "refuse", log } = options;
  let isNew = false;
  const packed = await pack({
    ...options,
    onProgress: (...counts) => {
      isNew = true;
      options.onProgress?.(...counts);
    },
  });
  if (packed.bad.length > 0) {
    if (onBadImage === "refuse")
      throw new UserError(
        `${name}: ${describeBad(packed.bad)}; correct or remove them, or skip them with --on-bad-image skip`,
      );
    log?.(`${name}: ${describeBad(packed.bad)}; left out`);
  }
  if (isNew) log?.(await describeCache(cacheFolder));
  return packed;
}

/** A sentence on where decoded pictures are. */
export async function describeCache(cacheFolder: string): Promise<string> {
  const megabytes = (await packedBytes(cacheFolder)) / 1e6;
  return `Decoded pictures are kept in ${cacheFolder} (${megabytes.toFixed(1)} MB); what is not used for 30 days is removed`;
}
