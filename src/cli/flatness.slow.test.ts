import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import type { FlatnessRecord } from "../flatness/results.ts";
import { lowland, readJsonFile, startLowland, temporaryFolder } from "../testing/cli.ts";

// `lowland flatness` in its longer forms: killed and begun again, and other measurements of one run.

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

/** The record without what depends on the clock or the place. */
function timeless(record: FlatnessRecord) {
  const { createdAt: _, seconds: __, ...rest } = record;
  return rest;
}

const quick = [
  "--subset",
  "100",
  "--batch-size",
  "30",
  "--steps",
  "2",
  "--directions",
  "3",
  "--threads",
  "2",
];

test("of a run: every measurement, with its errors, as JSON and as a table of 80 columns", async () => {
  const radii = ["--rho", "0.01,0.1", "--rho-adaptive", "0.5", "--rho-filter", "0.05"];
  const args = [...quick, "--measure", "all", "--curvature", "all", ...radii, "--top", "3"];
  const more = ["--bottom", "2", "--layer-top", "1", "--trace-products", "9", "--density-steps", "5"];
  const { code, stdout, stderr } = await run("flatness", "run", ...args, ...more, "--json");
  assert.equal(code, 0, stderr);
  const record: FlatnessRecord = JSON.parse(stdout);
  assert.deepEqual(record, readJsonFile(folder, "run", "flatness.json"));
  const { data, set, examples, batchSize, labelSmoothing } = record.description;
  assert.deepEqual([data, set, examples, batchSize, labelSmoothing], ["digits", "test", 100, 30, 0.2]);
  assert.deepEqual([record.run, record.optimizer?.method], ["run", "bilateral-sam"]);
  assert.equal(record.parameters, 64 * 256 + 256 + 256 * 128 + 128 + 128 * 10 + 10);
  assert.ok(record.determinism.deterministic && record.metrics.accuracy > 0.2 && record.loss > 0);
  const balls = [
    ["plain", 0.01],
    ["plain", 0.1],
    ["adaptive", 0.5],
    ["filter", 0.05],
  ];
  assert.deepEqual(
    record.sharpness!.map(({ radius, rho }) => [radius, rho]),
    balls,
  );
  for (const { oneStep, multiStep, intervals } of record.sharpness!) {
    assert.ok(multiStep.maxSharpness >= oneStep.maxSharpness);
    const { mean, low, high, count } = intervals!.multiStep.maxSharpness;
    assert.ok(Math.abs(mean - multiStep.maxSharpness) < 1e-6 && low < mean && mean < high && count === 4);
  }
  assert.equal(record.randomSharpness!.length, 4);
  assert.equal(record.batchSharpness![0].batches.length, 4);
  assert.deepEqual(
    record.layerSharpness!.map(({ layer, sharpness }) => [layer, sharpness.length]),
    [
      ["fc1", 4],
      ["fc2", 4],
      ["fc3", 4],
    ],
  );
  for (const { spectrum, trace, density, layers } of Object.values(record.curvature)) {
    assert.ok(spectrum!.converged && spectrum!.largest.length === 3 && spectrum!.smallest.length === 2);
    assert.ok(trace!.standardError > 0 && Math.abs(density!.integral - 1) < 1e-6);
    assert.equal(layers!.length, 3);
    assert.ok(
      layers!.every((layer) => layer.spectrum.largest[0].value <= spectrum!.largest[0].value * 1.001),
    );
  }

  const again = await run("flatness", "run", ...args, ...more);
  assert.match(again.stderr, /parts were measured before/);
  assert.doesNotMatch(again.stderr, /✓/, "nothing is computed again");
  assert.deepEqual(timeless(readJsonFile(folder, "run", "flatness.json")), timeless(record));
  for (const words of [
    "MaxS",
    "BilS",
    "random",
    "MaxS by layer",
    "fc2",
    "Hessian",
    "Gauss–Newton",
    "trace:",
  ]) {
    assert.ok(again.stdout.includes(words), words);
  }
  assert.match(again.stdout, /On the first 100 test images of digits in batches of 30/);
  const tooLong = again.stdout.split("\n").filter((line) => line.length > 100);
  assert.deepEqual(tooLong, []);
});

test("the images a run trained on, another loss and BatchNorm by batch are another measurement", async () => {
  const args = [...quick, "--measure", "sharpness", "--json"];
  const { stdout } = await run("flatness", "run", ...args, "--out", "other");
  const trained = await run(
    "flatness",
    "run",
    ...args,
    "--train",
    "--label-smoothing",
    "0",
    "--out",
    "other",
  );
  const [test, train]: FlatnessRecord[] = [JSON.parse(stdout), JSON.parse(trained.stdout)];
  assert.deepEqual([train.description.set, train.description.labelSmoothing], ["train", 0]);
  assert.notEqual(train.fingerprints.data, test.fingerprints.data);
  assert.equal(train.fingerprints.model, test.fingerprints.model);
  assert.ok(train.loss < test.loss);
});

test("killed in the middle, the command goes on to the same bits", async () => {
  const model = ["flatness", "run/model.onnx", "--data", "digits", "--subset", "350", "--batch-size", "25"];
  const slow = [...model, "--measure", "spectrum", "--top", "20", "--bottom", "5", "--json"];
  const whole = await run(...slow, "--out", "whole");
  assert.equal(whole.code, 0, whole.stderr);

  const { child, ended } = startLowland([...slow, "--out", "killed"], { cwd: folder });
  const kept = join(folder, "killed", "measurements");
  const hasState = () => existsSync(kept) && readdirSync(kept).some((name) => /eigen.*\.state$/.test(name));
  while (!hasState() && child.exitCode === null) await wait(5);
  child.kill("SIGKILL");
  assert.equal((await ended).signal, "SIGKILL");
  assert.ok(!existsSync(join(folder, "killed", "flatness.json")));

  const resumed = await run(...slow, "--out", "killed", "--threads", "1");
  assert.equal(resumed.code, 0, resumed.stderr);
  assert.match(resumed.stderr, /Hessian eigenvalues: going on from where it was stopped/);
  assert.deepEqual(timeless(JSON.parse(resumed.stdout)), timeless(JSON.parse(whole.stdout)));
  assert.deepEqual(
    readdirSync(kept).filter((name) => name.endsWith(".state")),
    [],
  );
});
