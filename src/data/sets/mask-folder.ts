import { readdir, readFile } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { UserError } from "../../common/errors.ts";
import { whyUnreadable } from "../../common/file-errors.ts";
import { imageExtensions } from "../image-form.ts";
import type { MaskPair } from "../packed-masks.ts";
import { byCodePoint, partFolders } from "./class-parts.ts";
import { type MaskList, type MaskSplitOptions, withTestPart } from "./mask-list.ts";

// A folder of images and masks: `images/` and `masks/` with files of the same names; these two in a folder for each part,
// or a folder for each part in these two.

/**
 * Lists a folder of images with masks. Its parts are the folders `train`, `val` and `test`, beside `images` and `masks` or
 * in both of them. The classes are the lines of `classes.txt`, if it is there.
 * @throws UserError naming the folder, image or mask that does not fit
 */
export async function listMaskFolder(folder: string, options: MaskSplitOptions): Promise<MaskList> {
  const names = await namesIn(folder);
  const named = await classNamesIn(folder, names);
  const outer = partFolders(folder, names);
  if (outer.train !== undefined) {
    const pairs = (part: string | undefined) =>
      part === undefined ? undefined : pairsIn(join(part, "images"), join(part, "masks"));
    return { ...named, ...(await listed(pairs, outer, folder, options)) };
  }
  const [images, masks] = [join(folder, "images"), join(folder, "masks")];
  const inner = partFolders(images, await namesIn(images));
  if (inner.train !== undefined) {
    const pairs = (part: string | undefined) =>
      part === undefined ? undefined : pairsIn(part, join(masks, basename(part)));
    return { ...named, ...(await listed(pairs, inner, folder, options)) };
  }
  const lonely = [...Object.values(outer), ...Object.values(inner)][0];
  if (lonely !== undefined)
    throw new UserError(`${folder} has the folder ${lonely} and none named train; it needs one`);
  return { ...named, ...withTestPart({ train: await pairsIn(images, masks) }, folder, options) };
}

async function listed(
  pairsOf: (part: string | undefined) => Promise<MaskPair[]> | undefined,
  parts: ReturnType<typeof partFolders>,
  folder: string,
  options: MaskSplitOptions,
) {
  const train = (await pairsOf(parts.train)) ?? [];
  const [validation, test] = [await pairsOf(parts.validation), await pairsOf(parts.test)];
  return withTestPart({ train, validation, test }, folder, options);
}

/** Files that name the classes, a line each. */
const classFiles = ["classes.txt", "class_names.txt"];

/**
 * The names of the classes, where a folder has a file of them.
 * @param names of what is in the folder
 */
export async function classNamesIn(
  folder: string,
  names: readonly string[],
): Promise<Pick<MaskList, "classNames" | "namedIn">> {
  const file = classFiles.find((each) => names.includes(each));
  if (file === undefined) return {};
  const namedIn = join(folder, file);
  const classNames = linesOf(await readFile(namedIn, "utf8"));
  if (classNames.length < 2)
    throw new UserError(
      `${namedIn} names ${classNames.length} ${classNames.length === 1 ? "class" : "classes"}; segmentation needs two or more, a line each, the background included`,
    );
  return { classNames, namedIn };
}

/** The lines of a text without empty ones, whatever ends them. */
export function linesOf(text: string): string[] {
  return text
    .replace(/^\uFEFF/, "")
    .split(/\r\n|\n|\r/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** Every image with its mask, by code point. */
async function pairsIn(images: string, masks: string): Promise<MaskPair[]> {
  const imageNames = await filesIn(images);
  const maskNames = await filesIn(masks);
  if (imageNames.size === 0) throw new UserError(`${images} has no images`);
  const lonely = [...imageNames].find(([name]) => !maskNames.has(name));
  if (lonely !== undefined)
    throw new UserError(
      `${join(images, lonely[1])} has no mask; add ${join(masks, `${lonely[0]}.png`)}, or remove the image`,
    );
  const extra = [...maskNames].find(([name]) => !imageNames.has(name));
  if (extra !== undefined)
    throw new UserError(
      `the mask ${join(masks, extra[1])} has no image of the same name in ${images}; add it, or remove the mask`,
    );
  return [...imageNames].map(([name, file]) => ({
    image: join(images, file),
    mask: join(masks, maskNames.get(name) ?? ""),
  }));
}

/**
 * Picture files by their names without ends.
 * @throws UserError for two files of one name
 */
export async function filesIn(folder: string): Promise<Map<string, string>> {
  const files = (await namesIn(folder))
    .filter((name) => !name.startsWith(".") && imageExtensions.has(extname(name).toLowerCase()))
    .sort(byCodePoint);
  const found = new Map<string, string>();
  for (const file of files) {
    const name = basename(file, extname(file));
    const before = found.get(name);
    if (before !== undefined)
      throw new UserError(`${folder} has both ${before} and ${file}; keep one of them`);
    found.set(name, file);
  }
  return found;
}

/** The names of what is in a folder. */
export async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(
      error.code === "ENOENT"
        ? `there is no folder ${folder}; data with masks are a folder with images/ and masks/, or one in Pascal VOC's format (JPEGImages/, SegmentationClass/, ImageSets/Segmentation/)`
        : `the folder ${folder} cannot be read: ${whyUnreadable(error)}`,
    );
  });
}
