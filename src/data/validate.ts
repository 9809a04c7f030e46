import { UserError } from "../common/errors.ts";
import type { DatasetPair, ImageClasses } from "./source.ts";

// Images of a user's own are checked once, where they enter: a label or pixel that is out of range would train without
// a word, on a loss of 0.

/**
 * Checks that images with classes are what their type says: count, sizes, labels, normalization, and the form of the
 * first image.
 *
 * @throws UserError naming the first thing that is wrong
 */
export function validateDataset(dataset: ImageClasses): void {
  const refuse = refusing(dataset);
  validateForm(dataset, refuse);
  checkLabels(dataset, refuse);
  const { channels, height, width } = dataset;
  const { image } = dataset.read(0);
  const expected = [channels, height, width].join("×");
  if (image.shape.join("×") !== expected || image.data.length !== channels * height * width) {
    refuse(`image 0 is ${image.shape.join("×")} with ${image.data.length} pixels; it has to be ${expected}`);
  }
}

/**
 * Checks the training and the test part, and that they go together: images of one shape, the same classes.
 *
 * @throws UserError naming the first thing that is wrong
 */
export function validateDatasets({ train, test }: DatasetPair): void {
  for (const part of [train, test]) validateDataset(part);
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

/** What sizes, classes and normalization have to be, whatever the images are stored in. */
export function validateForm(
  dataset: Omit<ImageClasses, "labels" | "read" | "fingerprint">,
  refuse: Refuse,
): void {
  const { count, channels, height, width, classNames } = dataset;
  for (const [what, value] of Object.entries({ count, channels, height, width })) {
    if (!(Number.isInteger(value) && value >= 1)) {
      refuse(`${what} is ${value}; it has to be a whole number of at least 1`);
    }
  }
  checkClassNames(classNames, refuse);
  checkNormalization(dataset, refuse);
}

export type Refuse = (problem: string) => never;

/** Refuses a data set by its name. */
export function refusing({ name }: { name: string }): Refuse {
  return (problem) => {
    throw new UserError(`data set ${JSON.stringify(name) ?? "without a name"}: ${problem}`);
  };
}

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

function checkNormalization(
  { channels, maximum, mean, deviation }: Pick<ImageClasses, "channels" | "maximum" | "mean" | "deviation">,
  refuse: Refuse,
): void {
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

/** Labels that are indices into the class names, one for each image. */
export function checkLabels(
  { labels, count, classNames }: { labels: ArrayLike<number>; count: number; classNames: readonly string[] },
  refuse: Refuse,
): void {
  checkLength("labels", labels, count, "one for each image", "an Int32Array", refuse);
  const classes = classNames.length;
  const isClass = (label: number) => Number.isInteger(label) && label >= 0 && label < classes;
  const wrong = firstIndex(labels, (label) => !isClass(label));
  if (wrong >= 0) {
    refuse(
      `label ${labels[wrong]} of image ${wrong} is out of bounds; with ${classes} class names labels are whole numbers from 0 to ${classes - 1}`,
    );
  }
}

/** @param wanted how many, in words; `type`: what it has to be */
export function checkLength(
  what: string,
  array: ArrayLike<number>,
  length: number,
  wanted: string,
  type: string,
  refuse: Refuse,
): void {
  if (typeof array?.length !== "number") refuse(`${what} is ${String(array)}; it has to be ${type}`);
  if (array.length === length) return;
  refuse(`${what} has ${array.length} elements; it has to have ${length}, ${wanted}`);
}

export function firstIndex(values: ArrayLike<number>, isWrong: (value: number) => boolean): number {
  for (let index = 0; index < values.length; index++) if (isWrong(values[index])) return index;
  return -1;
}
