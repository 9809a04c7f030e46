import assert from "node:assert/strict";
import { test } from "node:test";
import { UserError } from "../../common/errors.ts";
import { randomStream } from "../../common/random.ts";
import { imageClasses } from "../../data/source.ts";
import { withLabelNoise } from "./label-noise.ts";

function numbered(count: number) {
  return imageClasses(
    {
      name: "numbered",
      labels: Int32Array.from({ length: count }, (_, i) => i % 10),
      channels: 1,
      height: 1,
      width: 1,
      classNames: [..."abcdefghij"],
      maximum: 255,
      mean: [0],
      deviation: [1],
      fingerprint: "numbered",
    },
    (index) => Uint8Array.of(index % 256),
  );
}

test("label noise: p·(C − 1)/C of the labels end up wrong, evenly over the other classes", () => {
  const clean = numbered(50_000);
  const { labels, wrongCount, read } = withLabelNoise(clean, 0.4, randomStream(1, "noise"));
  // Binomial with probability 0.4 · 9/10; five standard deviations are allowed.
  assert.ok(Math.abs(wrongCount - 18_000) < 5 * Math.sqrt(50_000 * 0.36 * 0.64), `${wrongCount}`);
  const shifts = new Array(10).fill(0);
  for (let i = 0; i < clean.count; i++) {
    const { class: target, trueClass } = read(i);
    assert.deepEqual([target.data[0], trueClass.data[0]], [labels[i], i % 10]);
    shifts[(labels[i] - clean.labels[i] + 10) % 10]++;
  }
  assert.equal(shifts[0], 50_000 - wrongCount);
  const expected = wrongCount / 9;
  const chiSquare = shifts.slice(1).reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
  assert.ok(
    chiSquare < 43,
    `χ² with 8 degrees of freedom exceeds 43 with probability 1e-6; got ${chiSquare}`,
  );
  assert.equal(read(300).image.data[0], 44, "the images stay");
  assert.equal(clean.labels[11], 1, "the given labels are untouched");
});

test("label noise of 0 changes nothing; out of range is refused", () => {
  const clean = numbered(100);
  const { labels, wrongCount } = withLabelNoise(clean, 0, randomStream(1, "noise"));
  assert.deepEqual([labels, wrongCount], [clean.labels, 0]);
  for (const probability of [-0.1, 1.1, Number.NaN]) {
    assert.throws(() => withLabelNoise(clean, probability, randomStream(1, "noise")), UserError);
  }
});
