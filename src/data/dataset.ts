import { readOptions } from "../common/options.ts";
/** Images with labels in memory: what the data sets of this folder load into and what batches are made from. */

import { UserError } from "../common/errors.ts";
import type { Random } from "../common/random.ts";

export interface ImageDataset {
  name: string;
  /** [count, channels, height, width], pixel values 0 … maximum. */
  images: Uint8Array;
  /** [count], each an index into classNames. */
  labels: Uint8Array;
  count: number;
  channels: number;
  height: number;
  width: number;
  classNames: readonly string[];
  /** The pixel value that stands for 1.0. */
  maximum: number;
  /** Of each channel, on the 0 … 1 scale: what normalisation subtracts and divides by. */
  mean: readonly number[];
  deviation: readonly number[];
}

export interface DatasetPair {
  train: ImageDataset;
  test: ImageDataset;
}

export interface LoadOptions {
  /** A folder of the user's that holds the data set's files. */
  dataDirectory?: string;
  /** Gets one line for each place where the data set was looked for in vain, with the reason. */
  log?: (line: string) => void;
  /** Ends the loading at once; the promise rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Called while bytes come over the network: how many so far, of how many if that is known. */
  onProgress?: (bytes: number, total: number | undefined) => void;
}

export const datasetNames = ["fashion-mnist", "digits"] as const;

/** None of the places a data set may come from has it. The message lists each place with its reason. */
export class DatasetUnavailable extends Error {
  override readonly name = "DatasetUnavailable";
  readonly reasons: readonly string[];

  constructor(dataset: string, reasons: readonly string[]) {
    super(`${dataset} could not be had from any place: ${reasons.join("; ")}`);
    this.reasons = reasons;
  }
}

/**
 * Loads the training and the test part of a data set: `"fashion-mnist"` (60,000 + 10,000 images of 28×28, from the
 * cache, a folder or the network; see fashion-mnist.ts) or `"digits"` (1,437 + 360 images of 8×8, part of this
 * package; see digits.ts).
 *
 * @throws UserError when there is no such data set or the user's folder holds a damaged file
 * @throws DatasetUnavailable when it can be had nowhere, e.g. without network
 * @example const { train, test } = await loadDataset("fashion-mnist", { log: console.error });
 */
export async function loadDataset(name: string, options: LoadOptions = {}): Promise<DatasetPair> {
  readOptions("loadDataset", options, {
    dataDirectory: "text",
    log: "function",
    signal: "object",
    onProgress: "function",
  });
  // Imported on demand: the rest of this file also runs where there is no file system.
  switch (name) {
    case "fashion-mnist":
      return (await import("./fashion-mnist.ts")).loadFashionMnist(options);
    case "digits":
      return (await import("./digits.ts")).loadDigits();
    default:
      throw new UserError(`there is no data set "${name}"; choose one of ${datasetNames.join(", ")}`);
  }
}

/**
 * Draws `count` different images at random, in the order drawn. Everything but images and labels stays, the
 * normalisation too.
 *
 * @throws UserError when count is no integer from 1 to the number of images
 */
export function subset(dataset: ImageDataset, count: number, random: Random): ImageDataset {
  if (!Number.isInteger(count) || count < 1 || count > dataset.count) {
    throw new UserError(
      `a subset of ${count} images was asked for, but ${dataset.name} has ${dataset.count}; choose from 1 to ${dataset.count}`,
    );
  }
  return select(dataset, random.permutation(dataset.count).subarray(0, count));
}

/** The images at these indices, in this order, as a data set of their own. */
export function select(dataset: ImageDataset, indices: Int32Array): ImageDataset {
  const size = dataset.channels * dataset.height * dataset.width;
  const images = new Uint8Array(indices.length * size);
  const labels = new Uint8Array(indices.length);
  for (const [position, index] of indices.entries()) {
    images.set(dataset.images.subarray(index * size, (index + 1) * size), position * size);
    labels[position] = dataset.labels[index]!;
  }
  return { ...dataset, images, labels, count: indices.length };
}

export interface NoisyDataset {
  /** The same images (shared, not copied) with the new labels. */
  dataset: ImageDataset;
  /** [count], 1 where the new label differs from the given one, else 0. */
  wrong: Uint8Array;
  /** How many are wrong. */
  wrongCount: number;
}

/**
 * Replaces each label, with the given probability, by a class drawn uniformly from all C. The drawn class may be the
 * true one, so about probability · (C − 1) / C of the labels end up wrong ("symmetric" noise, as the papers on
 * sharpness-aware minimization use it).
 *
 * @throws UserError when the probability is not between 0 and 1
 */
export function withLabelNoise(dataset: ImageDataset, probability: number, random: Random): NoisyDataset {
  if (!(probability >= 0 && probability <= 1)) {
    throw new UserError(`the share of noisy labels is ${probability}; choose a number from 0 to 1`);
  }
  const labels = dataset.labels.slice();
  const wrong = new Uint8Array(dataset.count);
  let wrongCount = 0;
  for (let i = 0; i < dataset.count; i++) {
    if (random.uniform() >= probability) continue;
    labels[i] = random.integer(dataset.classNames.length);
    if (labels[i] === dataset.labels[i]) continue;
    wrong[i] = 1;
    wrongCount++;
  }
  return { dataset: { ...dataset, labels }, wrong, wrongCount };
}
