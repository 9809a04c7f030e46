import assert from "node:assert/strict";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { readJsonFile, temporaryFolder } from "../testing/cli.ts";
import type { RunRecord } from "../train/records.ts";
import { RunFolder } from "../train/run-folder.ts";
import { writeSafetensors } from "../weights/safetensors.ts";
import { currentResults, type FiguresResults } from "./figures/paper-results.ts";
import { findingsOf } from "./findings.ts";
import { readComparison, readRun } from "./read.ts";
import { comparisonTable } from "./table.ts";

// fixtures/runs/format-1 is a comparison as version 0.1.0 wrote it before records had metrics: `sgd` ended and kept an
// average, `sam-0.1` was stopped in its third epoch.

const repositoryFile = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const old = repositoryFile("fixtures/runs/format-1");
const root = temporaryFolder();

test("an old comparison is read as one of today", async () => {
  const comparison = await readComparison(old);
  const [sgd, sam] = comparison.runs;
  assert.deepEqual(
    [sgd.task, sgd.status, sam.task, sam.status],
    ["classification", "finished", "classification", "unfinished"],
  );
  assert.deepEqual(
    sgd.epochs.map(({ metrics }) => metrics),
    [
      { accuracy: 0.5, wrongLabelAccuracy: 0.25 },
      { accuracy: 0.75, wrongLabelAccuracy: 0.625 },
    ],
  );
  assert.deepEqual(sgd.outcome?.metrics, { accuracy: 0.75, wrongLabelAccuracy: 0.625 });
  assert.deepEqual(sgd.outcome?.averaged, { testLoss: 0.7, metrics: { accuracy: 0.8 } });
  // The second epoch was not measured.
  assert.deepEqual(
    sam.epochs.map(({ metrics }) => metrics),
    [{ accuracy: 0.625, wrongLabelAccuracy: 0.125 }, undefined],
  );
  assert.deepEqual(sam.outcome?.metrics, { accuracy: 0.625, wrongLabelAccuracy: 0.125 });
  assert.ok(!("testAccuracy" in sgd.epochs[0]) && !("testAccuracy" in sgd.outcome!));
  const text = comparisonTable(comparison);
  assert.match(text, /\nsgd +75\.0\*? +80\.0/);
  assert.match(text, /62\.5/);
  const found = findingsOf(comparison.runs).find(({ topic }) => topic === "Test accuracy");
  assert.match(found!.text, /^The test accuracy of SGD is 75\.0 % after 2 epochs/);
});

test("an old run that ended is known to have ended, and one that was stopped is resumed", async () => {
  const path = join(root, "resumed");
  cpSync(old, path, { recursive: true });
  const { configuration }: RunRecord = readJsonFile(path, "sgd", "run.json");
  const ended = await RunFolder.ended(join(path, "sgd"), configuration);
  assert.deepEqual([ended?.task, ended?.metrics.accuracy], ["classification", 0.75]);

  const own = join(path, "sam-0.1");
  const [line] = readFileSync(join(own, "metrics.jsonl"), "utf8")
    .split("\n")
    .filter((text) => /"epoch":1,"step":2,/.test(text));
  const tensors = { w: { type: "float32", shape: [1], data: Float32Array.of(1) } } as const;
  writeFileSync(
    join(own, "checkpoint.safetensors"),
    writeSafetensors(tensors, { epoch: line, seconds: "1" }),
  );
  const record: RunRecord = readJsonFile(own, "run.json");
  const folder = await RunFolder.open(own, { ...record, format: 2, task: "classification" }, "resume");
  const metrics = { accuracy: 0.625, wrongLabelAccuracy: 0.125 };
  assert.deepEqual(folder.checkpoint?.epoch.metrics, metrics);
  assert.deepEqual(
    folder.epochs.map((epoch) => epoch.metrics),
    [metrics],
  );
  // What is added is of today.
  folder.append({ ...folder.epochs[0], epoch: 2, step: 4, metrics: { accuracy: 0.875 } });
  folder.flush();
  const { epochs } = await readRun(own);
  assert.deepEqual(
    epochs.map((epoch) => epoch.metrics),
    [metrics, { accuracy: 0.875 }],
  );
});

test("results of the paper's figures from before are drawn as those of today", () => {
  const written: FiguresResults = JSON.parse(
    readFileSync(repositoryFile("docs/results/flatness/results.json"), "utf8"),
  );
  const [{ testAccuracy }] = written.runs[0].epochs as unknown as { testAccuracy: number }[];
  const results = currentResults(written);
  assert.equal(results.task, "classification");
  assert.deepEqual(results.runs[0].epochs[0].metrics, { accuracy: testAccuracy });
});

test("a run of a later format, or of another task, is refused with what to do", async () => {
  const path = join(root, "later");
  cpSync(join(old, "sgd"), path, { recursive: true });
  const file = join(path, "run.json");
  const record: RunRecord = readJsonFile(path, "run.json");
  writeFileSync(file, JSON.stringify({ ...record, format: 3 }));
  const later = {
    name: "UserError",
    message: `${file} is of format 3; this version of Lowland reads formats up to 2: use the version that wrote it`,
  };
  await assert.rejects(readRun(path), later);
  await assert.rejects(RunFolder.open(path, record, "resume"), later);
  await assert.rejects(RunFolder.ended(path, record.configuration), later);
  writeFileSync(file, JSON.stringify({ ...record, format: 2, task: "juggling" }));
  const { runs } = await readComparison(path);
  assert.throws(() => findingsOf(runs), {
    name: "UserError",
    message: /^there is no task "juggling" in this version/,
  });
});
