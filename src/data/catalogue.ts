import { stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { UserError } from "../common/errors.ts";
import { whyUnreadable } from "../common/files.ts";
import { type OptionKinds, readOptions } from "../common/options.ts";
import { cacheDirectory } from "./files.ts";
import { readGenerated } from "./generated-options.ts";
import type { Parts } from "./image-arrays.ts";
import type { ImageForm } from "./image-file.ts";
import type { ImageList } from "./sets/class-folder.ts";
import type { MaskColorOptions } from "./sets/mask-set.ts";
import type { PictureSetOptions } from "./sets/packed-set.ts";
import type { DataSource, DatasetPair, SampleKind } from "./source.ts";
import type { LoadOptions } from "./sources.ts";

// Data sets by name, and anybody's own by path. What reads them is loaded with the first data that need it.

export const datasetNames = [
  "fashion-mnist",
  "mnist",
  "digits",
  "cifar10",
  "cifar100",
  "people",
  "wardrobe",
] as const;

/** How picture files become images of one size, and which of them are for testing. */
export interface PictureOptions extends MaskColorOptions {
  /** Height and width. Default 64. */
  size?: number;
  /** 1: gray, 3: RGB (default). */
  channels?: 1 | 3;
  /** Default `"crop"`. */
  fit?: ImageForm["fit"];
  /** Share of each class that is for testing, where no folder or list says so. Default 0.2. */
  testShare?: number;
  /** What to do about files that are no pictures. Default `"refuse"`. */
  onBadImage?: "refuse" | "skip";
}

export interface DataOptions extends LoadOptions {
  /** For picture files. */
  images?: PictureOptions;
  /** Called while pictures are decoded: how many so far. */
  onDecoded?: (pictures: number, total: number) => void;
  /** Where decoded pictures are kept. Default: the folder for caches. */
  cacheFolder?: string;
}

const dataOptions: OptionKinds<DataOptions> = {
  dataDirectory: "text",
  log: "function",
  signal: "object",
  onProgress: "function",
  images: "object",
  onDecoded: "function",
  cacheFolder: "text",
};

/**
 * Loads the parts of some data: training, test and, where a folder or a list has one beside the test part, validation.
 * Pictures are read from a file while they are used: `close()` closes it.
 *
 * By name: `"fashion-mnist"` and `"mnist"` (60,000 + 10,000 images of 28×28), `"digits"` (1,437 + 360 images of 8×8, part
 * of this package), `"cifar10"` and `"cifar100"` (50,000 + 10,000 images of 3×32×32); but for the digits from the cache, a
 * folder or the network. By path: a folder of pictures with a folder per class, a list of pictures (`.csv`, `.json`), or arrays
 * (`.npz`, a folder of `.npy` or IDX files).
 *
 * @throws UserError when there is no such data set or path, and naming the file that cannot be used
 * @throws DatasetUnavailable when a named set is available nowhere, e.g. without network
 * @example const { train, test } = await loadDataset("fashion-mnist", { log: console.error });
 * @example const { train, test } = await loadDataset("photos", { images: { size: 96 } });
 */
export async function loadDataset(nameOrPath: string, options: DataOptions = {}): Promise<DatasetPair> {
  readOptions("loadDataset", options, dataOptions);
  const name = setNamed(nameOrPath);
  switch (name) {
    case "fashion-mnist":
    case "mnist": {
      const { loadMnist } = await import("./sets/mnist-set.ts");
      return loadMnist(name, options);
    }
    case "digits": {
      const { loadDigits } = await import("./digits.ts");
      return loadDigits();
    }
    case "cifar10":
    case "cifar100": {
      const { loadCifar } = await import("./sets/cifar-set.ts");
      return loadCifar(name, options);
    }
    case "people":
      throw new UserError(
        `${nameOrPath} has persons with joints and no classes; it is for pose estimation (task, --task pose)`,
      );
    case "wardrobe":
      throw new UserError(
        `${nameOrPath} has a class for each pixel and none for each image; it is for segmentation (task, --task segmentation)`,
      );
    case undefined:
      return loadPath(nameOrPath, options);
    default:
      return name satisfies never;
  }
}

/**
 * Loads some data as a task reads them: as {@link loadDataset} for `"classes"`; for `"masks"` the generated set `wardrobe`, a
 * folder with `images/` and `masks/`, or one in Pascal VOC's format; for `"persons"` the generated set `people`, or a folder in COCO's format.
 * @throws UserError when there are no such data, and naming the file that cannot be used
 */
export async function loadSamples(
  samples: SampleKind,
  nameOrPath: string,
  options: DataOptions = {},
): Promise<Parts<DataSource> & { close?(): void }> {
  switch (samples) {
    case "classes":
      return loadDataset(nameOrPath, options);
    case "masks":
      return loadMasks(nameOrPath, options);
    case "persons":
      return loadPersons(nameOrPath, options);
    default:
      return samples satisfies never;
  }
}

/** The set that a text names, with options or without. */
function setNamed(text: string): (typeof datasetNames)[number] | undefined {
  if (readGenerated(text, "people")) return "people";
  if (readGenerated(text, "wardrobe")) return "wardrobe";
  return datasetNames.find((name) => name === text);
}

async function loadMasks(nameOrPath: string, options: DataOptions) {
  const { images = {} } = options;
  const wardrobe = readGenerated(nameOrPath, "wardrobe");
  if (wardrobe) {
    if (images.channels === 1)
      throw new UserError(`${nameOrPath} has pictures of 3 channels, and images.channels is 1; leave it out`);
    const { loadWardrobe } = await import("./wardrobe/wardrobe.ts");
    return loadWardrobe({ size: images.size ?? defaultSize, ...wardrobe }, nameOrPath, options);
  }
  if (setNamed(nameOrPath))
    throw new UserError(
      `${nameOrPath} has no masks; for segmentation name wardrobe, or a folder of pictures and masks`,
    );
  const { loadMaskSet } = await import("./sets/mask-set.ts");
  return loadMaskSet(nameOrPath, images, setOptions(nameOrPath, options));
}

async function loadPersons(nameOrPath: string, { images, log, signal, onDecoded, cacheFolder }: DataOptions) {
  const people = readGenerated(nameOrPath, "people");
  if (people) {
    const { loadPeople } = await import("./people/people.ts");
    return loadPeople({ size: images?.size, ...people }, nameOrPath);
  }
  const found = await stat(nameOrPath).catch(() => undefined);
  if (found?.isDirectory()) {
    const { loadCocoPersons } = await import("./sets/coco-persons.ts");
    const { size, onBadImage } = images ?? {};
    return loadCocoPersons(nameOrPath, { size, onBadImage, log, signal, cacheFolder, onProgress: onDecoded });
  }
  const reason = setNamed(nameOrPath) ? `${nameOrPath} has no joints` : `there is no folder "${nameOrPath}"`;
  throw new UserError(
    `${reason}; for pose estimation name people, or a folder in COCO's format (annotations/*.json and pictures)`,
  );
}

async function loadPath(path: string, options: DataOptions): Promise<DatasetPair> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw new UserError(`${path} cannot be read: ${whyUnreadable(error)}`);
  });
  if (!found) {
    throw new UserError(
      `there is no data set and no file or folder "${path}"; choose one of ${datasetNames.join(", ")}, or name a folder of pictures`,
    );
  }
  const { testShare } = options.images ?? {};
  if (found.isDirectory()) {
    const { loadArrays } = await import("./sets/arrays.ts");
    const arrays = await loadArrays(path);
    if (arrays) return named(arrays, path);
    const { listClassFolder } = await import("./sets/class-folder.ts");
    return loadListed(path, await listClassFolder(path, { testShare }), options);
  }
  const extension = extname(path).toLowerCase();
  switch (extension) {
    case ".npz": {
      const { loadArrays } = await import("./sets/arrays.ts");
      const arrays = await loadArrays(path);
      if (arrays) return named(arrays, path);
      break;
    }
    case ".csv":
    case ".json": {
      const { listFromFile } = await import("./sets/file-list.ts");
      return loadListed(path, await listFromFile(path, { testShare }), options);
    }
  }
  throw new UserError(
    `${path} holds no data that are read; name a folder with a folder of pictures per class, a list (.csv, .json), an .npz file, or a folder of .npy or IDX files`,
  );
}

/** Under the path, as the user gave it: so a run's document says where its data are. */
function named({ train, test }: DatasetPair, path: string): DatasetPair {
  return { train: { ...train, name: path }, test: { ...test, name: path } };
}

async function loadListed(name: string, list: ImageList, options: DataOptions): Promise<DatasetPair> {
  const { loadPictures } = await import("./sets/pictures.ts");
  return loadPictures(list, setOptions(name, options));
}

/** Height and width of pictures where nothing is said. */
const defaultSize = 64;

/** How the picture files of a set are read. */
function setOptions(
  name: string,
  { images = {}, log, signal, onDecoded, cacheFolder = join(cacheDirectory(), "pictures") }: DataOptions,
): PictureSetOptions {
  const { size = defaultSize, channels = 3, fit = "crop", onBadImage } = images;
  const form = { channels, height: size, width: size, fit };
  return { name, form, cacheFolder, onBadImage, log, signal, onProgress: onDecoded };
}
