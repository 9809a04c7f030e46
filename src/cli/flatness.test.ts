import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import type { FlatnessRecord } from "../flatness/results.ts";
import { Graph } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { matMul } from "../ops/linear.ts";
import { reshape } from "../ops/movement.ts";
import { lowland, readJsonFile, startLowland, temporaryFolder } from "../testing/cli.ts";
import type { RunSummary } from "../train/records.ts";

// `lowland flatness` as a person uses it: on a run, on a file, stopped, and given what does not fit.

const folder = temporaryFolder();
const run = (...args: string[]) => lowland(args, { cwd: folder });

before(async () => {
  const settings = [
    "--data",
    "digits",
    "--model",
    "mlp",
    "--epochs",
    "8",
    "--limit",
    "512",
    "--threads",
    "1",
  ];
  const { code, stderr } = await run("train", ...settings, "--label-smoothing", "0.2", "--out", "run");
  assert.equal(code, 0, stderr);
});

test("the loss of a run is the one that the run measured, also where its network is a file", async () => {
  const settings = [
    "--data",
    "digits",
    "--epochs",
    "1",
    "--limit",
    "256",
    "--threads",
    "1",
    "--out",
    "tuned",
  ];
  const tuning = await run("finetune", "run/model.onnx", ...settings, "--normalization", "symmetric");
  assert.equal(tuning.code, 0, tuning.stderr);
  for (const name of ["run", "tuned"]) {
    const args = ["--label-smoothing", "0", "--measure", "trace", "--trace-products", "6", "--out", "same"];
    const { code, stdout, stderr } = await run("flatness", name, ...args, "--json");
    assert.equal(code, 0, stderr);
    const { loss, metrics, description }: FlatnessRecord = JSON.parse(stdout);
    const summary: RunSummary = readJsonFile(folder, name, "summary.json");
    assert.equal(description.examples, 360);
    assert.ok(
      Math.abs(loss - summary.testLoss) < 1e-5 &&
        Math.abs(metrics.accuracy - summary.metrics.accuracy) < 1e-6,
    );
  }
});

test("Ctrl-C stops after the batch and says how to go on", async () => {
  const args = ["flatness", "run", "--measure", "spectrum", "--tolerance", "1e-9", "--out", "stopped"];
  const { child, ended } = startLowland(args, { cwd: folder });
  const kept = join(folder, "stopped", "measurements");
  while (!existsSync(kept) && child.exitCode === null) await wait(5);
  await wait(300);
  child.kill("SIGINT");
  const { code, stderr, stdout } = await ended;
  assert.deepEqual([code, stdout], [130, ""]);
  assert.match(stderr, /Stopping after this batch; the same command goes on from here/);
  assert.doesNotMatch(stderr, /internal error/);
});

/** An ONNX classifier of digits for a batch of 5, with N classes and all weights the same. */
function classifier(name: string, classes: number, weight: number, size = 8): string {
  const graph = new Graph();
  const image = graph.input("input", "float32", [5, 1, size, size]);
  const values = new Float32Array(size ** 2 * classes).fill(weight);
  const logits = matMul(
    reshape(image, [5, size ** 2]),
    graph.constant(tensorData(values, [size ** 2, classes], "float32")),
  );
  graph.output("logits", logits);
  writeFileSync(join(folder, name), compile(graph));
  return name;
}

test("a file made for one batch size is measured in batches of that size", async () => {
  classifier("fixed.onnx", 10, 0.01);
  const { code, stdout, stderr } = await run(
    ...["flatness", "fixed.onnx", "--data", "digits", "--subset", "23", "--measure", "sharpness", "--json"],
  );
  assert.equal(code, 0, stderr);
  const { description, parameters }: FlatnessRecord = JSON.parse(stdout);
  assert.deepEqual([description.examples, description.batchSize, parameters], [20, 5, 640]);
  assert.ok(existsSync(join(folder, "fixed.flatness", "flatness.json")));
});

describe("what does not fit is reported in one sentence", { concurrency: 2 }, () => {
  const onDigits = (file: string, ...more: string[]) => ["flatness", file, "--data", "digits", ...more];
  const cases: Record<string, [() => string[], RegExp]> = {
    "a model with fewer classes than the data": [
      () => onDigits(classifier("seven.onnx", 7, 0.01)),
      /^the model has 7 classes and digits has 10; fine-tune it for 10 classes first, /,
    ],
    "an output that the file does not have": [
      () => onDigits(classifier("named.onnx", 10, 0.01), "--output", "scores"),
      /^the model has no output "scores"; it has logits$/,
    ],
    "a subset of zero": [
      () => ["flatness", "run", "--subset", "0"],
      /^a subset of 0 examples was requested, but digits has 360; choose from 1 to 360$/,
    ],
    "a subset larger than the data": [
      () => ["flatness", "run", "--subset", "361"],
      /^a subset of 361 examples was requested, but digits has 360; choose from 1 to 360$/,
    ],
    "fewer images than a file's batch": [
      () => onDigits(classifier("five.onnx", 10, 0.01), "--subset", "4"),
      /^the model takes 5 examples at a time, but the subset has 4; choose a subset of at least 5$/,
    ],
    "more eigenvalues than parameters": [
      () => onDigits(classifier("small.onnx", 10, 0.01), "--top", "641"),
      /^641 largest eigenvalues were asked for, but there are only 640 parameters; choose at most 640$/,
    ],
    "a diverged model": [
      () => onDigits(classifier("diverged.onnx", 10, Number.NaN)),
      /^parameter "[^"]+" holds NaN: the model has diverged; measure a checkpoint from before$/,
    ],
    "a model whose loss overflows": [
      () => onDigits(classifier("huge.onnx", 10, 1e38)),
      /^the loss is not finite: the model has diverged at these weights, so there is no flatness to measure/,
    ],
    "a measure that is not there": [
      () => ["flatness", "run", "--measure", "sharpness,width"],
      /^--measure: there is no "width"; choose from all, sharpness, layer-sharpness, batch-sharpness, spectrum, trace, density, layer-spectra$/,
    ],
    "one batch, and an interval over batches": [
      () => ["flatness", "run", "--subset", "30", "--batch-size", "30", "--measure", "batch-sharpness"],
      /^an interval over batches needs at least 2 of them, but the 30 examples are one batch; choose a smaller batch size$/,
    ],
    "a file and no data": [
      () => ["flatness", "run/model.onnx"],
      /^run\/model\.onnx does not say for which data it is; name one of fashion-mnist, mnist, digits, cifar10, cifar100, people, wardrobe, or a path, with --data$/,
    ],
    "a radius of zero": [
      () => ["flatness", "run", "--subset", "30", "--rho", "0", "--measure", "sharpness"],
      /^the radius ρ is 0; choose a number above 0$/,
    ],
  };
  for (const [name, [args, expected]] of Object.entries(cases)) {
    test(name, async () => {
      const { code, stdout, stderr } = await run(...args());
      const mistake = stderr.trimEnd().split("\n").at(-1)!;
      assert.match(mistake, /^lowland: /, stderr);
      assert.match(mistake.slice("lowland: ".length), expected);
      assert.doesNotMatch(stderr, /internal error|\bat .*:\d+:\d+/, "no stack trace");
      assert.deepEqual([code, stdout], [2, ""]);
    });
  }
});
