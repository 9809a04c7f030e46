import type { ImageMasks } from "../masks.ts";
import { colorTable } from "./mask-colors.ts";
import { listMaskFolder } from "./mask-folder.ts";
import type { MaskSplitOptions } from "./mask-list.ts";
import { loadMaskPictures } from "./mask-pictures.ts";
import type { PictureSetOptions } from "./packed-set.ts";
import { findVoc, listVocFolder } from "./voc-folder.ts";

export interface MaskColorOptions {
  /** For masks that hold colors: the color of each class, as `#ff8000`. Classes are numbered in this order. */
  maskColors?: Readonly<Record<string, string>>;
  /** For masks that hold colors: the color of pixels of no class. */
  ignoredColor?: string;
}

/**
 * Loads a folder of pictures and masks: one in Pascal VOC's format, or one with `images/` and `masks/`.
 * @throws UserError naming what is wrong with the folder, its lists, its pictures or its masks
 */
export async function loadMaskSet(
  folder: string,
  { maskColors, ignoredColor, testShare }: MaskColorOptions & Pick<MaskSplitOptions, "testShare">,
  options: PictureSetOptions,
): Promise<{ train: ImageMasks; validation?: ImageMasks; test: ImageMasks; close(): void }> {
  const voc = await findVoc(folder);
  const list = voc
    ? await listVocFolder(voc, { testShare, log: options.log })
    : await listMaskFolder(folder, { testShare });
  const table = maskColors && colorTable(maskColors, "images.maskColors");
  const named = table ? { ...list, ...table, ignoredColor, namedIn: "images.maskColors" } : list;
  return loadMaskPictures(named, options);
}
