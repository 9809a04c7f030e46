import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import { randomStream } from "../common/random.ts";
import { type DatasetPair, type ImageDataset, select } from "./dataset.ts";

const trainCount = 1437;
const height = 8;
const width = 8;
const maximum = 16;
const classNames = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/**
 * The UCI optical digits (E. Alpaydin, C. Kaynak; CC BY 4.0): 1,797 real handwritten digits of 13 writers, 8×8
 * pixels with values 0 … 16, part of this package (assets/README.md).
 *
 * The file has no split, so one is fixed here: of the permutation that `randomStream(0, "digits split")` gives, the
 * first 1,437 are for training and the last 360 for testing. Mean and deviation are measured on the training part.
 */
export async function loadDigits(): Promise<DatasetPair> {
  const file = new URL("../../assets/digits.csv.gz", import.meta.url);
  const rows = gunzipSync(await readFile(file))
    .toString("ascii")
    .trim()
    .split("\n");
  const images = new Uint8Array(rows.length * height * width);
  const labels = new Uint8Array(rows.length);
  for (const [index, row] of rows.entries()) {
    const numbers = row.split(",").map(Number);
    labels[index] = numbers.pop()!;
    images.set(numbers, index * height * width);
  }
  const common = {
    name: "digits",
    channels: 1,
    height,
    width,
    classNames,
    maximum,
    mean: [0],
    deviation: [1],
  };
  const all: ImageDataset = { ...common, images, labels, count: rows.length };

  const order = randomStream(0, "digits split").permutation(all.count);
  const train = select(all, order.subarray(0, trainCount));
  const test = select(all, order.subarray(trainCount));
  const normalisation = measure(train);
  return { train: { ...train, ...normalisation }, test: { ...test, ...normalisation } };
}

/** Mean and (population) standard deviation of all pixels of a data set with one channel, on the 0 … 1 scale. */
function measure(dataset: ImageDataset): { mean: [number]; deviation: [number] } {
  let sum = 0;
  let squares = 0;
  for (const pixel of dataset.images) {
    sum += pixel;
    squares += pixel * pixel;
  }
  const mean = sum / dataset.images.length;
  const variance = squares / dataset.images.length - mean * mean;
  return { mean: [mean / dataset.maximum], deviation: [Math.sqrt(variance) / dataset.maximum] };
}
