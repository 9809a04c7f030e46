import assert from "node:assert/strict";
import { test } from "node:test";
import { randomBatch } from "../tasks/classification/random-batch.ts";
import { parseRun } from "./configuration.ts";
import { createOptimizer } from "./optimizers.ts";
import { measureStepCosts } from "./step-cost.ts";

test("the cost of a step: gradients, and the memory of what each optimizer keeps", async () => {
  const settings = {
    "sgd-plain": { method: "sgd", base: { momentum: 0 } },
    sgd: { method: "sgd" },
    adam: { method: "adam" },
    "bilateral-sam-every-4": { method: "bilateral-sam", every: 4 },
    "bilateral-sam-reuse-2": { method: "bilateral-sam", reuse: 2, base: { name: "lion" } },
  };
  const rounds: number[] = [];
  const costs = await measureStepCosts({
    ...(await randomBatch("mlp", { channels: 1, height: 4, width: 4, classes: 3 }, 2)),
    optimizers: Object.fromEntries(
      Object.entries(settings).map(([id, optimizer]) => [
        id,
        createOptimizer(parseRun({ optimizer }).optimizer),
      ]),
    ),
    rounds: 1,
    threads: 1,
    onProgress: (done) => rounds.push(done),
  });
  // 16 × 256 + 256, 256 × 128 + 128, 128 × 3 + 3 numbers of four bytes.
  const bytes = 4 * (16 * 256 + 256 + 256 * 128 + 128 + 128 * 3 + 3);
  // Adam keeps a mean and a mean of squares per weight, and their two weights for all; reuse keeps a direction.
  assert.deepEqual(
    costs.map(({ gradientEvaluations, stateBytes }) => [gradientEvaluations, stateBytes]),
    [
      [1, 0],
      [1, bytes],
      [1, 2 * bytes + 8],
      [1.5, bytes],
      [2, 2 * bytes],
    ],
  );
  assert.deepEqual(
    costs.map(({ id, method, base, variant }) => [id, method, base, variant]),
    [
      ["sgd-plain", "sgd", "sgd", undefined],
      ["sgd", "sgd", "sgd", undefined],
      ["adam", "adam", "adam", undefined],
      ["bilateral-sam-every-4", "bilateral-sam", "sgd", "paper"],
      ["bilateral-sam-reuse-2", "bilateral-sam", "lion", "paper"],
    ],
  );
  assert.ok(costs.every(({ milliseconds }) => milliseconds > 0));
  assert.deepEqual(rounds, [1, 2, 3]);
});
