import assert from "node:assert/strict";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { currentResults, type FiguresResults } from "../paper/results.ts";
import { currentStep } from "../runs/older-records.ts";
import { RunFolder } from "../runs/run-folder.ts";
import { readJsonFile, temporaryFolder } from "../testing/cli.ts";
import type { RunRecord } from "../train/records.ts";
import { findingsOf } from "./findings.ts";
import { totalRadius } from "./method.ts";
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
    [sgd.task.name, sgd.status, sam.task.name, sam.status],
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
  // Steps had the radius of SAM beside the learning rate, under the name that bilateral SAM has.
  assert.deepEqual(
    [sgd, sam].map(({ steps }) => steps.at(-1)!.scalars),
    [{}, { rho: 0.1 }],
  );
  assert.equal(totalRadius(sam), 0.1);
  assert.ok(!("testAccuracy" in sgd.epochs[0]) && !("testAccuracy" in sgd.outcome!));
  const text = comparisonTable(comparison);
  assert.match(text, /\nsgd +75\.0\*? +80\.0/);
  assert.match(text, /62\.5/);
  const found = findingsOf(comparison.runs).find(({ topic }) => topic === "Test accuracy");
  assert.match(found!.text, /^The test accuracy of SGD is 75\.0 % after 2 epochs/);
});

test("a step of format 2 has its radii by the names of its method", () => {
  const step = {
    type: "step",
    step: 1,
    epoch: 1,
    learningRate: 0.1,
    loss: 1,
    gradNorm: 1,
    directionNorm: 1,
  } as const;
  assert.deepEqual(currentStep({ ...step, rhoMax: 0.05, rhoMin: 0 }), {
    ...step,
    scalars: { rhoMax: 0.05, rhoMin: 0 },
  });
  assert.deepEqual(currentStep({ ...step, rhoMax: 0.5 }), { ...step, scalars: { rho: 0.5 } });
  const today = { ...step, scalars: { rhoMax: 0.05, share: 1 } };
  assert.equal(currentStep(today), today);
});

test("a run of format 2 counts as one of today that ended, and is resumed", async () => {
  const path = join(root, "format-2");
  cpSync(join(old, "sgd"), path, { recursive: true });
  const record: RunRecord = { ...readJsonFile(path, "run.json"), format: 2 };
  writeFileSync(join(path, "run.json"), JSON.stringify(record));
  assert.equal((await RunFolder.ended(path, record.configuration))?.status, "finished");
  await assert.doesNotReject(RunFolder.open(path, { ...record, format: 3 }, "resume"));
});

test("a run of before is not resumed, and not taken for one of today that ended", async () => {
  const path = join(root, "resumed", "sgd");
  cpSync(join(old, "sgd"), path, { recursive: true });
  const record: RunRecord = readJsonFile(path, "run.json");
  const refusal = {
    name: "UserError",
    message: `${path} holds a run of format 1, which cannot be resumed: since format 2 networks take pixels as they are stored and augmentation draws other numbers; start again with --overwrite, or name another folder with --out`,
  };
  await assert.rejects(RunFolder.open(path, record, "resume"), refusal);
  await assert.rejects(RunFolder.ended(path, record.configuration), refusal);
  assert.deepEqual(readJsonFile(path, "run.json"), record, "nothing is changed");
});

test("results of the paper's figures from before are drawn as those of today", () => {
  const written: FiguresResults = JSON.parse(
    readFileSync(repositoryFile("docs/results/flatness/results.json"), "utf8"),
  );
  const [{ testAccuracy }] = written.runs[0].epochs as unknown as { testAccuracy: number }[];
  const results = currentResults(written);
  assert.equal(results.task.name, "classification");
  assert.deepEqual(results.runs[0].epochs[0].metrics, { accuracy: testAccuracy });
});

test("a run of a later format, or of another task, is refused with what to do", async () => {
  const path = join(root, "later");
  cpSync(join(old, "sgd"), path, { recursive: true });
  const file = join(path, "run.json");
  const record: RunRecord = readJsonFile(path, "run.json");
  writeFileSync(file, JSON.stringify({ ...record, format: 4 }));
  const later = {
    name: "UserError",
    message: `${file} is of format 4; this version of Lowland reads formats up to 3: use the version that wrote it`,
  };
  await assert.rejects(readRun(path), later);
  await assert.rejects(RunFolder.open(path, record, "resume"), later);
  await assert.rejects(RunFolder.ended(path, record.configuration), later);
  writeFileSync(file, JSON.stringify({ ...record, format: 2, task: "juggling" }));
  await assert.rejects(readComparison(path), {
    name: "UserError",
    message: /^there is no task "juggling" in this version/,
  });
});
