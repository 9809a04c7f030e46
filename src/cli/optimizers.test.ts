import assert from "node:assert/strict";
import { test } from "node:test";
import { baseNames, optimizerNames } from "../tasks/optimizer-settings.ts";
import type { StepCost } from "../tasks/step-cost.ts";
import { lowland } from "../testing/cli.ts";

test("lowland optimizers --json names every method by an id that is no text for readers", async () => {
  const tiny = ["--image", "1x2x2", "--batch-size", "1", "--threads", "1"];
  const { code, stdout, stderr } = await lowland(["optimizers", ...tiny, "--json"]);
  assert.equal(code, 0, stderr);
  const rows: StepCost[] = JSON.parse(stdout);
  const ids = rows.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  for (const { id, method, base, label } of rows) {
    assert.match(id, /^[a-z0-9-]+$/);
    assert.ok(optimizerNames.some((name) => name === method) && baseNames.some((name) => name === base), id);
    assert.ok(label.startsWith(method), label);
  }
  for (const name of optimizerNames) {
    assert.equal(rows.find(({ id }) => id === name)?.method, name);
  }
  assert.equal(rows.find(({ id }) => id === "sam")?.label, "sam (ρ 0.05)");
  const { method, variant, base } = rows.find(({ id }) => id === "bilateral-sam-released")!;
  assert.deepEqual([method, variant, base], ["bilateral-sam", "released", "sgd"]);
});
