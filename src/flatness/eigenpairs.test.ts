import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { UserError } from "../common/errors.ts";
import { randomStream } from "../common/random.ts";
import { assertClose } from "../testing/numeric.ts";
import { matrixOfSpectrum, matrixOperator, product } from "../testing/surfaces.ts";
import { type EigenpairOptions, type Eigenvalue, eigenpairs } from "./eigenpairs.ts";
import type { LinearOperator } from "./krylov.ts";
import type { SavedState } from "./progress.ts";

// Matrices whose eigenvalues were chosen.

const valuesOf = (pairs: Eigenvalue[]) => pairs.map(({ value }) => value);
const descending = (values: readonly number[]) => [...values].sort((a, b) => b - a);

const clustered = [
  ...[9, 9 - 1e-3, 9 - 2e-3, 5, 5 - 1e-5, 2],
  ...Array.from({ length: 60 }, (_, index) => 0.01 * Math.sin(index)),
  ...[-0.5, -3, -3.001],
];

test("clustered and negative eigenvalues at both ends, each with the residual it has", async () => {
  const { matrix } = matrixOfSpectrum(clustered, randomStream(1, "clustered"));
  const operator = matrixOperator(matrix);
  const sorted = descending(clustered);
  const found = await eigenpairs(operator, sorted.length, {
    largest: 6,
    smallest: 3,
    tolerance: 1e-9,
    vectors: true,
  });
  assert.ok(found.converged);
  assertClose(valuesOf(found.largest), sorted.slice(0, 6), 1e-12, "largest");
  assertClose(valuesOf(found.smallest), sorted.slice(-3).reverse(), 1e-12, "smallest");
  assert.equal(found.products, operator.calls);
  for (const side of ["largest", "smallest"] as const) {
    for (const [index, { value, residual }] of found[side].entries()) {
      const vector = found.vectors![side][index];
      const image = await operator(vector);
      const actual = Math.hypot(...image.map((number, i) => number - value * vector[i]));
      assertClose([residual], [actual], 1e-2, "residual");
      assertClose([product(vector, vector)], [1], 1e-12, "length");
    }
  }
});

test("k = all gives every eigenvalue as often as it is there", async () => {
  const spectrum = [4, 4, 4, 1, 1, 0, 0, 0, 0, 0, -2, -2];
  const { matrix } = matrixOfSpectrum(spectrum, randomStream(2, "multiple"));
  const { largest, converged } = await eigenpairs(matrixOperator(matrix), 12, { largest: 12 });
  assertClose(valuesOf(largest), spectrum, 1e-12);
  assert.ok(converged);
});

test("verify finds the eigenvalues that one start vector does not see", async () => {
  const spectrum = descending([7, 7, 7, 5, 3, 3, 2, ...Array.from({ length: 80 }, (_, i) => i / 1000)]);
  const { matrix } = matrixOfSpectrum(spectrum, randomStream(3, "verify"));
  const options = { largest: 4, tolerance: 1e-4 };
  const once = await eigenpairs(matrixOperator(matrix), spectrum.length, options);
  assert.ok(once.converged && Math.abs(once.largest[1].value - 5) < 1e-3, "one start vector sees one 7");
  const verified = await eigenpairs(matrixOperator(matrix), spectrum.length, { ...options, verify: true });
  assertClose(valuesOf(verified.largest), spectrum.slice(0, 4), 1e-6);
});

test("a small memory restarts the basis and changes nothing but the number of products", async () => {
  const spectrum = descending(Array.from({ length: 300 }, (_, index) => 100 * Math.exp(-index / 20)));
  const { matrix } = matrixOfSpectrum(spectrum, randomStream(4, "restart"));
  const basis = 30;
  const options = { largest: 10, tolerance: 1e-8, memory: (basis + 2) * 8 * 300 };
  const found = await eigenpairs(matrixOperator(matrix), 300, options);
  assert.ok(found.converged && found.products > basis);
  assertClose(valuesOf(found.largest), spectrum.slice(0, 10), 1e-12);
});

test("what is not converged when the products run out says so", async () => {
  const { matrix } = matrixOfSpectrum(clustered, randomStream(5, "limit"));
  const found = await eigenpairs(matrixOperator(matrix), clustered.length, {
    largest: 6,
    tolerance: 1e-10,
    maxProducts: 9,
  });
  assert.equal(found.products, 9);
  assert.equal(found.converged, false);
  assert.deepEqual(
    found.largest.map(({ converged }) => converged).filter((converged) => !converged).length > 0,
    true,
  );
});

test("property: some eigenvalue lies within the residual, and no value is above the true one", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: 4, maxLength: 30 }),
      fc.integer({ min: 1, max: 1000 }),
      fc.integer({ min: 1, max: 12 }),
      async (spectrum, seed, maxProducts) => {
        const sorted = descending(spectrum);
        const { matrix } = matrixOfSpectrum(sorted, randomStream(seed, "property"));
        const largest = Math.min(3, sorted.length);
        const found = await eigenpairs(matrixOperator(matrix), sorted.length, { largest, seed, maxProducts });
        for (const [index, { value, residual }] of found.largest.entries()) {
          assert.ok(value <= sorted[index] + 1e-9);
          assert.ok(sorted.some((eigenvalue) => Math.abs(eigenvalue - value) <= residual + 1e-9));
        }
      },
    ),
    { numRuns: 40 },
  );
});

test("an operator that is rounded to float32 still gives true residuals", async () => {
  const { matrix } = matrixOfSpectrum(descending(clustered), randomStream(6, "rounded"));
  const exact = matrixOperator(matrix);
  const rounded: LinearOperator = async (vector) => Float64Array.from(await exact(vector), Math.fround);
  const found = await eigenpairs(rounded, clustered.length, { largest: 6, tolerance: 1e-5, vectors: true });
  for (const [index, { value, residual }] of found.largest.entries()) {
    const vector = found.vectors!.largest[index];
    const image = await exact(vector);
    const actual = Math.hypot(...image.map((number, i) => number - value * vector[i]));
    assert.ok(Math.abs(actual - residual) < 2e-6, `${actual} and ${residual}`);
  }
  assert.ok(found.asymmetry > 1e-9 && found.asymmetry < 1e-6);
});

test("an aborted computation goes on from its state to the same numbers", async () => {
  const { matrix } = matrixOfSpectrum(clustered, randomStream(7, "resume"));
  const options: EigenpairOptions = {
    largest: 4,
    smallest: 2,
    tolerance: 1e-8,
    verify: true,
    memory: 20 * 8 * 69,
  };
  const whole = await eigenpairs(matrixOperator(matrix), 69, options);
  for (const after of [1, 8, 19, whole.products - 2]) {
    const abort = new AbortController();
    let state: SavedState | undefined;
    const aborted = eigenpairs(matrixOperator(matrix), 69, {
      ...options,
      signal: abort.signal,
      onProgress: ({ done, save }) => {
        if (done !== after) return;
        state = structuredClone(save());
        abort.abort(new Error("enough"));
      },
    });
    await assert.rejects(aborted, /^Error: enough$/);
    const operator = matrixOperator(matrix);
    assert.deepEqual(await eigenpairs(operator, 69, { ...options, state }), whole);
    assert.equal(operator.calls, whole.products - after);
  }
});

test("progress ends at its total and estimates the time left", async () => {
  const { matrix } = matrixOfSpectrum(clustered, randomStream(8, "progress"));
  const seen: number[] = [];
  const found = await eigenpairs(matrixOperator(matrix), 69, {
    largest: 5,
    onProgress: ({ done, total, secondsLeft }) => {
      seen.push(done);
      assert.ok(total >= done && secondsLeft >= 0);
    },
  });
  assert.deepEqual(
    seen,
    Array.from({ length: found.products }, (_, index) => index + 1),
  );
});

for (const [what, options, message] of [
  [
    "more eigenvalues than parameters",
    { largest: 13 },
    "13 largest eigenvalues were asked for, but there are only 12 parameters; choose at most 12",
  ],
  ["no eigenvalues", { largest: 0 }, "no eigenvalues were asked for; choose at least one"],
  [
    "half an eigenvalue",
    { largest: 1.5 },
    "the number of largest eigenvalues is 1.5; choose a whole number of at least 0",
  ],
  ["a tolerance of 0", { tolerance: 0 }, "tolerance is 0; choose a number above 0"],
  [
    "a memory that is too small",
    { largest: 3, memory: 500 },
    "3 eigenvalues of 12 parameters need a basis of 8.6e-7 GB, but 5.0e-7 GB are allowed; allow more memory or ask for fewer",
  ],
  [
    "a state of another seed",
    { state: { settings: { computation: "eigenvalues", parameters: 12, seed: 1 }, tensors: {} } },
    "the saved state is of another computation (seed was 1, now 0); start over without it",
  ],
] as [string, EigenpairOptions, string][]) {
  test(`${what} is refused in one sentence`, async () => {
    const operator: LinearOperator = async (vector) => vector;
    await assert.rejects(eigenpairs(operator, 12, options), new UserError(message));
  });
}
