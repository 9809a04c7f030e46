import assert from "node:assert/strict";
import { test } from "node:test";
import { UserError } from "../common/errors.ts";
import { randomStream } from "../common/random.ts";
import { datasetNames, type ImageDataset, loadDataset, subset, withLabelNoise } from "./dataset.ts";

/** Image i of 2 channels, 1×2 pixels holds i, i + 1, i + 2, i + 3 (mod 256) and has label i mod 10. */
function numbered(count: number): ImageDataset {
  return {
    name: "numbered",
    images: Uint8Array.from({ length: 4 * count }, (_, i) => (i >> 2) + (i & 3)),
    labels: Uint8Array.from({ length: count }, (_, i) => i % 10),
    count,
    channels: 2,
    height: 1,
    width: 2,
    classNames: [..."abcdefghij"],
    maximum: 255,
    mean: [0, 0],
    deviation: [1, 1],
  };
}

test("an unknown name is refused with the choices", async () => {
  await assert.rejects(loadDataset("cifar"), (error) => {
    assert.ok(error instanceof UserError);
    assert.match(error.message, /"cifar".*fashion-mnist, digits/);
    return true;
  });
  assert.deepEqual([...datasetNames], ["fashion-mnist", "digits"]);
});

test("a subset holds different images, each with its own label", () => {
  const part = subset(numbered(200), 150, randomStream(1, "subset"));
  assert.deepEqual([part.count, part.labels.length, part.images.length], [150, 150, 600]);
  const firsts = new Set<number>();
  for (let i = 0; i < 150; i++) {
    const first = part.images[4 * i]!;
    firsts.add(first);
    assert.deepEqual([...part.images.subarray(4 * i, 4 * i + 4)], [first, first + 1, first + 2, first + 3]);
    assert.equal(part.labels[i], first % 10);
  }
  assert.equal(firsts.size, 150);
  assert.deepEqual(subset(numbered(200), 150, randomStream(1, "subset")), part);
  assert.notDeepEqual(subset(numbered(200), 150, randomStream(2, "subset")), part);
  assert.equal(new Set(subset(numbered(200), 200, randomStream(1, "subset")).images).size, 203);
});

test("a subset larger than the data set, or of no size, is refused", () => {
  for (const count of [201, 0, -1, 2.5, Number.NaN]) {
    assert.throws(() => subset(numbered(200), count, randomStream(1, "subset")), UserError);
  }
  assert.throws(
    () => subset(numbered(200), 201, randomStream(1, "subset")),
    /201 images.*numbered has 200; choose from 1/,
  );
});

test("label noise: p·(C − 1)/C of the labels end up wrong, evenly over the other classes", () => {
  const clean = numbered(50_000);
  const { dataset, wrong, wrongCount } = withLabelNoise(clean, 0.4, randomStream(1, "noise"));
  // Binomial with probability 0.4 · 9/10; five standard deviations are allowed.
  assert.ok(Math.abs(wrongCount - 18_000) < 5 * Math.sqrt(50_000 * 0.36 * 0.64), `${wrongCount}`);
  const shifts = new Array(10).fill(0);
  for (let i = 0; i < clean.count; i++) {
    assert.equal(wrong[i], dataset.labels[i] === clean.labels[i] ? 0 : 1);
    shifts[(dataset.labels[i]! - clean.labels[i]! + 10) % 10]++;
  }
  assert.equal(shifts[0], 50_000 - wrongCount);
  const expected = wrongCount / 9;
  const chiSquare = shifts.slice(1).reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  assert.ok(
    chiSquare < 43,
    `χ² with 8 degrees of freedom exceeds 43 with probability 1e-6; got ${chiSquare}`,
  );
  assert.equal(dataset.images, clean.images);
  assert.equal(clean.labels[11], 1, "the given labels are untouched");
});

test("label noise of 0 changes nothing; out of range is refused", () => {
  const clean = numbered(100);
  const { dataset, wrong, wrongCount } = withLabelNoise(clean, 0, randomStream(1, "noise"));
  assert.deepEqual(dataset.labels, clean.labels);
  assert.equal(wrongCount + wrong.indexOf(1), -1);
  for (const probability of [-0.1, 1.1, Number.NaN]) {
    assert.throws(() => withLabelNoise(clean, probability, randomStream(1, "noise")), UserError);
  }
});
