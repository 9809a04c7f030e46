import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { type Ended, lowland, readJsonFile, temporaryFolder, withoutProgress } from "../testing/cli.ts";
import type { RunSummary } from "../train/records.ts";

// What goes where: results on standard output, everything else on standard error, and without a terminal no control
// characters on either.

const folder = temporaryFolder();
const settings = {
  data: "digits",
  epochs: 2,
  limit: 192,
  batchSize: 64,
  threads: 1,
  sharpness: { images: 64 },
};
const runs = [
  { name: "sgd", optimizer: { method: "sgd" } },
  { name: "bilateral-sam", optimizer: { method: "bilateral-sam" } },
];
writeFileSync(join(folder, "run.json"), JSON.stringify({ ...settings, ...runs[1], name: undefined }));
writeFileSync(join(folder, "comparison.json"), JSON.stringify({ ...settings, runs }));
/** A learning rate that breaks the second epoch. */
const breaking = {
  ...settings,
  optimizer: { method: "sgd" },
  schedule: { name: "step", epochs: 1, gamma: 1e30 },
};
writeFileSync(join(folder, "breaking.json"), JSON.stringify(breaking));

const run = (...args: string[]) => lowland(args, { cwd: folder });
const lines = (text: string) => text.trim().split("\n");

function isPlain({ stdout, stderr }: Ended) {
  for (const text of [stdout, stderr]) {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f]/);
  }
}

const runFiles = [
  "checkpoint.safetensors",
  "evaluation.json",
  "metrics.jsonl",
  "model.onnx",
  "model.safetensors",
  "pictures",
  "report.html",
  "run.json",
  "summary.json",
];

describe("lowland train", { concurrency: 2 }, () => {
  let plain: Ended;
  let json: Ended;
  before(async () => {
    [plain, json] = await Promise.all([
      run("train", "--config", "run.json", "--out", "plain"),
      run("train", "--config", "run.json", "--out", "json", "--json"),
    ]);
  });

  test("prints a table and where the report is, and on standard error how the run ended", () => {
    assert.equal(plain.code, 0, plain.stderr);
    isPlain(plain);
    assert.match(plain.stdout, / % test .*\noptimizer +accuracy /);
    assert.match(plain.stdout, /bilateral-sam \(paper/);
    assert.ok(plain.stdout.trimEnd().endsWith(`Report: ${join("plain", "report.html")}`));
    assert.match(
      withoutProgress(plain.stderr),
      /^✓ bilateral-sam \(paper, ρmax 0\.05, ρmin 0\.05→0\): test accuracy \d+\.\d\d %, \d+ s\n$/,
    );
  });

  test("with --json prints the summary, one document, and writes the same folder", () => {
    assert.equal(json.code, 0, json.stderr);
    isPlain(json);
    const summary: RunSummary = JSON.parse(json.stdout);
    assert.deepEqual(summary, readJsonFile(folder, "json", "summary.json"));
    assert.deepEqual([summary.name, summary.status, summary.epochs], ["json", "finished", 2]);
    assert.deepEqual([summary.method, summary.base, summary.variant], ["bilateral-sam", "sgd", "paper"]);
    const plainSummary = readJsonFile(folder, "plain", "summary.json");
    assert.equal(summary.metrics.accuracy, plainSummary.metrics.accuracy);
    for (const name of ["plain", "json"]) assert.deepEqual(readdirSync(join(folder, name)).sort(), runFiles);
    assert.match(readFileSync(join(folder, "json", "report.html"), "utf8"), /^<!doctype html>/i);
    assert.equal(lines(withoutProgress(json.stderr)).length, 1);
  });

  test("the report's lead says how training images are augmented", async () => {
    const ended = await run("train", "--config", "run.json", "--flip", "--crop", "1", "--out", "augmented");
    assert.equal(ended.code, 0, ended.stderr);
    const report = (name: string) => readFileSync(join(folder, name, "report.html"), "utf8");
    assert.match(report("augmented"), /images augmented by flips and crops padded by 1/);
    assert.doesNotMatch(report("plain"), /images augmented/);
  });

  test("evaluate measures what the run told, as a line or as JSON", async () => {
    const [line, document] = await Promise.all([
      run("evaluate", "plain"),
      run("evaluate", join("plain", "model.onnx"), "--data", "digits", "--json"),
    ]);
    for (const ended of [line, document]) {
      assert.equal(ended.code, 0, ended.stderr);
      isPlain(ended);
    }
    const { metrics, testLoss } = readJsonFile(folder, "plain", "summary.json");
    const result = JSON.parse(document.stdout);
    assert.deepEqual([result.metrics, result.examples, result.data], [metrics, 360, "digits"]);
    assert.ok(Math.abs(result.loss - testLoss) < 1e-5);
    assert.ok(line.stdout.includes(`accuracy ${(100 * metrics.accuracy).toFixed(2)} %`), line.stdout);
    const [title, headings, ...rows] = lines(line.stdout)
      .slice(1)
      .filter((each) => each !== "");
    assert.equal(title, "By class");
    assert.match(headings, /^class +images +precision % +recall % +F1 % +most often mistaken for$/);
    assert.equal(rows.length, 10);
    const { tables, matrices, samples } = result.details;
    const [{ counts }] = matrices;
    const rights = counts.map((row: number[], index: number) => row[index]);
    for (const [index, row] of rows.entries()) {
      const total = counts[index].reduce((sum: number, count: number) => sum + count, 0);
      const recall = ((100 * rights[index]) / total).toFixed(1);
      assert.match(row, new RegExp(`^${index} +${total} +[\\d.–]+ +${recall.replace(".", "\\.")} `));
      assert.equal(tables[0].rows[index].values[0], total);
    }
    assert.equal(samples[0].items.length, 20);
    assert.deepEqual(Object.keys(samples[0].items[0]), ["index", "values"], "no pixels");
  });

  test("a second network of averaged weights is a file of its own, and its accuracy is shown", async () => {
    const ended = await run("train", "--config", "run.json", "--ema", "0.9", "--out", "averaged");
    assert.equal(ended.code, 0, ended.stderr);
    const { averaged }: RunSummary = readJsonFile(folder, "averaged", "summary.json");
    const percent = (digits: number) => (100 * averaged!.metrics.accuracy).toFixed(digits);
    assert.ok(ended.stderr.includes(`, averaged ${percent(2)} %,`), ended.stderr);
    assert.match(ended.stdout, new RegExp(`averaged[^]+bilateral-sam .* ${percent(1)} `));
    const files = readdirSync(join(folder, "averaged")).sort();
    assert.deepEqual(files, [...runFiles, "model-average.onnx"].sort());
    const measured = await run(
      "evaluate",
      join("averaged", "model-average.onnx"),
      "--data",
      "digits",
      "--json",
    );
    assert.equal(JSON.parse(measured.stdout).metrics.accuracy, averaged!.metrics.accuracy);
  });

  test("a run that diverges says in one line where, keeps its last epoch and fails", async () => {
    const ended = await run("train", "--config", "breaking.json", "--out", "broken", "--json");
    assert.equal(ended.code, 1, ended.stderr);
    isPlain(ended);
    const told = withoutProgress(ended.stderr);
    assert.equal(lines(told).length, 1);
    assert.match(told, /^✗ sgd: step 5 \(epoch 2\): the loss of pass 1 \(at w\) is [^\n.]+\n$/);
    const summary: RunSummary = JSON.parse(ended.stdout);
    assert.deepEqual([summary.status, summary.epochs, summary.steps], ["diverged", 1, 3]);
    assert.deepEqual(readdirSync(join(folder, "broken")).sort(), runFiles);
  });
});

test("help fits 80 columns, in groups, with every setting's flag in one of them", async () => {
  const { stdout } = await run("train", "--help");
  const [options] = stdout.split("\nExamples:");
  for (const line of lines(options)) assert.ok(line.length <= 80, line);
  const groups = [...options.matchAll(/^(\S.*):$/gm)].map(([, name]) => name);
  assert.deepEqual(groups.slice(0, 6), [
    "Options",
    "Network",
    "Data",
    "Training",
    "Training step",
    "Optimizer",
  ]);
});

describe("lowland compare", { concurrency: 2 }, () => {
  test("shows each run as it ends, then the table; --only takes some", async () => {
    const ended = await run("compare", "--config", "comparison.json", "--only", "sgd", "--out", "one");
    assert.equal(ended.code, 0, ended.stderr);
    isPlain(ended);
    assert.match(withoutProgress(ended.stderr), /^✓ \[1\/1\] sgd: test [^\n]+\n$/);
    assert.deepEqual(readdirSync(join(folder, "one")).sort(), ["comparison.json", "report.html", "sgd"]);
  });

  test("with --json prints the list of summaries, and --resume repeats no finished run", async () => {
    const args = ["compare", "--config", "comparison.json", "--out", "two", "--json"];
    const first = await run(...args);
    assert.equal(first.code, 0, first.stderr);
    isPlain(first);
    const summaries: RunSummary[] = JSON.parse(first.stdout);
    assert.deepEqual(
      summaries.map(({ name, status }) => [name, status]),
      [
        ["sgd", "finished"],
        ["bilateral-sam", "finished"],
      ],
    );
    assert.ok(existsSync(join(folder, "two", "report.html")));
    const again = await run(...args, "--resume");
    assert.equal(again.code, 0, again.stderr);
    assert.deepEqual(JSON.parse(again.stdout), summaries);
  });
});
