import assert from "node:assert/strict";
import { test } from "node:test";
import { assertClose } from "../testing/numeric.ts";
import { confidenceInterval, intervalOverBatches, studentQuantile } from "./statistics.ts";

test("Student's quantiles are those of the printed tables", () => {
  const table: [probability: number, degrees: number, t: number][] = [
    [0.95, 1, 12.706],
    [0.95, 2, 4.303],
    [0.95, 3, 3.182],
    [0.95, 4, 2.776],
    [0.95, 9, 2.262],
    [0.95, 10, 2.228],
    [0.95, 30, 2.042],
    [0.95, 120, 1.98],
    [0.99, 5, 4.032],
    [0.9, 7, 1.895],
  ];
  for (const [probability, degrees, t] of table) {
    assert.ok(Math.abs(studentQuantile(probability, degrees) - t) < 6e-4, `${probability} ${degrees}`);
  }
});

test("the interval of four numbers, worked by hand", () => {
  // mean 5, squares 9 + 1 + 1 + 9 = 20, error √(20/3/4) = 1.29099, t(3) = 3.18245
  const { mean, standardError, low, high, count } = confidenceInterval([2, 4, 6, 8]);
  assertClose([mean, standardError, low, high], [5, 1.29099, 0.89148, 9.10852], 1e-5);
  assert.equal(count, 4);
});

test("over batches of equal size it is the same interval, over others the mean is of all examples", () => {
  const values = [2, 4, 6, 8];
  const { count: _, ...expected } = confidenceInterval(values, 0.9);
  const quarters = intervalOverBatches(values, [0.25, 0.25, 0.25, 0.25], 0.9);
  for (const [name, value] of Object.entries(expected)) {
    assertClose([quarters[name as "low"]], [value], 1e-12, name);
  }
  // mean ¼·1 + ¾·7/3 = 2, deviations −1 and ⅓, error √(2·((¼)² + (¼)²)) = ½
  const { mean, standardError } = intervalOverBatches([1, 7 / 3], [0.25, 0.75]);
  assertClose([mean, standardError], [2, 0.5], 1e-12);
});
