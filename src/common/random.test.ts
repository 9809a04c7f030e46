import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fnv1a128, type Random, randomStream } from "./random.ts";

const first = (random: Random) => Array.from({ length: 4 }, () => random.uniform());

/** Pearson's Σ (observed − expected)² / expected against equal expectations. */
function chiSquare(observed: readonly number[]): number {
  const expected = observed.reduce((sum, count) => sum + count, 0) / observed.length;
  return observed.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

/** A bound that χ² with so many degrees of freedom exceeds with probability < 1e-5 (mean k, variance 2k, long tail). */
const bound = (degrees: number) => degrees + 5 * Math.sqrt(2 * degrees) + 15;

test("the hash gives the published FNV-1a 128 values", () => {
  const hash = (text: string) => fnv1a128(new TextEncoder().encode(text)).toString(16).padStart(32, "0");
  assert.equal(hash(""), "6c62272e07bb014262b821756295c58d");
  assert.equal(hash("a"), "d228cb696f1a8caf78912b704e4a8964");
  assert.equal(hash("foobar"), "343e1662793c64bf6f0d3597ba446f18");
});

test("equal arguments give equal streams, others different ones", () => {
  const argument = fc.tuple(
    fc.integer(),
    fc.string(),
    fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 3 }),
  );
  fc.assert(
    fc.property(argument, argument, ([seed, purpose, indices], other) => {
      const stream = first(randomStream(seed, purpose, ...indices));
      assert.deepEqual(stream, first(randomStream(seed, purpose, ...indices)));
      const same = JSON.stringify([seed, purpose, indices]) === JSON.stringify(other);
      assert.equal(
        JSON.stringify(stream) === JSON.stringify(first(randomStream(other[0], other[1], ...other[2]))),
        same,
      );
    }),
  );
  const firsts = new Set<number>();
  for (let seed = 0; seed < 50; seed++) {
    for (let epoch = 0; epoch < 50; epoch++) firsts.add(randomStream(seed, "shuffle", epoch).uniform());
  }
  assert.equal(firsts.size, 2500);
  assert.deepEqual(first(randomStream(-0, "a", -0)), first(randomStream(0, "a", 0)));
  assert.throws(() => randomStream(Number.NaN, "shuffle"), RangeError);
});

test("first draws of neighboring seeds and epochs are uniform and uncorrelated", () => {
  const counts = new Array(16 * 16).fill(0);
  for (let seed = 0; seed < 20_000; seed++) {
    const here = Math.floor(16 * randomStream(seed, "augment", 3).uniform());
    const next = Math.floor(16 * randomStream(seed, "augment", 4).uniform());
    counts[16 * here + next]++;
  }
  assert.ok(chiSquare(counts) < bound(255), `χ² = ${chiSquare(counts)}`);
});

test("uniform lies in [0, 1), fills it evenly and has bits below 2⁻³²", () => {
  const random = randomStream(1, "uniform");
  const counts = new Array(100).fill(0);
  let fine = 0;
  for (let i = 0; i < 200_000; i++) {
    const value = random.uniform();
    assert.ok(value >= 0 && value < 1);
    assert.ok(Number.isInteger(value * 2 ** 53));
    if (!Number.isInteger(value * 2 ** 52)) fine++;
    counts[Math.floor(100 * value)]++;
  }
  assert.ok(chiSquare(counts) < bound(99));
  assert.ok(Math.abs(fine - 100_000) < 1500, "the last of the 53 bits is 1 half of the time");
});

test("integer is uniform, also where 2³² is no multiple of n", () => {
  for (const n of [1, 2, 3, 10, 3 * 2 ** 30]) {
    const random = randomStream(2, "integer", n);
    const bins = Math.min(n, 12);
    const counts = new Array(bins).fill(0);
    for (let i = 0; i < 60_000; i++) {
      const value = random.integer(n);
      assert.ok(Number.isInteger(value) && value >= 0 && value < n);
      counts[Math.floor((value / n) * bins)]++;
    }
    assert.ok(chiSquare(counts) < bound(bins - 1), `n = ${n}`);
  }
  for (const n of [0, -1, 1.5, Number.NaN])
    assert.throws(() => randomStream(1, "integer").integer(n), RangeError);
});

test("normal has the moments and the tail of the standard normal", () => {
  const random = randomStream(3, "normal");
  const count = 200_000;
  const values = Array.from({ length: count }, () => random.normal());
  const moment = (power: number) => values.reduce((sum, value) => sum + value ** power, 0) / count;
  // The standard error of the k-th moment is √((E x²ᵏ − (E xᵏ)²) / count); five of them are allowed.
  assert.ok(Math.abs(moment(1)) < 5 * Math.sqrt(1 / count));
  assert.ok(Math.abs(moment(2) - 1) < 5 * Math.sqrt(2 / count));
  assert.ok(Math.abs(moment(3)) < 5 * Math.sqrt(15 / count));
  assert.ok(Math.abs(moment(4) - 3) < 5 * Math.sqrt(96 / count));
  const beyond = values.filter((value) => Math.abs(value) > 1.959964).length / count;
  assert.ok(Math.abs(beyond - 0.05) < 5 * Math.sqrt((0.05 * 0.95) / count));
  const neighbors = values.reduce((sum, value, i) => sum + value * (values[i + 1] ?? 0), 0) / count;
  assert.ok(
    Math.abs(neighbors) < 5 * Math.sqrt(1 / count),
    "cosine and sine halves of a pair are uncorrelated",
  );
});

test("a permutation holds every number once; all orders are equally likely", () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 0, max: 300 }), (seed, n) => {
      const sorted = randomStream(seed, "permutation").permutation(n).sort();
      assert.deepEqual(
        [...sorted],
        Array.from({ length: n }, (_, i) => i),
      );
    }),
  );
  const random = randomStream(4, "permutation");
  const orders = new Map<string, number>();
  for (let i = 0; i < 24_000; i++) {
    const order = random.permutation(4).join("");
    orders.set(order, (orders.get(order) ?? 0) + 1);
  }
  assert.equal(orders.size, 24);
  assert.ok(chiSquare([...orders.values()]) < bound(23));
});

test("shuffle works in place, on arrays of anything", () => {
  const words = ["a", "b", "c", "d", "e"];
  assert.equal(randomStream(5, "shuffle").shuffle(words), words);
  assert.deepEqual(words.toSorted(), ["a", "b", "c", "d", "e"]);
});
