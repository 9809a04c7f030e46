import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { loadDataset } from "../data/catalogue.ts";
import type { DatasetPair } from "../data/source.ts";
import { readComparison } from "../report/read.ts";
import { readJsonFile, temporaryFolder, timelessMetrics } from "../testing/cli.ts";
import { refusal } from "../testing/refusals.ts";
import { type CompareOptions, compare } from "./compare.ts";
import { parseComparison } from "./configuration.ts";

const root = temporaryFolder();
let data: DatasetPair;
before(async () => {
  data = await loadDataset("digits");
});

const runs = parseComparison({
  data: "digits",
  epochs: 2,
  batchSize: 64,
  limit: 192,
  sharpness: { images: 64 },
  threads: 1,
  runs: [
    { name: "sgd", optimizer: { method: "sgd" } },
    { name: "sam-0.1", optimizer: { method: "sam", rho: 0.1 } },
    { name: "both", optimizer: { method: "bilateral-sam" } },
  ],
});

/** Compares, and notes which runs trained how many steps and how each ended. */
async function follow(out: string, options: Partial<CompareOptions> = {}) {
  const steps: Record<string, number> = {};
  const ends: string[] = [];
  const finished = await compare({
    name: "test",
    runs,
    data,
    out,
    onRun: ({ name }) => {
      steps[name] = 0;
      return { onStep: () => steps[name]++ };
    },
    onRunEnd: ({ name }, { summary }) => {
      ends.push(`${name} ${summary?.status}`);
    },
    ...options,
  });
  return { finished, steps, ends };
}

test("a comparison is a folder with the list of its runs and a run folder for each", async () => {
  const out = join(root, "whole");
  const { finished, steps, ends } = await follow(out);
  assert.equal(finished, true);
  assert.deepEqual(steps, { sgd: 6, "sam-0.1": 6, both: 6 });
  assert.deepEqual(ends, ["sgd finished", "sam-0.1 finished", "both finished"]);
  const { name, runs: listed } = readJsonFile(out, "comparison.json");
  assert.deepEqual([name, listed], ["test", ["sgd", "sam-0.1", "both"]]);
  assert.deepEqual(readdirSync(out).sort(), ["both", "comparison.json", "sam-0.1", "sgd"]);
  for (const run of runs) {
    assert.deepEqual(readJsonFile(out, run.name, "run.json").configuration.limit, 192);
    assert.equal(readJsonFile(out, run.name, "summary.json").name, run.name);
  }
  const read = await readComparison(out);
  assert.deepEqual(
    read.runs.map((run) => [run.label, run.status]),
    [
      ["sgd", "finished"],
      ["sam (ρ 0.1)", "finished"],
      ["bilateral-sam (paper, ρmax 0.05, ρmin 0.05→0)", "finished"],
    ],
  );
});

test("a comparison that was interrupted goes on where it stopped and ends as one that was not", async () => {
  const whole = join(root, "uninterrupted");
  await follow(whole);
  const out = join(root, "parts");
  const controller = new AbortController();
  const first = await follow(out, {
    signal: controller.signal,
    // In the second epoch of the second run.
    onRun: ({ name }) => ({ onStep: ({ step }) => name === "sam-0.1" && step === 4 && controller.abort() }),
  });
  assert.equal(first.finished, false);
  assert.deepEqual(first.ends, ["sgd finished", "sam-0.1 interrupted"]);
  assert.deepEqual(readJsonFile(out, "comparison.json").runs, ["sgd", "sam-0.1", "both"]);
  assert.ok(!existsSync(join(out, "both")));

  const second = await follow(out, { existing: "resume" });
  assert.equal(second.finished, true);
  assert.deepEqual(second.steps, { sgd: 0, "sam-0.1": 3, both: 6 });
  assert.deepEqual(second.ends, ["sgd finished", "sam-0.1 finished", "both finished"]);
  for (const { name } of runs) {
    assert.deepEqual(timelessMetrics(join(out, name)), timelessMetrics(join(whole, name)), name);
  }
});

test("a folder that holds a comparison is refused, replaced or resumed, as asked", async () => {
  const out = join(root, "existing");
  const [sgd, sam] = runs;
  await follow(out, { runs: [sgd] });
  assert.match(
    await refusal(follow(out, { runs: [sgd] })),
    /already holds a comparison.*--resume.*--overwrite/,
  );
  assert.match(
    await refusal(follow(out, { runs: [sam], existing: "resume" })),
    /has the runs sgd, not sam-0\.1; resume with the same runs/,
  );
  writeFileSync(join(out, "notes.txt"), "mine");
  await follow(out, { runs: [sam], existing: "overwrite" });
  assert.deepEqual(readdirSync(out).sort(), ["comparison.json", "notes.txt", "sam-0.1"]);
});

test("resuming with another setting names it and leaves the runs as they are", async () => {
  const out = join(root, "settings");
  const [sgd] = runs;
  await follow(out, { runs: [sgd] });
  const metrics = timelessMetrics(join(out, "sgd"));
  const other = { ...sgd, configuration: { ...sgd.configuration, seed: 2 } };
  assert.match(await refusal(follow(out, { runs: [other], existing: "resume" })), /seed 1, not 2/);
  assert.deepEqual(timelessMetrics(join(out, "sgd")), metrics);
});

test("a damaged list of runs is reported when resuming, and removes nothing outside when overwriting", async () => {
  const out = join(root, "damaged");
  mkdirSync(join(root, "outside"));
  mkdirSync(out);
  const list = join(out, "comparison.json");
  writeFileSync(list, "{");
  assert.match(await refusal(follow(out, { existing: "resume" })), /comparison\.json is damaged/);
  writeFileSync(list, JSON.stringify({ runs: ["../outside", "..", "."] }));
  await follow(out, { runs: runs.slice(0, 1), existing: "overwrite" });
  assert.ok(statSync(join(root, "outside")).isDirectory());
});

test("a folder with a single run does not become a comparison", async () => {
  const out = join(root, "single");
  mkdirSync(out);
  writeFileSync(join(out, "run.json"), "{}");
  assert.match(await refusal(follow(out)), /already holds a single run/);
});
