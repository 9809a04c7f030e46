import { UserError } from "../../common/errors.ts";
import type { ImageMasks } from "../masks.ts";
import { colorTable, isColor } from "./mask-colors.ts";
import { listMaskFolder } from "./mask-folder.ts";
import type { MaskList, MaskSplitOptions } from "./mask-list.ts";
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
  const named = table ? { ...list, ...table, ignoredColor: undefined, namedIn: "images.maskColors" } : list;
  return loadMaskPictures(withIgnored(named, ignoredColor), options);
}

/** @throws UserError for what is no color, for that of a class, and for masks that hold no colors */
function withIgnored(list: MaskList, ignoredColor: string | undefined): MaskList {
  if (ignoredColor === undefined) return list;
  if (!isColor(ignoredColor))
    throw new UserError(
      `images.ignoredColor is "${ignoredColor}"; write it as #ff8000, with two hexadecimal digits each for red, green and blue`,
    );
  if (!list.colors)
    throw new UserError(
      `images.ignoredColor is ${ignoredColor}, and no class has a color; name these too (images.maskColors, --mask-color), or leave it out`,
    );
  const taken = list.colors.indexOf(ignoredColor.toLowerCase());
  if (taken >= 0)
    throw new UserError(
      `${ignoredColor} is images.ignoredColor and the color of ${list.classNames?.[taken]}; choose another for pixels of no class`,
    );
  return { ...list, ignoredColor };
}
