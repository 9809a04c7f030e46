import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { randomStream } from "../common/random.ts";
import { Basis, basisTypes } from "./basis.ts";
import { norm, scale } from "./dense.ts";

const rounded = { float32: Math.fround, float64: (value: number) => value };
const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a, (value, i) => value * b[i]).reduce((sum, term) => sum + term, 0);

/** A basis of random vectors, and the same as plain arrays. */
function randomBasis(type: (typeof basisTypes)[number], length: number, count: number, seed: number) {
  const random = randomStream(seed, "basis");
  const basis = new Basis(length, type);
  const vectors = Array.from({ length: count }, () => Array.from({ length }, () => random.normal()));
  for (const vector of vectors) basis.push(vector);
  const w = Float64Array.from({ length }, () => random.normal());
  return { basis, vectors: vectors.map((vector) => vector.map(rounded[type])), w, random };
}

for (const type of basisTypes) {
  test(`property, ${type}: products, combinations and transformations are those of plain sums`, () => {
    fc.assert(
      fc.property(
        // Around the rows of a block, and around the four vectors of a call.
        fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 2040, max: 2056 }), fc.constant(5003)),
        fc.integer({ min: 1, max: 14 }),
        fc.integer({ min: 1, max: 1000 }),
        (length, count, seed) => {
          const { basis, vectors, w, random } = randomBasis(type, length, count, seed);
          const close = (actual: ArrayLike<number>, expected: readonly number[], bound: number) => {
            assert.equal(actual.length, expected.length);
            for (const [i, value] of expected.entries()) assert.ok(Math.abs(actual[i] - value) <= bound);
          };
          const sizes = 1e-14 * count * length;
          close(
            basis.products(w),
            vectors.map((vector) => dot(vector, w)),
            sizes,
          );
          const c = Float64Array.from({ length: count }, () => random.normal());
          const combination = (factors: Float64Array) =>
            Array.from({ length }, (_, i) =>
              dot(
                factors,
                vectors.map((vector) => vector[i]),
              ),
            );
          const target = w.slice();
          basis.addCombination(target, -2, c);
          close(
            target,
            combination(c).map((value, i) => w[i] - 2 * value),
            sizes,
          );
          assert.deepEqual(Array.from(basis.vector(count - 1)), vectors[count - 1]);

          const copy = new Basis(length, type);
          copy.load(basis.toArray());
          const columns = [c, c.map((value, i) => value * i)].slice(0, count);
          copy.transform(columns);
          assert.equal(copy.size, columns.length);
          for (const [j, column] of columns.entries()) {
            const expected = combination(column);
            close(
              copy.vector(j),
              expected.map(rounded[type]),
              sizes + (type === "float32" ? 1e-6 * count : 0),
            );
          }
          // What was there before is neither read nor left over.
          copy.push(w);
          close(copy.products(w).slice(-1), [dot(w.map(rounded[type]), w)], sizes);
        },
      ),
      { numRuns: 40 },
    );
  });

  test(`${type}: a vector nearly inside the span is orthogonal to it afterwards`, () => {
    const [length, count] = [3000, 30];
    const { basis: given, random } = randomBasis(type, length, count, 1);
    const basis = new Basis(length, type);
    for (let index = 0; index < count; index++) {
      const vector = given.vector(index);
      basis.orthogonalize(vector);
      basis.push(scale(vector, 1 / norm(vector)));
    }
    // 10⁹ of the span to 1 of what is outside.
    const outside = Float64Array.from({ length }, () => random.normal());
    const w = outside.slice();
    const c = Float64Array.from({ length: count }, () => 1e9 * random.normal());
    basis.addCombination(w, 1, c);
    const taken = basis.orthogonalize(w);
    const worst = Math.max(...basis.products(w).map(Math.abs)) / norm(w);
    const accuracy = type === "float32" ? 1e-8 : 1e-14;
    assert.ok(worst < accuracy, `${worst}`);
    for (const [index, value] of taken.entries()) {
      assert.ok(Math.abs(value - c[index] - dot(basis.vector(index), outside)) < 1e9 * accuracy * count);
    }
  });
}

test("vectors go into further memories where one is full, and back out of them", () => {
  // 1,024 vectors are one memory.
  const { basis, vectors, w } = randomBasis("float64", 6, 1030, 2);
  const expected = vectors.map((vector) => dot(vector, w));
  const actual = basis.products(w);
  for (const [index, value] of expected.entries()) assert.ok(Math.abs(actual[index] - value) < 1e-13);
  const total = new Float64Array(6);
  basis.addCombination(total, 1, new Float64Array(1030).fill(1));
  for (const [i, value] of total.entries()) {
    assert.ok(Math.abs(value - vectors.reduce((sum, vector) => sum + vector[i], 0)) < 1e-11);
  }
  basis.transform([new Float64Array(1030).fill(1)]);
  assert.ok(Math.abs(basis.products(w)[0] - dot(total, w)) < 1e-10);
  basis.truncate(0);
  assert.equal(basis.products(w).length, 0);
  for (const vector of vectors) basis.push(vector);
  assert.deepEqual(basis.products(w), actual);
});
