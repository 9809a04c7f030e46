import { createHash } from "node:crypto";
import { readdir, readFile, stat } from "node:fs/promises";
import { basename, extname, join, resolve } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { UserError } from "../../common/errors.ts";
import { parseIdx } from "../idx.ts";
import { type ImageClasses, imageClasses, measuredNormalization } from "../source.ts";
import { type NpyArray, parseNpy, parseNpz } from "./npy.ts";

// Images and labels as arrays: IDX files as MNIST has them, NumPy's archives as Keras has them.

/** An array of integers with what it is called in messages. */
interface Named {
  name: string;
  shape: readonly number[];
  data: NpyArray["data"];
}

const parts = ["train", "test"] as const;
type Part = (typeof parts)[number];
type Arrays = Record<Part, { images: Named; labels: Named }>;

/** Names of the four arrays in archives and of .npy files, each by what people call it. */
const arrayNames: Readonly<Record<Part, { images: readonly string[]; labels: readonly string[] }>> = {
  train: {
    images: ["x_train", "train_images", "train_x", "X_train"],
    labels: ["y_train", "train_labels", "train_y"],
  },
  test: {
    images: ["x_test", "test_images", "test_x", "X_test", "x_val", "val_images"],
    labels: ["y_test", "test_labels", "test_y", "y_val", "val_labels"],
  },
};

/** Beginnings of the names of IDX files; then `images` or `labels` follows somewhere. */
const idxParts: Readonly<Record<Part, RegExp>> = { train: /^train/, test: /^(t10k|test)/ };

/**
 * Loads images and labels that are arrays: an `.npz` archive or a folder of `.npy` files (`x_train`, `y_train`, `x_test`,
 * `y_test`), or a folder of IDX files as MNIST has them, gzipped or not (`train-images…`, `train-labels…`, `t10k-…` or
 * `test-…`). Images are uint8 [N, H, W], [N, H, W, C] or [N, C, H, W] with one or three channels; labels whole numbers
 * from 0.
 *
 * @returns undefined where the path is a folder without such files
 * @throws UserError naming the file and what does not fit
 */
export async function loadArrays(
  path: string,
): Promise<{ train: ImageClasses; test: ImageClasses } | undefined> {
  const arrays = (await isFolder(path)) ? await arraysOfFolder(path) : await arraysOfArchive(path);
  if (!arrays) return undefined;
  const name = basename(resolve(path), extname(path));
  const [train, test] = parts.map((part) => pixelsOf(arrays[part].images));
  if (test.size.join() !== train.size.join())
    throw new UserError(
      `${arrays.test.images.name} holds images of ${test.size.join("×")}, ${arrays.train.images.name} of ${train.size.join("×")}; they have to be alike`,
    );
  const labels = parts.map((part) => labelsOf(arrays[part].labels, arrays[part].images));
  const classes = labels[0].reduce((most, label) => Math.max(most, label), 0) + 1;
  const beyond = labels[1].find((label) => label >= classes);
  if (beyond !== undefined)
    throw new UserError(
      `${arrays.test.labels.name} has the label ${beyond}, which ${arrays.train.labels.name} lacks; its largest is ${classes - 1}`,
    );
  const [channels, height, width] = train.size;
  const normalization = measuredNormalization(train.data, channels, height * width, 255);
  const source = (index: 0 | 1): ImageClasses => {
    const { data } = [train, test][index];
    const size = channels * height * width;
    return imageClasses(
      {
        name,
        channels,
        height,
        width,
        maximum: 255,
        classNames: Array.from({ length: classes }, (_, number) => String(number)),
        labels: labels[index],
        ...normalization,
        fingerprint: createHash("sha256").update(data).update(labels[index]).digest("hex").slice(0, 32),
      },
      (place) => data.subarray(place * size, (place + 1) * size),
    );
  };
  return { train: source(0), test: source(1) };
}

async function isFolder(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (!found) throw new UserError(`there is no file or folder ${path}`);
  return found.isDirectory();
}

async function arraysOfArchive(path: string): Promise<Arrays> {
  const arrays = parseNpz(await readFile(path), path);
  return byRole((names) => {
    const name = names.find((each) => arrays.has(each));
    if (name !== undefined) return { name: `${path}, ${name}`, ...arrays.get(name)! };
    throw new UserError(
      `${path} holds the arrays ${[...arrays.keys()].join(", ")}; one called ${names.join(" or ")} was expected`,
    );
  });
}

async function arraysOfFolder(folder: string): Promise<Arrays | undefined> {
  const files = await readdir(folder);
  if (files.some((file) => file.endsWith(".npy"))) {
    const found = new Map<string, Named>();
    for (const file of files.filter((each) => each.endsWith(".npy"))) {
      const path = join(folder, file);
      found.set(basename(file, ".npy"), { name: path, ...parseNpy(await readFile(path), path) });
    }
    return byRole((names) => {
      const name = names.find((each) => found.has(each));
      if (name !== undefined) return found.get(name)!;
      throw new UserError(`${folder} has no file ${names.map((each) => `${each}.npy`).join(" or ")}`);
    });
  }
  const idx = files.filter((file) => /idx\d/.test(file));
  if (idx.length === 0) return undefined;
  const arrays: Partial<Record<string, Named>> = {};
  for (const part of parts)
    for (const role of ["images", "labels"]) {
      const file = idx.find((each) => idxParts[part].test(each) && each.includes(role));
      if (!file)
        throw new UserError(`${folder} has no IDX file of ${part} ${role} (such as train-images-idx3-ubyte)`);
      const path = join(folder, file);
      const stored = await readFile(path);
      const bytes = stored[0] === 0x1f && stored[1] === 0x8b ? await promisify(gunzip)(stored) : stored;
      arrays[`${part} ${role}`] = { name: path, ...parseIdx(bytes, path) };
    }
  const of = (part: Part) => ({ images: arrays[`${part} images`]!, labels: arrays[`${part} labels`]! });
  return { train: of("train"), test: of("test") };
}

function byRole(find: (names: readonly string[]) => Named): Arrays {
  const of = ({ images, labels }: (typeof arrayNames)[Part]) => ({
    images: find(images),
    labels: find(labels),
  });
  return { train: of(arrayNames.train), test: of(arrayNames.test) };
}

/** Images in the order [N, C, H, W]. */
function pixelsOf({ name, shape, data }: Named): {
  size: [number, number, number];
  data: Uint8Array<ArrayBuffer>;
} {
  if (!(data instanceof Uint8Array))
    throw new UserError(
      `${name} holds ${data.constructor.name.replace("Array", "").toLowerCase()}; images have to be uint8, 0 to 255`,
    );
  const pixels = data as Uint8Array<ArrayBuffer>;
  const [count, ...rest] = shape;
  const isChannels = (size: number) => size === 1 || size === 3;
  if (rest.length === 2) return { size: [1, rest[0], rest[1]], data: pixels };
  if (rest.length === 3 && isChannels(rest[0])) return { size: [rest[0], rest[1], rest[2]], data: pixels };
  if (rest.length === 3 && isChannels(rest[2])) {
    const [height, width, channels] = rest;
    return { size: [channels, height, width], data: channelsFirst(pixels, count, height * width, channels) };
  }
  throw new UserError(
    `${name} has the shape [${shape.join(", ")}]; images are [N, H, W], [N, H, W, C] or [N, C, H, W] with 1 or 3 channels`,
  );
}

function channelsFirst(data: Uint8Array, count: number, pixels: number, channels: number) {
  const result = new Uint8Array(data.length);
  for (let image = 0; image < count; image++) {
    const start = image * pixels * channels;
    for (let pixel = 0; pixel < pixels; pixel++)
      for (let channel = 0; channel < channels; channel++)
        result[start + channel * pixels + pixel] = data[start + pixel * channels + channel];
  }
  return result;
}

function labelsOf({ name, shape, data }: Named, images: Named): Int32Array<ArrayBuffer> {
  const isColumn = shape.length === 1 || (shape.length === 2 && shape[1] === 1);
  if (!isColumn || shape[0] !== images.shape[0])
    throw new UserError(
      `${name} has the shape [${shape.join(", ")}]; ${images.name} has ${images.shape[0]} images, so [${images.shape[0]}] was expected`,
    );
  const labels = Int32Array.from(data as ArrayLike<number | bigint>, Number);
  const wrong = labels.findIndex((label, index) => label < 0 || label !== Number(data[index]));
  if (wrong >= 0)
    throw new UserError(`${name}: label ${wrong} is ${data[wrong]}; labels are whole numbers from 0`);
  return labels;
}
