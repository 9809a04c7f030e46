import assert from "node:assert/strict";
import { test } from "node:test";
import { arraysOf } from "../testing/images.ts";
import { loadDataset } from "./catalogue.ts";

test("the digits are those of UCI: class counts, mean, and the first image", async () => {
  const { train, test } = await loadDataset("digits");
  assert.deepEqual(
    [train.count, test.count, train.channels, train.height, train.width],
    [1437, 360, 1, 8, 8],
  );
  const [training, testing] = [arraysOf(train), arraysOf(test)];
  assert.equal(training.images.length + testing.images.length, 1797 * 64);

  // The counts in the UCI description of optdigits.tes.
  const counts = new Array(10).fill(0);
  for (const label of [...train.labels, ...test.labels]) counts[label]++;
  assert.deepEqual(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);

  // The mean of scikit-learn's load_digits().data.
  const pixels = [...training.images, ...testing.images];
  assert.equal(Math.max(...training.images), 16);
  const mean = pixels.reduce((sum, pixel) => sum + pixel, 0) / pixels.length;
  assert.ok(Math.abs(mean - 4.884164579855314) < 1e-9);

  // A zero: the first image that scikit-learn's documentation prints.
  const zero = [
    [0, 0, 5, 13, 9, 1, 0, 0],
    [0, 0, 13, 15, 10, 15, 5, 0],
    [0, 3, 15, 2, 0, 11, 8, 0],
    [0, 4, 12, 0, 0, 8, 8, 0],
    [0, 5, 8, 0, 0, 9, 8, 0],
    [0, 4, 11, 0, 1, 12, 7, 0],
    [0, 2, 14, 5, 10, 12, 0, 0],
    [0, 0, 6, 13, 10, 0, 0, 0],
  ].join();
  const found = [training, testing].flatMap(({ images, labels, count }) =>
    Array.from({ length: count }, (_, i) => i)
      .filter((i) => images.subarray(64 * i, 64 * i + 64).join() === zero)
      .map((i) => labels[i]),
  );
  assert.deepEqual(found, [0]);
});

test("both parts hold every class and share the normalization of the training part", async () => {
  const { train, test } = await loadDataset("digits");
  assert.equal(new Set(train.labels).size, 10);
  assert.equal(new Set(test.labels).size, 10);
  const values = Array.from(arraysOf(train).images, (pixel) => pixel / 16);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  for (const part of [train, test]) {
    assert.ok(Math.abs(part.mean[0]! - mean) < 1e-9);
    assert.ok(Math.abs(part.deviation[0]! - Math.sqrt(variance)) < 1e-9);
  }
});

test("the split is the same every time", async () => {
  const again = async () => arraysOf((await loadDataset("digits")).test);
  assert.deepEqual(await again(), await again());
});
