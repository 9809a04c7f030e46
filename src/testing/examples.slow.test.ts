import assert from "node:assert/strict";
import { test } from "node:test";
import { runExample, temporaryFolder } from "./cli.ts";

test("exported-step.mjs writes a step and trains with it", async () => {
  const output = await runExample(temporaryFolder(), "exported-step.mjs", "--steps", "40");
  const losses = [...output.matchAll(/loss (\S+)/g)].map(([, loss]) => Number(loss));
  assert.ok(losses.length >= 4 && losses.at(-1)! < 0.5 * losses[0], output);
});
