import assert from "node:assert/strict";
import { test } from "node:test";
import { UserError } from "../common/errors.ts";
import { randomStream } from "../common/random.ts";
import { channelSums, imageClasses, measuredNormalization, subset } from "./source.ts";

/** Image i of 2 channels, 1×2 pixels holds i, i + 1, i + 2, i + 3 (mod 256) and has label i mod 10. */
function numbered(count: number) {
  return imageClasses(
    {
      name: "numbered",
      labels: Int32Array.from({ length: count }, (_, i) => i % 10),
      channels: 2,
      height: 1,
      width: 2,
      classNames: [..."abcdefghij"],
      maximum: 255,
      mean: [0, 0],
      deviation: [1, 1],
      fingerprint: "numbered",
    },
    (index) => Uint8Array.from([0, 1, 2, 3], (offset) => index + offset),
  );
}

const draw = (count: number, seed: number) => {
  const part = subset(numbered(200), count, randomStream(seed, "subset"));
  const samples = Array.from({ length: part.count }, (_, index) => part.read(index));
  return { part, firsts: samples.map(({ image }) => image.data[0]), samples };
};

test("a subset holds different images, each with its own label", () => {
  const { part, firsts, samples } = draw(150, 1);
  assert.deepEqual([part.count, part.labels.length, new Set(firsts).size], [150, 150, 150]);
  for (const [index, { image, class: target }] of samples.entries()) {
    const [first] = image.data;
    assert.deepEqual([...image.data], [first, first + 1, first + 2, first + 3]);
    assert.deepEqual([target.data[0], part.labels[index]], [first % 10, first % 10]);
  }
  assert.deepEqual(draw(150, 1).firsts, firsts);
  assert.notDeepEqual(draw(150, 2).firsts, firsts);
  assert.notEqual(draw(150, 2).part.fingerprint, part.fingerprint);
  assert.equal(new Set(draw(200, 1).firsts).size, 200);
});

test("a subset larger than the data set, or of no size, is refused", () => {
  for (const count of [201, 0, -1, 2.5, Number.NaN]) assert.throws(() => draw(count, 1), UserError);
  assert.throws(() => draw(201, 1), /201 images.*numbered has 200; choose from 1/);
});

test("a label that no class has is refused when a source is made", () => {
  const { read: _, count: __, ...form } = numbered(3);
  assert.throws(() => imageClasses({ ...form, labels: Int32Array.of(0, 10, 1) }, () => new Uint8Array(4)), {
    name: "UserError",
    message: "numbered: image 1 has the label 10; there are 10 classes (0 … 9)",
  });
});

test("mean and deviation of each channel are those of all its pixels; one value has the deviation 1", () => {
  const images = Uint8Array.of(0, 4, 7, 7, 8, 12, 7, 7);
  const { mean, deviation } = measuredNormalization(images, 2, 2, 10);
  // 0, 4, 8, 12: mean 6, variance (36 + 4 + 4 + 36) / 4.
  assert.deepEqual(mean, [0.6, 0.7]);
  assert.ok(Math.abs(deviation[0] - Math.sqrt(20) / 10) < 1e-12);
  assert.equal(deviation[1], 1);
});

test("sums of many white pixels do not overflow", () => {
  const pixels = 100_001;
  assert.deepEqual(channelSums(new Uint8Array(2 * pixels).fill(255), 2), [
    ...[pixels * 255, pixels * 255 ** 2],
    ...[pixels * 255, pixels * 255 ** 2],
  ]);
});
