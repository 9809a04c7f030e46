import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { decodeImage } from "#image-file";
import { UserError } from "../common/errors.ts";
import { type OptionKinds, readOptions } from "../common/options.ts";
import { type BadFile, describeBad } from "./bad-files.ts";
import { defaultSize, type PictureOptions } from "./data-options.ts";
import { type ImageForm, UnreadableImage } from "./image-form.ts";
import {
  byCodePoint,
  type ImageList,
  isPicture,
  type ListedImage,
  listClassTree,
} from "./sets/class-parts.ts";
import { ChannelSums, type DatasetPair, type ImageClasses, imageClasses } from "./source.ts";

// Pictures that a person chooses in a page: files of an input, a dropped folder, a folder's handle.

/** What is used of a `File`. */
export interface PictureFile {
  readonly name: string;
  /** Where it lies, from the folder that was chosen, that folder's name first. */
  readonly webkitRelativePath?: string;
  arrayBuffer(): Promise<ArrayBuffer>;
}

/** What is used of a `FileSystemDirectoryHandle`. */
export interface PictureFolder {
  readonly kind: "directory";
  readonly name: string;
  values(): AsyncIterable<PictureFolder | { kind: "file"; name: string; getFile(): Promise<PictureFile> }>;
}

/** A file under another path than its own, such as `"cats/1.jpg"`. */
export interface PlacedPicture {
  path: string;
  file: Pick<PictureFile, "arrayBuffer">;
}

export interface ImagesFromFilesOptions
  extends Pick<PictureOptions, "size" | "channels" | "fit" | "testShare" | "onBadImage"> {
  /** What people call the data. Default: the name of the folder, or `"pictures"`. */
  name?: string;
  /** The most pictures that are taken; they lie in memory, `channels · size²` bytes each. Default 20,000. */
  limit?: number;
  /** Gets a sentence for files that were left out (`onBadImage: "skip"`). */
  log?: (line: string) => void;
  /** Called with the number of pictures decoded so far. */
  onDecoded?: (pictures: number, total: number) => void;
  signal?: AbortSignal;
}

const optionKinds: OptionKinds<ImagesFromFilesOptions> = {
  size: "number",
  channels: "number",
  fit: ["crop", "stretch", "pad"],
  testShare: "number",
  onBadImage: ["refuse", "skip"],
  name: "text",
  limit: "number",
  log: "function",
  onDecoded: "function",
  signal: "object",
};

/**
 * Pictures with a folder for each class as data to train on: the files of an `<input type="file" webkitdirectory>`, a
 * `FileSystemDirectoryHandle` (`showDirectoryPicker()`, or of a dropped folder) or several, or files with paths. Folders
 * named `train`, `val` and `test` are the parts; without them a share of each class is for testing.
 *
 * ```js
 * const data = await imagesFromFiles(input.files, { size: 32 });
 * const { summary, model } = await train({ data, model: "cnn" });
 * ```
 * @throws UserError naming up to ten files that are no pictures and the number of all, unless they are to be skipped; for
 *   more pictures than `limit`; for files without a folder, and for classes as a folder of pictures on disk
 */
export async function imagesFromFiles(
  source: Iterable<PictureFile | PlacedPicture | PictureFolder> | ArrayLike<PictureFile> | PictureFolder,
  options: ImagesFromFilesOptions = {},
): Promise<DatasetPair> {
  readOptions("imagesFromFiles", options, optionKinds);
  const { size = defaultSize, channels = 3, fit = "crop", testShare, limit = 20_000 } = options;
  if (!(Number.isInteger(size) && size >= 1))
    throw new UserError(`imagesFromFiles: size is ${size}; it has to be a whole number of pixels, 1 or more`);
  if (![1, 3].includes(channels))
    throw new UserError(`imagesFromFiles: channels is ${channels}; choose 1 (gray) or 3 (RGB)`);
  const { name = "pictures", pictures } = await chosenPictures(source);
  if (pictures.size > limit)
    throw new UserError(
      `${pictures.size.toLocaleString("en")} pictures were chosen, and the limit is ${limit.toLocaleString("en")}; choose a folder with fewer`,
    );
  const called = options.name ?? name;
  const list = await listClassTree(treeOf(pictures), called, { testShare });
  return decodedPair(list, pictures, {
    ...options,
    name: called,
    form: { channels, height: size, width: size, fit },
  });
}

type Pictures = ReadonlyMap<string, Pick<PictureFile, "arrayBuffer">>;

/** The pictures by their path from the chosen folder. */
async function chosenPictures(
  source: Parameters<typeof imagesFromFiles>[0],
): Promise<{ name?: string; pictures: Pictures }> {
  const pictures = new Map<string, Pick<PictureFile, "arrayBuffer">>();
  const add = (path: string, file: Pick<PictureFile, "arrayBuffer">) => {
    if (!path.split("/").every((part) => !part.startsWith(".")) || !isPicture(lastOf(path))) return;
    if (!path.includes("/"))
      throw new UserError(
        `${path} lies in no folder, and a picture's folder is its class; choose a folder with a folder for each class`,
      );
    pictures.set(path, file);
  };
  const walk = async (folder: PictureFolder, prefix: string) => {
    for await (const entry of folder.values()) {
      const path = `${prefix}${entry.name}`;
      if (entry.kind === "directory") await walk(entry, `${path}/`);
      else if (isPicture(entry.name)) add(path, await entry.getFile());
    }
  };
  if (isFolder(source)) {
    await walk(source, "");
    return { name: source.name, pictures };
  }
  let name: string | undefined;
  for (const each of Array.from<PictureFile | PlacedPicture | PictureFolder>(source)) {
    if (isFolder(each)) await walk(each, `${each.name}/`);
    else if ("file" in each) add(each.path, each.file);
    else {
      // A path begins with the folder that was chosen.
      const [root, ...inside] = (each.webkitRelativePath || each.name).split("/");
      if (inside.length > 0) name = root;
      add(inside.length > 0 ? inside.join("/") : root, each);
    }
  }
  return { name, pictures };
}

function isFolder(value: object): value is PictureFolder {
  return "kind" in value && value.kind === "directory";
}

function lastOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Paths as folders; the outermost is named as the data are. */
function treeOf(pictures: Pictures) {
  const paths = [...pictures.keys()].sort(byCodePoint);
  const inside = (folder: string) => (folder.includes("/") ? folder.slice(folder.indexOf("/") + 1) : "");
  const below = (folder: string) => {
    const prefix = inside(folder) === "" ? "" : `${inside(folder)}/`;
    return paths
      .filter((path) => path.startsWith(prefix))
      .map((path) => ({ path, rest: path.slice(prefix.length) }));
  };
  return {
    folders: async (folder: string) => [
      ...new Set(below(folder).flatMap(({ rest }) => (rest.includes("/") ? [rest.split("/")[0]] : []))),
    ],
    pictures: async (folder: string) => below(folder).map(({ path }) => path),
  };
}

/** Decodes the pictures of a list, one after another, into memory. */
async function decodedPair(
  list: ImageList,
  files: Pictures,
  { name, form, onBadImage = "refuse", log, onDecoded, signal }: DecodeSettings,
): Promise<DatasetPair> {
  const all = [...list.train, ...list.validation, ...list.test];
  const bytes = form.channels * form.height * form.width;
  const pixels = new Uint8Array(all.length * bytes);
  const bad: BadFile[] = [];
  const places = new Map<ListedImage, number>();
  for (const [place, image] of all.entries()) {
    signal?.throwIfAborted();
    const reason = await decodeInto(
      pixels.subarray(place * bytes, (place + 1) * bytes),
      files.get(image.path),
      form,
    );
    if (reason === undefined) places.set(image, place);
    else bad.push({ path: image.path, reason });
    onDecoded?.(place + 1, all.length);
  }
  if (bad.length > 0) {
    if (onBadImage === "refuse")
      throw new UserError(
        `${name}: ${describeBad(bad)}; correct or remove them, or skip them (onBadImage: "skip")`,
      );
    log?.(`${name}: ${describeBad(bad)}; left out`);
  }
  const [train, validation, test] = [list.train, list.validation, list.test].map((part) =>
    part.filter((image) => places.has(image)),
  );
  const empty = list.classNames.findIndex((_, number) => !train.some((image) => image.class === number));
  if (empty >= 0)
    throw new UserError(
      `${name}: class "${list.classNames[empty]}" has no training picture that can be read`,
    );
  if (test.length === 0) throw new UserError(`${name} has no test picture that can be read`);
  const pixelsOf = (image: ListedImage) => {
    const place = places.get(image) ?? 0;
    return pixels.subarray(place * bytes, (place + 1) * bytes);
  };
  const sums = new ChannelSums(form.channels);
  for (const image of train) sums.add(pixelsOf(image));
  const normalization = sums.normalization(255);
  const source = (part: readonly ListedImage[]): ImageClasses => {
    const labels = Int32Array.from(part, (image) => image.class);
    const hash = sha256.create().update(new Uint8Array(labels.buffer));
    for (const image of part) hash.update(pixelsOf(image));
    const fingerprint = bytesToHex(hash.digest());
    const { classNames } = list;
    return imageClasses(
      { name, classNames, labels, ...form, ...normalization, maximum: 255, fingerprint },
      (index) => pixelsOf(part[index]),
    );
  };
  return {
    train: source(train),
    ...(validation.length > 0 && { validation: source(validation) }),
    test: source(test),
  };
}

type DecodeSettings = Pick<ImagesFromFilesOptions, "onBadImage" | "log" | "onDecoded" | "signal"> & {
  name: string;
  form: ImageForm;
};

/** Decodes a picture to its place. Returns what is wrong with it, if it is none. */
async function decodeInto(
  place: Uint8Array<ArrayBuffer>,
  file: Pick<PictureFile, "arrayBuffer"> | undefined,
  form: ImageForm,
): Promise<string | undefined> {
  try {
    if (!file) throw new UnreadableImage("it is not there");
    const { data } = await decodeImage(new Uint8Array(await file.arrayBuffer()), form);
    place.set(data);
    return undefined;
  } catch (error) {
    if (error instanceof UnreadableImage) return error.message;
    // The browser's own reasons, such as a file that was moved since it was chosen.
    if (error instanceof DOMException) return error.message;
    throw error;
  }
}
