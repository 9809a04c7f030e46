import { type Random, randomStream } from "../common/random.ts";
import { norm, orthogonalize, scale } from "../flatness/dense.ts";
import type { ProblemKind, TheoremConfiguration } from "./configuration.ts";
import { logisticProblem, nonConvexProblem, type Problem, quadraticProblem } from "./problems.ts";

// The problems of a configuration: what it does not state is drawn from the seed.

const logistic = { rows: 40, size: 5, batchSize: 8, l2: 0.01 };
const factors = [2, 1, 0.5, 0.25];

export function drawnProblem(kind: ProblemKind, { spectrum, variance, seed }: TheoremConfiguration): Problem {
  const random = randomStream(seed, `theorem: ${kind}`);
  const normals = (count: number) => Array.from({ length: count }, () => random.normal());
  switch (kind) {
    case "quadratic":
      return quadraticProblem({
        matrix: matrixOf(spectrum, random),
        start: normals(spectrum.length),
        variance,
      });
    case "non-convex":
      // Far enough from the minimum that the curvature is negative in most directions.
      return nonConvexProblem({
        factors,
        start: normals(factors.length).map((value) => 2 * value),
        variance,
      });
    case "logistic": {
      const truth = normals(logistic.size);
      const rows = Array.from({ length: logistic.rows }, () => normals(logistic.size));
      const labels = rows.map((row) => {
        const margin = row.reduce((sum, value, index) => sum + value * truth[index], 0);
        return random.uniform() < 1 / (1 + Math.exp(-margin)) ? 1 : -1;
      });
      const { l2, batchSize, size } = logistic;
      return logisticProblem({ rows, labels, l2, batchSize, start: normals(size) });
    }
    default:
      return kind satisfies never;
  }
}

/** A symmetric matrix with the given eigenvalues and random eigenvectors. */
function matrixOf(eigenvalues: readonly number[], random: Random): number[][] {
  const basis: Float64Array[] = [];
  for (const _ of eigenvalues) {
    const vector = Float64Array.from(eigenvalues, () => random.normal());
    orthogonalize(vector, basis);
    basis.push(scale(vector, 1 / norm(vector)));
  }
  const entry = (row: number, column: number) =>
    eigenvalues.reduce((sum, value, index) => sum + value * (basis[index][row] * basis[index][column]), 0);
  return eigenvalues.map((_, row) => eigenvalues.map((__, column) => entry(row, column)));
}
