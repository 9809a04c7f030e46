import { readFile, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { UserError } from "../common/errors.ts";
import { whyUnreadable } from "../common/file-errors.ts";
import { type DataOptions, datasetNames, defaultSize } from "./data-options.ts";
import { cacheDirectory } from "./files.ts";
import type { ImageList } from "./sets/class-parts.ts";
import type { PictureSetOptions } from "./sets/packed-set.ts";
import type { DatasetPair } from "./source.ts";
import type { LoadOptions } from "./sources.ts";
import type { WardrobeOptions } from "./wardrobe/wardrobe.ts";

// `#stored-sets` in Node: data in files. What reads them is loaded with the first data that need it.

/** The file of the digits, as it is in this package. */
export function digitsFile(): Promise<Uint8Array> {
  return readFile(new URL("../../assets/digits.csv.gz", import.meta.url));
}

export async function loadNamedSet(
  name: "fashion-mnist" | "mnist" | "cifar10" | "cifar100",
  options: DataOptions,
): Promise<DatasetPair> {
  switch (name) {
    case "fashion-mnist":
    case "mnist": {
      const { loadMnist } = await import("./sets/mnist-set.ts");
      return loadMnist(name, options);
    }
    case "cifar10":
    case "cifar100": {
      const { loadCifar } = await import("./sets/cifar-set.ts");
      return loadCifar(name, options);
    }
    default:
      return name satisfies never;
  }
}

/** The scenes of Fashion-MNIST's garments. */
export async function loadWardrobeSet(options: WardrobeOptions, name: string, places: LoadOptions) {
  const { loadWardrobe } = await import("./wardrobe/wardrobe.ts");
  return loadWardrobe(options, name, places);
}

export async function loadMaskFolder(path: string, options: DataOptions) {
  const { loadMaskSet } = await import("./sets/mask-set.ts");
  return loadMaskSet(path, options.images ?? {}, setOptions(path, options));
}

/** A folder in COCO's format; nothing where there is no folder. */
export async function loadPersonFolder(
  path: string,
  { images, log, signal, onDecoded, cacheFolder }: DataOptions,
) {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isDirectory()) return undefined;
  const { loadCocoPersons } = await import("./sets/coco-persons.ts");
  const { size, onBadImage } = images ?? {};
  return loadCocoPersons(path, { size, onBadImage, log, signal, cacheFolder, onProgress: onDecoded });
}

/** A folder or a file of anybody's. @throws UserError where there is none, and naming the file that cannot be used */
export async function loadPath(path: string, options: DataOptions): Promise<DatasetPair> {
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

/** How the picture files of a set are read. */
function setOptions(
  name: string,
  { images = {}, log, signal, onDecoded, cacheFolder = join(cacheDirectory(), "pictures") }: DataOptions,
): PictureSetOptions {
  const { size = defaultSize, channels = 3, fit = "crop", onBadImage } = images;
  const form = { channels, height: size, width: size, fit };
  return { name, form, cacheFolder, onBadImage, log, signal, onProgress: onDecoded };
}
