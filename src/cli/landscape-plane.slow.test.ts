import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import type { LandscapeRecord } from "../flatness/results.ts";
import { lowland, readJsonFile, temporaryFolder } from "../testing/cli.ts";

// `lowland landscape` as a person uses it: a plane, and what does not fit.

const folder = temporaryFolder();
const run = (...args: string[]) => lowland(args, { cwd: folder });

before(async () => {
  const settings = ["--data", "digits", "--limit", "512", "--batch-size", "64", "--threads", "1"];
  for (const [out, ...more] of [
    ["mlp", "--model", "mlp", "--epochs", "4", "--keep-weights"],
    ["cnn", "--model", "cnn", "--epochs", "2"],
  ]) {
    const { code, stderr } = await run("train", ...settings, ...more, "--out", out);
    assert.equal(code, 0, stderr);
  }
});

const quick = ["--subset", "60", "--batch-size", "20"];

test("a plane along random directions: the loss at the weights in its middle, JSON and CSV the same", async () => {
  const { code, stdout, stderr } = await run("landscape", "mlp", ...quick, "--points", "5");
  assert.equal(code, 0, stderr);
  const record: LandscapeRecord = readJsonFile(folder, "mlp", "landscape.json");
  const { kind, along, axes, grid, loss, metrics } = record;
  assert.deepEqual([kind, along, axes.length], ["plane", "random", 2]);
  assert.deepEqual(grid.coordinates, [
    [-1, -0.5, 0, 0.5, 1],
    [-1, -0.5, 0, 0.5, 1],
  ]);
  assert.equal(grid.loss.length, 25);
  assert.ok(
    Math.abs(grid.loss[12] - loss) < 1e-6 && Math.abs(grid.metrics.accuracy[12] - metrics.accuracy) < 1e-6,
  );
  assert.equal(grid.standardError[12], 0);
  assert.ok(grid.loss[0] > loss && grid.standardError[0] > 0);
  const [head, first] = readFileSync(join(folder, "mlp", "landscape.csv"), "utf8").split("\r\n");
  assert.equal(head, "a,b,loss,standard_error,accuracy");
  assert.deepEqual(first.split(",").map(Number), [
    ...[-1, -1, grid.loss[0], grid.standardError[0]],
    grid.metrics.accuracy[0],
  ]);
  assert.match(stdout, /random direction 1: 1 is each filter's own norm/);
  assert.deepEqual(
    stdout.split("\n").filter((line) => line.length > 100),
    [],
  );
  assert.ok(existsSync(join(folder, "mlp", "landscape.html")));
});

describe("what does not fit is reported in one sentence", { concurrency: 2 }, () => {
  const cases: Record<string, [string[], RegExp]> = {
    "models of two networks": [
      ["cnn", "--to", "mlp"],
      /^parameter "conv1\.weight" has no numbers; the model wants 144$/,
    ],
    "a trajectory of a run that kept no weights": [
      ["cnn", "--along", "trajectory"],
      /^cnn holds no weights of its epochs; train with --keep-weights to have its trajectory$/,
    ],
    "a trajectory of a file": [
      ["mlp/model.onnx", "--data", "digits", "--along", "trajectory"],
      /^a trajectory is that of a run; name a run folder that was trained with --keep-weights$/,
    ],
    "statistics of a network without BatchNorm": [
      ["mlp", "--reestimate"],
      /^mlp\/model\.onnx has no BatchNorm to re-estimate; leave --reestimate out$/,
    ],
    "one point": [["mlp", "--points", "1"], /^--points is 1; choose a whole number of at least 2$/],
    "a range of nothing": [["mlp", "--range", "0"], /^--range is 0; choose a number above 0$/],
    "no such directions": [
      ["mlp", "--along", "north"],
      /^option '--along <directions>' argument 'north' is invalid: allowed choices are random, eigenvectors, trajectory$/,
    ],
  };
  for (const [name, [args, expected]] of Object.entries(cases)) {
    test(name, async () => {
      const { code, stdout, stderr } = await run("landscape", ...args, "--subset", "20");
      const mistake = stderr.trimEnd().split("\n").at(-1)!;
      assert.match(mistake, /^lowland: /, stderr);
      assert.match(mistake.slice("lowland: ".length), expected);
      assert.deepEqual([code, stdout], [2, ""]);
    });
  }
});
