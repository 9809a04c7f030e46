import assert from "node:assert/strict";
import { test } from "node:test";
import { UserError } from "../common/errors.ts";
import { randomStream } from "../common/random.ts";
import { assertClose } from "../testing/numeric.ts";
import { type CurvatureFixture, readFixture } from "../testing/problems.ts";
import {
  matrixOfSpectrum,
  matrixOperator,
  problemSurface,
  product,
  usingSurface,
} from "../testing/surfaces.ts";
import { operatorDensity, spectralDensity } from "./density.ts";
import type { SavedState } from "./progress.ts";
import { curvatureTrace, operatorTrace, traceMethods } from "./trace.ts";

type Fixture = CurvatureFixture & { eigenvalues: number[]; trace: number };

for (const problem of ["mlp", "cnn"] as const) {
  const { trace, eigenvalues } = readFixture<Fixture>(`curvature-${problem}`);

  for (const method of traceMethods) {
    test(`the trace of ${problem} by ${method} is within its stated error`, async () => {
      await usingSurface(problemSurface(problem, "float64"), async (surface) => {
        const scores: number[] = [];
        for (let seed = 0; seed < 10; seed++) {
          const found = await curvatureTrace(surface, { method, seed, products: 60 });
          scores.push((found.trace - trace) / found.standardError);
        }
        // Of Student's t with 19 degrees of freedom, 99.9 % are below 3.9; the mean square of ten is 1.1 ± 0.6.
        assert.ok(
          scores.every((score) => Math.abs(score) < 3.9),
          scores.join(),
        );
        const meanSquare = product(scores, scores) / scores.length;
        assert.ok(meanSquare > 0.2 && meanSquare < 3, scores.join());
      });
    });
  }

  test(`the density of ${problem} integrates to 1 and is the one of its eigenvalues`, async () => {
    await usingSurface(problemSurface(problem, "float64"), async (surface) => {
      const found = await spectralDensity(surface, { probes: 20, steps: 60, seed: 1 });
      assertClose([found.integral], [1], 1e-8);
      const { x, density, standardError, width } = found;
      const exact = x.map(
        (at) =>
          eigenvalues.reduce((sum, value) => sum + Math.exp(-(((at - value) / width) ** 2) / 2), 0) /
          (eigenvalues.length * width * Math.sqrt(2 * Math.PI)),
      );
      // In the places that hold most of the mass, the spread between probes says how far off the mean is.
      const peak = Math.max(...exact);
      const scores = x.flatMap((_, i) =>
        exact[i] > peak / 100 ? [(density[i] - exact[i]) / standardError[i]] : [],
      );
      assert.ok(scores.length > 10 && scores.every((score) => Math.abs(score) < 4), scores.join());
    });
  });
}

test("Hutch++ is exact where the matrix has no more rank than a third of the products", async () => {
  const spectrum = [5, 3, -2, 1, ...new Array(40).fill(0)];
  const { matrix } = matrixOfSpectrum(spectrum, randomStream(1, "low rank"));
  const found = await operatorTrace(matrixOperator(matrix), 44, { products: 18 });
  assertClose([found.trace], [7], 1e-10);
  assert.ok(found.standardError < 1e-10);
});

test("Hutch++ is exact for a matrix smaller than its sketch", async () => {
  const { matrix } = matrixOfSpectrum([3, 1, -1], randomStream(2, "small"));
  assertClose([(await operatorTrace(matrixOperator(matrix), 3, { products: 30 })).trace], [3], 1e-12);
});

test("Hutchinson's mean and its error are those of zᵀAz: exact for a diagonal matrix", async () => {
  const diagonal = [4, 3, -2, 0.5];
  const matrix = diagonal.map((value, i) => diagonal.map((_, j) => (i === j ? value : 0)));
  const found = await operatorTrace(matrixOperator(matrix), 4, { method: "hutchinson", products: 5 });
  assertClose([found.trace], [5.5], 1e-12);
  assert.ok(found.standardError < 1e-12);
});

test("the density's nodes and weights are a quadrature of the spectrum", async () => {
  // With as many steps as there are eigenvalues the weights are the start vector's squared components.
  const spectrum = [4, 2, 1, -1, -3];
  const { matrix, vectors } = matrixOfSpectrum(spectrum, randomStream(3, "quadrature"));
  const { nodes, weights, integral } = await operatorDensity(matrixOperator(matrix), 5, {
    probes: 3,
    seed: 4,
  });
  assertClose([integral], [1], 1e-8);
  for (const [probe, thetas] of nodes.entries()) {
    assertClose(thetas, spectrum, 1e-12);
    const random = randomStream(4, "density probe", probe);
    const start = Array.from({ length: 5 }, () => random.normal());
    const squares = vectors.map((vector) => product(vector, start) ** 2 / product(start, start));
    assertClose(weights[probe], squares, 1e-10);
  }
});

test("an aborted trace and an aborted density go on from their states to the same numbers", async () => {
  const { matrix } = matrixOfSpectrum(
    Array.from({ length: 30 }, (_, i) => Math.cos(i)),
    randomStream(4, "resume"),
  );
  const computations = [
    (options: object) => operatorTrace(matrixOperator(matrix), 30, { products: 12, ...options }),
    (options: object) => operatorDensity(matrixOperator(matrix), 30, { probes: 4, steps: 6, ...options }),
  ];
  for (const compute of computations) {
    const whole = await compute({});
    for (const after of [2, 5, 9, 11]) {
      const abort = new AbortController();
      let state: SavedState | undefined;
      const onProgress = ({ done, save }: { done: number; save: () => SavedState }) => {
        if (done !== after) return;
        state = structuredClone(save());
        abort.abort(new Error("enough"));
      };
      await assert.rejects(compute({ signal: abort.signal, onProgress }), /^Error: enough$/);
      assert.deepEqual(await compute({ state }), whole);
    }
  }
});

test("impossible settings are refused in one sentence", async () => {
  const operator = matrixOperator([
    [1, 0],
    [0, 2],
  ]);
  await assert.rejects(
    operatorTrace(operator, 2, { products: 5 }),
    new UserError("the number of products for hutch++ is 5; choose a whole number of at least 6"),
  );
  await assert.rejects(
    operatorDensity(operator, 2, { probes: 1 }),
    new UserError("the number of probes is 1; choose a whole number of at least 2"),
  );
  await assert.rejects(
    operatorDensity(operator, 2, { width: 1e-9 }),
    new UserError(
      "a density of width 1e-9 over a range of 1.00 takes 4000000050 points; choose a width of at least 0.000040",
    ),
  );
});
