import { UserError } from "../common/errors.ts";
import type { DatasetPair, ImageDataset } from "./dataset.ts";

// Images of a user's own are checked once, where they enter: a label or pixel that is out of range would train without
// a word, on a loss of 0.

/**
 * Checks that a data set is what its type says: count, sizes, labels, pixels and normalization.
 *
 * @throws UserError naming the first thing that is wrong
 */
export function validateDataset(dataset: ImageDataset): void {
  const { name, count, channels, height, width, classNames } = dataset;
  const refuse: Refuse = (problem) => {
    throw new UserError(`data set ${JSON.stringify(name) ?? "without a name"}: ${problem}`);
  };
  for (const [what, value] of Object.entries({ count, channels, height, width })) {
    if (!(Number.isInteger(value) && value >= 1)) {
      refuse(`${what} is ${value}; it has to be a whole number of at least 1`);
    }
  }
  checkClassNames(classNames, refuse);
  checkNormalization(dataset, refuse);
  checkLabels(dataset, refuse);
  checkImages(dataset, refuse);
}

/**
 * Checks the training and the test part, and that they go together: images of one shape, the same classes.
 *
 * @throws UserError naming the first thing that is wrong
 */
export function validateDatasets(data: DatasetPair): void {
  const { train, test } = data;
  for (const [part, dataset] of Object.entries({ train, test })) {
    if (!dataset)
      throw new UserError(`the data have no ${part} images; give { train, test }, a data set of images each`);
    validateDataset(dataset);
  }
  const shapes = [train, test].map(({ channels, height, width }) => `${channels}×${height}×${width}`);
  if (shapes[0] !== shapes[1]) {
    throw new UserError(
      `the test images are ${shapes[1]}, but the training images are ${shapes[0]}; both have to have the same channels, height and width`,
    );
  }
  const [learned, tested] = [train.classNames, test.classNames];
  if (learned.length !== tested.length) {
    throw new UserError(
      `the test images have ${tested.length} classes, but the training images have ${learned.length}; give both the same classNames`,
    );
  }
  const other = learned.findIndex((name, index) => name !== tested[index]);
  if (other >= 0) {
    throw new UserError(
      `class ${other} of the test images is "${tested[other]}", but of the training images "${learned[other]}"; give both the same classNames in the same order`,
    );
  }
}

type Refuse = (problem: string) => never;

function checkClassNames(classNames: readonly string[], refuse: Refuse): void {
  if (!Array.isArray(classNames) || classNames.length < 2) {
    refuse(`classNames has to be an array of at least two names`);
  }
  const places = new Map<string, number>();
  for (const [index, name] of classNames.entries()) {
    if (typeof name !== "string") refuse(`classNames[${index}] is ${String(name)}; it has to be a string`);
    const before = places.get(name);
    if (before !== undefined) refuse(`classes ${before} and ${index} are both called "${name}"`);
    places.set(name, index);
  }
}

function checkNormalization({ channels, maximum, mean, deviation }: ImageDataset, refuse: Refuse): void {
  if (!(maximum > 0 && Number.isFinite(maximum)))
    refuse(`maximum is ${maximum}; it has to be the pixel value that stands for 1, above 0`);
  for (const [what, values] of Object.entries({ mean, deviation })) {
    if (values?.length !== channels)
      refuse(
        `${what} has ${values?.length ?? "no"} numbers; it has to have one for each channel (${channels})`,
      );
    for (const [channel, value] of values.entries()) {
      if (Number.isFinite(value) && (what === "mean" || value > 0)) continue;
      const wanted =
        what === "mean" ? "a finite number" : "a finite number above 0: pixels are divided by it";
      refuse(`the ${what} of channel ${channel} is ${value}; it has to be ${wanted}`);
    }
  }
}

function checkLabels({ labels, count, classNames }: ImageDataset, refuse: Refuse): void {
  checkLength("labels", labels, count, "one for each image", refuse);
  const classes = classNames.length;
  const isClass = (label: number) => Number.isInteger(label) && label >= 0 && label < classes;
  const wrong = firstIndex(labels, (label) => !isClass(label));
  if (wrong >= 0) {
    refuse(
      `label ${labels[wrong]} of image ${wrong} is out of bounds; with ${classes} class names labels are whole numbers from 0 to ${classes - 1}`,
    );
  }
  checkBytes("labels", labels, refuse);
}

function checkImages(dataset: ImageDataset, refuse: Refuse): void {
  const { images, count, channels, height, width, maximum } = dataset;
  const size = channels * height * width;
  const shape = `${count} images of ${channels}×${height}×${width}`;
  checkLength("images", images, count * size, shape, refuse);
  const isPixel = (pixel: number) => Number.isInteger(pixel) && pixel >= 0 && pixel <= maximum;
  // Bytes are at most 255.
  const wrong =
    images instanceof Uint8Array && maximum >= 255 ? -1 : firstIndex(images, (pixel) => !isPixel(pixel));
  if (wrong >= 0) {
    refuse(
      `image ${Math.floor(wrong / size)} has the pixel value ${images[wrong]}; pixels are whole numbers from 0 to maximum, which is ${maximum}`,
    );
  }
  checkBytes("images", images, refuse);
}

function checkLength(what: string, array: Uint8Array, length: number, wanted: string, refuse: Refuse): void {
  if (typeof array?.length !== "number") refuse(`${what} is ${String(array)}; it has to be a Uint8Array`);
  if (array.length === length) return;
  refuse(`${what} has ${array.length} elements; it has to have ${length}, ${wanted}`);
}

/** Images and labels are copied as bytes, which would change other numbers. */
function checkBytes(what: string, array: Uint8Array, refuse: Refuse): void {
  if (array instanceof Uint8Array) return;
  refuse(`${what} is of type ${Object.getPrototypeOf(array).constructor.name}; it has to be a Uint8Array`);
}

/**
 * Checks that a network tells at least as many classes apart as the labels name.
 *
 * @throws UserError when it does not
 */
export function validateLogits(shape: readonly number[], { name, classNames }: ImageDataset): void {
  const { length: classes } = classNames;
  if (shape.length === 2 && shape[1] >= classes) return;
  throw new UserError(
    `the network gives [${shape.join(", ")}] for a batch of ${shape[0]}, but ${name} has ${classes} classes; it has to give [batch, ${classes}]`,
  );
}

function firstIndex(values: Uint8Array, isWrong: (value: number) => boolean): number {
  for (let index = 0; index < values.length; index++) if (isWrong(values[index])) return index;
  return -1;
}
