import { UserError } from "../common/errors.ts";
import { randomStream } from "../common/random.ts";
import type { ImageDataset } from "./dataset.ts";
import { type Augmentation, imageWriter } from "./transforms.ts";

/** One batch. Its arrays are its own: nothing else refers to them, so they may be transferred to a worker. */
export interface Batch {
  /** [size, channels, height, width], normalised. */
  input: Float32Array<ArrayBuffer>;
  /** [size], class of each image. */
  target: Int32Array<ArrayBuffer>;
  /** [size], place of each image in the data set. */
  indices: Int32Array<ArrayBuffer>;
  /** How many images are real; those after them are zeros (input, target and index). */
  count: number;
}

export interface TrainingBatchOptions {
  batchSize: number;
  seed: number;
  /** Together with the seed it decides the order and the augmentation: an epoch can be repeated or resumed at. */
  epoch: number;
  augmentation?: Augmentation;
}

/**
 * One epoch of training: every image at most once, in the order of `randomStream(seed, "shuffle", epoch)`, augmented
 * with `randomStream(seed, "augment", epoch)` in that order. All batches are full; images left over at the end wait
 * for the next epoch's order. Iterating again gives the same batches again.
 *
 * @throws UserError when the batch size is not from 1 to the number of images, or the augmentation is out of range
 */
export function trainingBatches(
  dataset: ImageDataset,
  { batchSize, seed, epoch, augmentation }: TrainingBatchOptions,
): Iterable<Batch> {
  checkPositiveInteger("batch size", batchSize);
  if (batchSize > dataset.count) {
    throw new UserError(
      `batch size ${batchSize} is larger than the ${dataset.count} training images; choose at most ${dataset.count}, or train on more images`,
    );
  }
  const write = imageWriter(dataset, augmentation);
  return {
    *[Symbol.iterator]() {
      const order = randomStream(seed, "shuffle", epoch).permutation(dataset.count);
      const random = randomStream(seed, "augment", epoch);
      for (let start = 0; start + batchSize <= dataset.count; start += batchSize) {
        const batch = emptyBatch(dataset, batchSize);
        fillBatch(batch, dataset, order.subarray(start, start + batchSize), (index, offset) =>
          write(index, batch.input, offset, random),
        );
        yield batch;
      }
    },
  };
}

export interface EvaluationBatchOptions {
  batchSize: number;
  /** Only so many images from the front; all when left out or larger than the data set. */
  limit?: number;
}

/**
 * The images in their order, unaugmented. Every batch has the full size; the last one's `count` tells how many of
 * its images are real, the rest is zeros.
 *
 * @throws UserError when the batch size or the limit is no integer of at least 1
 */
export function evaluationBatches(
  dataset: ImageDataset,
  { batchSize, limit = dataset.count }: EvaluationBatchOptions,
): Iterable<Batch> {
  checkPositiveInteger("batch size", batchSize);
  checkPositiveInteger("the number of images to evaluate on", limit);
  const write = imageWriter(dataset);
  const total = Math.min(limit, dataset.count);
  return {
    *[Symbol.iterator]() {
      for (let start = 0; start < total; start += batchSize) {
        const batch = emptyBatch(dataset, batchSize);
        const count = Math.min(batchSize, total - start);
        const indices = Int32Array.from({ length: count }, (_, position) => start + position);
        fillBatch(batch, dataset, indices, (index, offset) => write(index, batch.input, offset));
        yield batch;
      }
    },
  };
}

function emptyBatch({ channels, height, width }: ImageDataset, size: number): Batch {
  return {
    input: new Float32Array(size * channels * height * width),
    target: new Int32Array(size),
    indices: new Int32Array(size),
    count: 0,
  };
}

function fillBatch(
  batch: Batch,
  { labels, channels, height, width }: ImageDataset,
  indices: Int32Array,
  write: (index: number, offset: number) => void,
) {
  batch.count = indices.length;
  batch.indices.set(indices);
  for (let position = 0; position < indices.length; position++) {
    const index = indices[position]!;
    batch.target[position] = labels[index]!;
    write(index, position * channels * height * width);
  }
}

function checkPositiveInteger(what: string, value: number) {
  if (!Number.isInteger(value) || value < 1) {
    throw new UserError(`${what} is ${value}; choose an integer of at least 1`);
  }
}
