import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { before, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import type { LandscapeRecord } from "../flatness/results.ts";
import { lowland, readJsonFile, startLowland, temporaryFolder } from "../testing/cli.ts";

// `lowland landscape` in its longer forms: eigenvectors, between models, along a trajectory, killed and begun again.

const folder = temporaryFolder();
const run = (...args: string[]) => lowland(args, { cwd: folder });

before(async () => {
  const settings = ["--data", "digits", "--limit", "512", "--batch-size", "64", "--threads", "1"];
  for (const [out, ...more] of [
    ["mlp", "--model", "mlp", "--epochs", "4", "--keep-weights"],
    ["cnn", "--model", "cnn", "--epochs", "2"],
    ["cnn-2", "--model", "cnn", "--epochs", "2", "--seed", "2"],
  ]) {
    const { code, stderr } = await run("train", ...settings, ...more, "--out", out);
    assert.equal(code, 0, stderr);
  }
});

const quick = ["--subset", "60", "--batch-size", "20"];
const timeless = ({ createdAt: _, seconds: __, ...rest }: LandscapeRecord) => rest;

test("along the top eigenvector the loss bends by its eigenvalue", async () => {
  const args = ["landscape", "mlp", ...quick, "--line", "--along", "eigenvectors", "--points", "5"];
  const { code, stdout, stderr } = await run(...args, "--range", "0.1", "--out", "eigen", "--json");
  assert.equal(code, 0, stderr);
  const { axes, grid }: LandscapeRecord = JSON.parse(stdout);
  const [{ kind, number, eigenvalue }] = axes;
  assert.deepEqual([kind, number], ["eigenvector", 1]);
  assert.ok(eigenvalue !== undefined);
  const bend = (grid.loss[1] - 2 * grid.loss[2] + grid.loss[3]) / 0.05 ** 2;
  assert.ok(Math.abs(bend - eigenvalue) < 0.1 * eigenvalue, `${bend}, ${eigenvalue}`);
});

test("between two models: each model's own loss at 0 and 1, BatchNorm's statistics also re-estimated", async () => {
  const args = [...quick, "--points", "7", "--json"];
  const line = await run("landscape", "cnn", "--to", "cnn-2", ...args, "--reestimate");
  assert.equal(line.code, 0, line.stderr);
  const { kind, along, grid, reestimated, loss }: LandscapeRecord = JSON.parse(line.stdout);
  assert.deepEqual([kind, along], ["line", "models"]);
  assert.deepEqual(grid.coordinates, [[-0.25, 0, 0.25, 0.5, 0.75, 1, 1.25]]);
  const other = await run("landscape", "cnn-2", "--line", ...args);
  assert.ok(Math.abs(grid.loss[1] - loss) < 1e-5);
  assert.ok(Math.abs(grid.loss[5] - (JSON.parse(other.stdout) as LandscapeRecord).loss) < 1e-5);
  const differing = reestimated!.loss.filter((value, index) => Math.abs(value - grid.loss[index]) > 1e-4);
  assert.equal(differing.length, 7, "statistics of 60 images are other statistics");
});

test("a trajectory: the plane of its principal components, with the epochs on it", async () => {
  const args = ["landscape", "mlp", ...quick, "--along", "trajectory", "--points", "4", "--out", "path"];
  const { code, stderr, stdout } = await run(...args);
  assert.equal(code, 0, stderr);
  const { trajectory, grid, loss }: LandscapeRecord = readJsonFile(folder, "path", "landscape.json");
  const { points, explained } = trajectory!;
  assert.deepEqual(
    points.map(({ epoch }) => epoch),
    [0, 1, 2, 3, 4],
  );
  // The weights that the run ended with are the origin.
  assert.ok(Math.hypot(...points[4].at) < 1e-5 && Math.abs(points[4].loss - loss) < 1e-6);
  assert.ok(points[0].loss > loss && explained[0] > explained[1] && explained[0] + explained[1] <= 1 + 1e-9);
  for (const axis of [0, 1]) {
    const along = points.map(({ at }) => at[axis]);
    const [low, high] = [grid.coordinates[axis][0], grid.coordinates[axis][3]];
    assert.ok(low < Math.min(...along) && high > Math.max(...along), "all of it is on the plane");
  }
  assert.match(stdout, /principal component 1 \(\d+\.\d %\)/);
  assert.match(
    readFileSync(join(folder, "path", "trajectory.csv"), "utf8"),
    /^epoch,a,b,loss,accuracy\r\n0,/,
  );
});

test("killed in the middle, a plane goes on to the same bits", async () => {
  const args = ["landscape", "cnn", "--subset", "300", "--batch-size", "50", "--points", "11", "--json"];
  const { child, ended } = startLowland([...args, "--out", "killed"], { cwd: folder });
  const kept = join(folder, "killed", "measurements");
  const hasState = () => existsSync(kept) && readdirSync(kept).some((name) => /plane.*\.state$/.test(name));
  while (!hasState() && child.exitCode === null) await wait(5);
  child.kill("SIGKILL");
  assert.equal((await ended).signal, "SIGKILL");
  const resumed = await run(...args, "--out", "killed", "--threads", "1");
  assert.equal(resumed.code, 0, resumed.stderr);
  assert.match(resumed.stderr, /random plane: going on from where it was stopped/);
  const whole = await run(...args, "--out", "whole");
  assert.deepEqual(timeless(JSON.parse(resumed.stdout)), timeless(JSON.parse(whole.stdout)));
});
