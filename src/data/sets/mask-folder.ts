import { readdir, readFile } from "node:fs/promises";
import { basename, extname, join, relative } from "node:path";
import { UserError } from "../../common/errors.ts";
import { randomStream } from "../../common/random.ts";
import { decodeImage, type ImageForm, imageExtensions, UnreadableImage } from "../image-file.ts";
import { decodeMask, sizeOf } from "../mask-file.ts";
import { type ImageMasks, ignoredClass, imageMasks, type MaskArrays } from "../masks.ts";
import { byCodePoint } from "./class-folder.ts";

// A folder of images and masks: `images/` and `masks/` with files of the same names, or these two in `train` and `test`.

export interface MaskFolderOptions {
  form: ImageForm;
  /** Share of the pairs that is for testing, where no folder says so. Default 0.2. */
  testShare?: number;
  /** Decides which. Default 1. */
  seed?: number;
  signal?: AbortSignal;
  /** Called with the number of pairs decoded so far. */
  onProgress?: (pairs: number, total: number) => void;
}

interface Pair {
  /** The name of both files without their ends. */
  name: string;
  image: string;
  mask: string;
}

/** Bytes of all decoded images and masks, which are kept in memory. */
const mostBytes = 2 ** 31;

/**
 * Loads images with masks. Masks are PNG files, with a palette or gray, that hold class numbers and 255 for pixels of no
 * class. Their names are the lines of `classes.txt`, or else as many numbers as the masks have. Images and masks are
 * brought to one size together, masks without mixing classes.
 *
 * @throws UserError naming the folder, pair or mask that does not fit, all files that cannot be read at once
 */
export async function loadMaskFolder(
  folder: string,
  { form, testShare = 0.2, seed = 1, ...following }: MaskFolderOptions,
): Promise<{ train: ImageMasks; test: ImageMasks }> {
  const names = await namesIn(folder);
  const held = ["test", "val", "validation"].find((name) => names.includes(name));
  if (names.includes("train") !== (held !== undefined))
    throw new UserError(
      `${folder} has one of the folders train and test (or val) only; it needs both, or none`,
    );
  let parts: { train: Pair[]; test: Pair[] };
  if (held === undefined) {
    const pairs = await pairsIn(folder);
    const order = randomStream(seed, "test share").permutation(pairs.length);
    const count = Math.round(testShare * pairs.length);
    if (count === 0 || count === pairs.length)
      throw new UserError(
        `${folder} has ${pairs.length} images, of which a share of ${testShare} leaves none for training or testing; add images, or choose another share`,
      );
    const tested = new Set(order.subarray(0, count));
    parts = {
      train: pairs.filter((_, index) => !tested.has(index)),
      test: pairs.filter((_, index) => tested.has(index)),
    };
  } else {
    parts = { train: await pairsIn(join(folder, "train")), test: await pairsIn(join(folder, held)) };
  }
  const { channels, height, width } = form;
  const total = parts.train.length + parts.test.length;
  if (total * (channels + 1) * height * width > mostBytes)
    throw new UserError(
      `${folder} has ${total} images, which take more than ${mostBytes / 2 ** 30} GiB at ${height}×${width}; choose a smaller size (--image-size)`,
    );
  const decoded = await decodeAll([...parts.train, ...parts.test], folder, { form, ...following });
  const classNames = names.includes("classes.txt")
    ? await classNamesIn(join(folder, "classes.txt"))
    : numbersIn(decoded.masks, folder);
  const arrays = (pairs: readonly Pair[], start: number): MaskArrays => {
    const plane = height * width;
    const end = start + pairs.length;
    return {
      ...{ name: folder, count: pairs.length, channels, height, width, classNames, maximum: 255 },
      images: decoded.images.subarray(start * channels * plane, end * channels * plane),
      masks: decoded.masks.subarray(start * plane, end * plane),
      nameOf: (index) => relative(folder, pairs[index].mask),
    };
  };
  const train = imageMasks(arrays(parts.train, 0));
  const { mean, deviation } = train;
  return { train, test: imageMasks({ ...arrays(parts.test, parts.train.length), mean, deviation }) };
}

/** Every image with its mask, by code point. */
async function pairsIn(folder: string): Promise<Pair[]> {
  const [images, masks] = [join(folder, "images"), join(folder, "masks")];
  const imageNames = await filesIn(images, imageExtensions);
  const maskNames = await filesIn(masks, imageExtensions);
  if (imageNames.size === 0) throw new UserError(`${images} has no images`);
  const lonely = [...imageNames.keys()].find((name) => !maskNames.has(name));
  if (lonely !== undefined)
    throw new UserError(
      `${join(images, imageNames.get(lonely)!)} has no mask; ${join(masks, `${lonely}.png`)} was expected`,
    );
  const extra = [...maskNames.keys()].find((name) => !imageNames.has(name));
  if (extra !== undefined)
    throw new UserError(`${join(masks, maskNames.get(extra)!)} has no image of the same name in ${images}`);
  return [...imageNames].map(([name, file]) => ({
    name,
    image: join(images, file),
    mask: join(masks, maskNames.get(name)!),
  }));
}

/** Files by their names without ends. */
async function filesIn(folder: string, extensions: ReadonlySet<string>): Promise<Map<string, string>> {
  const files = (await namesIn(folder))
    .filter((name) => !name.startsWith(".") && extensions.has(extname(name).toLowerCase()))
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

async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(
      error.code === "ENOENT"
        ? `there is no folder ${folder}; data with masks are a folder with images/ and masks/`
        : `the folder ${folder} cannot be read: ${error.message}`,
    );
  });
}

/** All pairs, one after the other. Every file is tried before the bad ones are named. */
async function decodeAll(
  pairs: readonly Pair[],
  folder: string,
  { form, signal, onProgress }: Pick<MaskFolderOptions, "form" | "signal" | "onProgress">,
): Promise<{ images: Uint8Array; masks: Uint8Array }> {
  const plane = form.height * form.width;
  const images = new Uint8Array(pairs.length * form.channels * plane);
  const masks = new Uint8Array(pairs.length * plane);
  const bad: string[] = [];
  for (const [index, pair] of pairs.entries()) {
    signal?.throwIfAborted();
    for (const file of [pair.image, pair.mask]) {
      try {
        if (file === pair.image)
          images.set((await decodeImage(file, form)).data, index * form.channels * plane);
        else masks.set(await decodeMask(file, form, await sizeOf(pair.image)), index * plane);
      } catch (error) {
        if (!(error instanceof UnreadableImage)) throw error;
        bad.push(`${relative(folder, file)} (${error.message})`);
      }
    }
    onProgress?.(index + 1, pairs.length);
  }
  if (bad.length === 0) return { images, masks };
  const more = bad.length > 10 ? `, and ${bad.length - 10} more` : "";
  throw new UserError(
    `${folder}: ${bad.length} ${bad.length === 1 ? "file cannot" : "files cannot"} be used: ${bad.slice(0, 10).join(", ")}${more}`,
  );
}

async function classNamesIn(file: string): Promise<string[]> {
  const lines = (await readFile(file, "utf8")).split(/\r?\n/).map((line) => line.trim());
  return lines.filter((line) => line !== "");
}

/** As many numbers as there are classes in the masks. */
function numbersIn(masks: Uint8Array, folder: string): string[] {
  const largest = masks.reduce((most, value) => (value === ignoredClass ? most : Math.max(most, value)), 0);
  if (largest === 0)
    throw new UserError(
      `${folder}: the masks hold no class but 0${masks.includes(ignoredClass) ? `, and ${ignoredClass}, which is for pixels of no class; write 1 where ${ignoredClass} stands for a class` : ""}; segmentation needs two classes or more`,
    );
  return Array.from({ length: largest + 1 }, (_, index) => String(index));
}
