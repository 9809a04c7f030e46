import { loadMaskFolder, loadNamedSet, loadPath, loadPersonFolder, loadWardrobeSet } from "#stored-sets";
import { UserError } from "../common/errors.ts";
import { type OptionKinds, readOptions } from "../common/options.ts";
import { type DataOptions, datasetNames, defaultSize } from "./data-options.ts";
import { readGenerated } from "./generated-options.ts";
import type { Parts } from "./image-arrays.ts";
import type { DataSource, DatasetPair, SampleKind } from "./source.ts";

// Data sets by name, and anybody's own by path. What reads them is loaded with the first data that need it.

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
    case "mnist":
    case "cifar10":
    case "cifar100":
      return loadNamedSet(name, options);
    case "digits": {
      const { loadDigits } = await import("./digits.ts");
      return loadDigits();
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
    return loadWardrobeSet({ size: images.size ?? defaultSize, ...wardrobe }, nameOrPath, options);
  }
  if (setNamed(nameOrPath))
    throw new UserError(
      `${nameOrPath} has no masks; for segmentation name wardrobe, or a folder of pictures and masks`,
    );
  return loadMaskFolder(nameOrPath, options);
}

async function loadPersons(nameOrPath: string, options: DataOptions) {
  const people = readGenerated(nameOrPath, "people");
  if (people) {
    const { loadPeople } = await import("./people/people.ts");
    return loadPeople({ size: options.images?.size, ...people }, nameOrPath);
  }
  const found = await loadPersonFolder(nameOrPath, options);
  if (found) return found;
  const reason = setNamed(nameOrPath) ? `${nameOrPath} has no joints` : `there is no folder "${nameOrPath}"`;
  throw new UserError(
    `${reason}; for pose estimation name people, or a folder in COCO's format (annotations/*.json and pictures)`,
  );
}
