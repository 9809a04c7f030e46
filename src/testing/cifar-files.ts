import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { randomStream } from "../common/random.ts";

// Files of the binary versions of CIFAR-10 and CIFAR-100, with random pixels.

const pixels = 3 * 32 * 32;

/**
 * Writes the files of a data set into a folder, and returns it.
 * @param images of each of CIFAR-10's five training files, of CIFAR-100's one, and of the test file
 */
export function writeCifar(kind: "cifar10" | "cifar100", folder: string, images: number): string {
  const random = randomStream(1, `files of ${kind}`);
  const [classes, labelBytes] = kind === "cifar10" ? [10, 1] : [100, 2];
  const record = (index: number) => {
    const bytes = Uint8Array.from({ length: labelBytes + pixels }, () => random.integer(256));
    bytes.fill(index % classes, labelBytes - 1, labelBytes);
    return bytes;
  };
  const names =
    kind === "cifar10"
      ? [...[1, 2, 3, 4, 5].map((number) => `data_batch_${number}.bin`), "test_batch.bin"]
      : ["train.bin", "test.bin"];
  mkdirSync(folder, { recursive: true });
  for (const name of names)
    writeFileSync(
      join(folder, name),
      Buffer.concat(Array.from({ length: images }, (_, index) => record(index))),
    );
  return folder;
}
