import { UserError } from "../../common/errors.ts";

// The binary versions of CIFAR-10 and CIFAR-100 (A. Krizhevsky 2009): records of one or two label bytes and an image.

export const cifarSize = 32;
const pixels = 3 * cifarSize * cifarSize;

/** What a record holds before its image. CIFAR-100 has a coarse label (of 20) and then a fine one (of 100). */
const cifarKinds = {
  cifar10: { labels: 1, classes: 10 },
  cifar100: { labels: 2, classes: 100 },
} as const;
export type CifarKind = keyof typeof cifarKinds;

export interface CifarImages {
  count: number;
  /** [count, 3, 32, 32], 0 … 255. */
  images: Uint8Array;
  /** [count]; of CIFAR-100 the fine ones. */
  labels: Int32Array;
}

/**
 * Reads one file of the binary version.
 * @param file how messages name it
 * @throws UserError for an empty file, one of another length than records have, a label that no class has, and the
 *   Python version of the data set
 */
export function parseCifar(bytes: Uint8Array, kind: CifarKind, file: string): CifarImages {
  const { labels: labelBytes, classes } = cifarKinds[kind];
  const record = labelBytes + pixels;
  if (bytes.length === 0)
    throw new UserError(`${file} is empty; a file of ${record}-byte records was expected`);
  // A pickle of protocol 2 or later.
  if (bytes[0] === 0x80 && bytes[1] >= 2 && bytes[1] <= 5)
    throw new UserError(`${file} is from the Python version of the data set; the binary version is needed`);
  if (bytes.length % record !== 0)
    throw new UserError(
      `${file} has ${bytes.length} bytes, which is not a whole number of records of ${record} bytes`,
    );
  const count = bytes.length / record;
  const images = new Uint8Array(count * pixels);
  const labels = new Int32Array(count);
  for (let index = 0; index < count; index++) {
    const start = index * record;
    labels[index] = bytes[start + labelBytes - 1];
    if (labels[index] >= classes)
      throw new UserError(
        `${file}: record ${index} has label ${labels[index]}; there are ${classes} classes (0 … ${classes - 1})`,
      );
    images.set(bytes.subarray(start + labelBytes, start + record), index * pixels);
  }
  return { count, images, labels };
}
