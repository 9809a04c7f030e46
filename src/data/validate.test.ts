import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { UserError } from "../common/errors.ts";
import { loadDataset } from "./catalogue.ts";
import { type ImageArrays, sourceOf, sourcesOf } from "./image-arrays.ts";
import { validateDataset, validateDatasets } from "./validate.ts";

/** Four images of 2 channels and 1×2 pixels, of the classes 0 to 3. */
const sound: ImageArrays = {
  name: "mine",
  images: Uint8Array.from({ length: 16 }, (_, index) => index),
  labels: Uint8Array.of(0, 1, 2, 3),
  count: 4,
  channels: 2,
  height: 1,
  width: 2,
  classNames: ["a", "b", "c", "d"],
  maximum: 16,
  mean: [0, 0.5],
  deviation: [1, 0.5],
};

function refused(run: () => void, expected: RegExp): void {
  assert.throws(run, (error: Error) => {
    assert.ok(error instanceof UserError, error.stack);
    assert.match(error.message, expected);
    assert.doesNotMatch(error.message, /\. [A-Z]|\.$/);
    return true;
  });
}

/** What a JavaScript user may give. */
type Given = { [key in keyof ImageArrays]?: unknown };

const labelsWanted = "labels are whole numbers from 0 to 3";
const wrong: Record<string, [Given, RegExp]> = {
  "labels 1 to 4 of four classes": [
    { labels: Uint8Array.of(1, 2, 3, 4) },
    new RegExp(`^data set "mine": label 4 of image 3 is out of bounds; with 4 class names ${labelsWanted}$`),
  ],
  "a label 255": [{ labels: Uint8Array.of(0, 255, 2, 255) }, /label 255 of image 1 is out of bounds/],
  "fewer names than labels": [{ classNames: ["a", "b"] }, /label 2 of image 2 .* from 0 to 1$/],
  "a negative label": [{ labels: Int8Array.of(0, 1, -1, 3) }, /label -1 of image 2 is out of bounds/],
  "a label that is no whole number": [{ labels: [0, 0.5, 1, 2] }, /label 0\.5 of image 1 is out of bounds/],
  "a label that is not a number": [{ labels: [0, 1, 2, Number.NaN] }, /label NaN of image 3/],
  "too few labels": [{ labels: Uint8Array.of(0, 1, 2) }, /labels has 3 elements; it has to have 4, one for /],
  "no labels": [{ labels: undefined }, /labels is undefined; it has to be an Int32Array/],
  "a count larger than the arrays": [{ count: 5 }, /labels has 4 elements; it has to have 5/],
  "a count of 0": [{ count: 0 }, /count is 0; it has to be a whole number of at least 1/],
  "a height that is no number": [{ height: undefined }, /height is undefined; it has to be a whole number/],
  "too few images": [
    { images: new Uint8Array(12) },
    /images has 12 elements; it has to have 16, 4 images of 2×1×2$/,
  ],
  "pixels above the maximum": [
    { maximum: 10 },
    /image 2 has the pixel value 11; pixels are whole numbers from 0 to maximum, which is 10$/,
  ],
  "pixels that are not numbers": [
    { images: Float32Array.from(sound.images, (value, index) => (index === 9 ? Number.NaN : value)) },
    /image 2 has the pixel value NaN/,
  ],
  "pixels that are no bytes": [
    { images: Float32Array.from(sound.images) },
    /images is of type Float32Array; it has to be a Uint8Array/,
  ],
  "a maximum of 0": [{ maximum: 0 }, /maximum is 0; it has to be the pixel value that stands for 1/],
  "a deviation of 0": [
    { deviation: [1, 0] },
    /the deviation of channel 1 is 0; it has to be a finite number above 0: pixels are divided by it$/,
  ],
  "a deviation that is not a number": [{ deviation: [Number.NaN, 1] }, /the deviation of channel 0 is NaN/],
  "a mean that is not a number": [
    { mean: [0, Number.NaN] },
    /the mean of channel 1 is NaN; it has to be a finite/,
  ],
  "a mean for other channels": [
    { mean: [0] },
    /mean has 1 numbers; it has to have one for each channel \(2\)$/,
  ],
  "no deviation": [{ deviation: undefined }, /deviation has no numbers/],
  "two classes of one name": [{ classNames: ["a", "b", "a", "d"] }, /classes 0 and 2 are both called "a"$/],
  "a class without a name": [{ classNames: ["a", "b", undefined, "d"] }, /classNames\[2\] is undefined/],
  "no classes": [{ classNames: [] }, /classNames has to be an array of at least two names$/],
};

describe("a data set is refused, in one sentence that names the first thing that is wrong", () => {
  for (const [name, [given, expected]] of Object.entries(wrong)) {
    test(name, () => refused(() => sourceOf({ ...sound, ...given } as ImageArrays), expected));
  }
});

test("what is sound passes: bytes up to the maximum, classes without images, a Buffer, labels of any kind", async () => {
  const pass = (given: Given) => validateDataset(sourceOf({ ...sound, ...given } as ImageArrays));
  pass({});
  pass({ images: Buffer.from(sound.images), classNames: [..."abcdefg"] });
  pass({ images: new Uint8Array(16).fill(255), maximum: 255 });
  for (const labels of [[0, 1, 2, 3], Int32Array.of(0, 1, 2, 3)]) pass({ labels });
  validateDatasets(sourcesOf({ train: sound, test: sound }));
  validateDatasets(await loadDataset("digits"));
});

test("a source has the pixels and labels of its arrays; more classes than bytes can tell apart", () => {
  const labels = Int32Array.of(0, 999, 300, 3);
  const source = sourceOf({ ...sound, labels, classNames: Array.from({ length: 1000 }, (_, i) => `${i}`) });
  const { image, class: target } = source.read(2);
  assert.deepEqual([image.shape, [...image.data], [...target.data]], [[2, 1, 2], [8, 9, 10, 11], [300]]);
});

test("a source spread with other labels has these, and what they name wrongly is refused", () => {
  const source = sourceOf(sound);
  const other = sourceOf({ ...source, labels: Int32Array.of(3, 2, 1, 0) });
  assert.deepEqual(
    [0, 1, 2, 3].map((index) => other.read(index).class.data[0]),
    [3, 2, 1, 0],
  );
  refused(() => sourceOf({ ...source, labels: Int32Array.of(3, 2, 1, 4) }), /label 4 of image 3 is out of/);
});

test("a source whose images are of another size than it says is refused", () => {
  const source = sourceOf(sound);
  refused(() => validateDataset({ ...source, width: 3 }), /image 0 is 2×1×2 with 4 pixels; .* be 2×1×3$/);
});

test("test images have to go with the training images: part, shape, classes", () => {
  const pairs: [Given | undefined, RegExp][] = [
    [undefined, /^the data have no test images; give \{ train, test \}/],
    [{ height: 2, width: 1 }, /^the test images are 2×2×1, but the training images are 2×1×2;/],
    [{ classNames: [..."abcde"] }, /^the test images have 5 classes, but the training images have 4;/],
    [{ classNames: [..."abdc"] }, /^class 2 of the test images is "d", but of the training images "c";/],
    [{ labels: Uint8Array.of(0, 1, 2, 4) }, /label 4 of image 3 is out of bounds/],
  ];
  for (const [given, expected] of pairs) {
    const tested = (given && { ...sound, ...given }) as ImageArrays;
    refused(() => validateDatasets(sourcesOf({ train: sound, test: tested })), expected);
  }
});
