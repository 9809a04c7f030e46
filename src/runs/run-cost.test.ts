import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { loadSamples } from "../data/catalogue.ts";
import { runCostTable } from "../report/run-cost-table.ts";
import { lowland, temporaryFolder } from "../testing/cli.ts";
import { parseRun, type RunSettings } from "./configuration.ts";
import { runTask } from "./run.ts";
import { measureRunCost } from "./run-cost.ts";

const data = await loadSamples("classes", "digits");
const request = (settings: RunSettings) => ({
  name: "run",
  data,
  configuration: parseRun({ data: "digits", epochs: 2, limit: 512, threads: 1, ...settings }),
});

/** Multiply-adds of one gradient of `mlp` on digits: forward, for the weights, and for what is between the layers. */
const gradient = 2 * (64 * 256 + 256 * 128 + 128 * 10) + (256 * 128 + 128 * 10);

test("steps, gradients and files are those of the run; operations are counted", async () => {
  const settings = { optimizer: { method: "bilateral-sam", every: 4 }, keepWeights: true } as const;
  const cost = await measureRunCost(request(settings));
  const out = join(temporaryFolder(), "run");
  const { summary } = await runTask({ ...request(settings), out });
  assert.deepEqual([cost.steps, cost.parameters], [summary!.steps, summary!.parameters]);
  assert.equal(cost.gradientEvaluations, summary!.gradientEvaluations);
  assert.equal(cost.flops, 2 * 128 * gradient * cost.gradientEvaluations);
  const names = readdirSync(out, { recursive: true, encoding: "utf8" });
  const bytes = names
    .map((name) => statSync(join(out, name)))
    .reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0);
  // Of the report and its pictures, which the command line adds, only the order of magnitude is known.
  const report = 1.5e6;
  assert.ok(Math.abs(cost.diskBytes - report - bytes) < 0.05 * bytes, `${cost.diskBytes - report}, ${bytes}`);
  assert.ok(cost.peakMemoryBytes > 50 * 2 ** 20 && cost.peakMemoryBytes < 4 * 2 ** 30);
});

test("what frozen stages give costs no steps", async () => {
  const cost = await measureRunCost(request({ parameters: { train: "head" }, optimizer: { method: "sgd" } }));
  assert.equal(cost.flops, 2 * 128 * (2 * 128 * 10) * cost.steps);
});

test("settings that do not fit are refused as by the run, and it ends where it is told to", async () => {
  await assert.rejects(measureRunCost(request({ batchSize: 513 })), {
    message: /^batch size 513 is larger than/,
  });
  const signal = AbortSignal.abort(new Error("stopped"));
  await assert.rejects(measureRunCost({ ...request({}), signal }), /stopped/);
});

test("the table: a line for each run and their sum, the largest memory, the sum of the files", () => {
  const cost = {
    ...{ name: "sgd", label: "sgd", method: "sgd", base: "sgd", parameters: 11_173_962 },
    ...{ epochs: 200, steps: 78_000, gradientEvaluations: 78_000, flops: 3.3e16, evaluations: 200 },
    seconds: { preparation: 2, step: 1.5, evaluation: 30, total: 123_002 },
    ...{ peakMemoryBytes: 3 * 2 ** 30, diskBytes: 2 ** 28 },
  };
  const text = runCostTable([
    cost,
    { ...cost, name: "sam", gradientEvaluations: 156_000, peakMemoryBytes: 2 ** 30 },
  ]);
  assert.match(text, /^sgd +78,000 +78,000 +3.30e16 +1.5 +200 × 30 s +34.2 h$/m);
  assert.match(text, /^all +156,000 +234,000 +6.60e16 +68.3 h$/m);
  assert.match(text, /Peak memory 3 GiB, disk 512 MiB\./);
  for (const line of text.split("\n")) assert.ok(line.length <= 100, line);
});

test("lowland train --dry-run prints the cost as JSON, exits 0 and writes nothing", async () => {
  const folder = temporaryFolder();
  const args = ["--data", "digits", "--model", "mlp", "--epochs", "3", "--out", "run"];
  const { code, stdout, stderr } = await lowland(["train", ...args, "--dry-run", "--json"], { cwd: folder });
  assert.equal(code, 0, stderr);
  const [{ steps, gradientEvaluations, label, seconds }] = JSON.parse(stdout);
  assert.deepEqual([steps, gradientEvaluations], [33, 99]);
  const { preparation, step, evaluation, command, total } = seconds;
  assert.ok(command > 0 && total > preparation + 33 * step + 3 * evaluation + command);
  assert.match(label, /^bilateral-sam/);
  assert.deepEqual(readdirSync(folder), []);
});
