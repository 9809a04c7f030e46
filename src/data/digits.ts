import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";
import { digitsFile } from "#stored-sets";
import { randomStream } from "../common/random.ts";
import { ChannelSums, type DatasetPair, imageClasses, selected } from "./source.ts";

const trainCount = 1437;
const height = 8;
const width = 8;
const maximum = 16;
const size = height * width;

/**
 * The UCI optical digits (E. Alpaydin, C. Kaynak; CC BY 4.0): 1,797 real handwritten digits of 13 writers, 8×8
 * pixels with values 0 … 16, part of this package (assets/README.md).
 *
 * The file has no split, so one is fixed here: of the permutation that `randomStream(0, "digits split")` gives, the
 * first 1,437 are for training and the last 360 for testing. Mean and deviation are measured on the training part.
 */
export async function loadDigits(): Promise<DatasetPair> {
  const compressed = await digitsFile();
  const rows = (await gunzipped(compressed)).trim().split("\n");
  const images = new Uint8Array(rows.length * size);
  const labels = new Int32Array(rows.length);
  for (const [index, row] of rows.entries()) {
    const numbers = row.split(",").map(Number);
    labels[index] = numbers[size];
    images.set(numbers.slice(0, size), index * size);
  }
  const pixels = (index: number) => images.subarray(index * size, (index + 1) * size);

  const order = randomStream(0, "digits split").permutation(rows.length);
  const [training, testing] = [order.subarray(0, trainCount), order.subarray(trainCount)];
  const sums = new ChannelSums(1);
  for (const index of training) sums.add(pixels(index));
  const all = imageClasses(
    {
      name: "digits",
      channels: 1,
      height,
      width,
      classNames: ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
      labels,
      maximum,
      ...sums.normalization(maximum),
      fingerprint: bytesToHex(sha256(compressed)),
    },
    pixels,
  );
  return { train: selected(all, training), test: selected(all, testing) };
}

function gunzipped(bytes: Uint8Array): Promise<string> {
  return new Response(
    new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new DecompressionStream("gzip")),
  ).text();
}
