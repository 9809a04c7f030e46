import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import type { FlatnessRecord } from "../flatness/results.ts";
import { lowland, startLowland, temporaryFolder } from "../testing/cli.ts";

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
