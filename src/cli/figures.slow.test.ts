import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { lowland, readJsonFile, temporaryFolder } from "../testing/cli.ts";

const folder = temporaryFolder();
const settings = {
  data: "digits",
  limit: 128,
  epochs: 1,
  batchSize: 32,
  seeds: [1],
  constantRhoMin: [0.4],
  spectrum: { eigenvalues: 3, images: 60 },
  sharpness: { images: 32 },
  threads: 1,
};
writeFileSync(join(folder, "figures.json"), JSON.stringify(settings));

test("lowland figures trains, measures and draws; again it does only what is missing", async () => {
  const args = ["figures", "--config", "figures.json", "--out", "out"];
  const first = await lowland(args, { cwd: folder });
  assert.equal(first.code, 0, first.stderr);
  assert.match(first.stderr, /5 runs of 1 epochs in out, 5 of them to train/);
  assert.match(first.stderr, /✓ Hessian eigenvalues of sam-0\.1, seed 1/);
  assert.match(first.stdout, /^ +test accuracy % +conflict % +cosine, end +λ₁\n/);
  const { runs } = readJsonFile(folder, "out", "results.json");
  assert.equal(runs.length, 5);
  for (const { role, status, spectrum, conflict } of runs) {
    assert.equal(status, "finished");
    assert.equal(spectrum?.largest.length, role.kind === "method" ? 3 : undefined);
    if (role.kind === "constant-rho-min") assert.equal(conflict.steps, 4);
  }
  assert.ok(existsSync(join(folder, "out", "figures.html")));
  assert.ok(existsSync(join(folder, "out", "pictures", "figure-5-eigenvalues.dark.png")));

  const again = await lowland([...args, "--json"], { cwd: folder });
  assert.match(again.stderr, /5 runs of 1 epochs in out, 0 of them to train/);
  assert.doesNotMatch(again.stderr, /✓/);
  assert.deepEqual(JSON.parse(again.stdout).runs, runs);

  const drawn = await lowland(["figures", "--results", "out/results.json", "--out", "drawn"], {
    cwd: folder,
  });
  assert.equal(drawn.code, 0, drawn.stderr);
  assert.equal(drawn.stdout.replaceAll("drawn", "out"), first.stdout);
  assert.ok(existsSync(join(folder, "drawn", "pictures", "figure-3-cosine.light.svg")));
});

test("mistakes are one sentence and exit code 2", async () => {
  writeFileSync(join(folder, "misspelt.json"), JSON.stringify({ ...settings, rhoMins: [0.1] }));
  writeFileSync(join(folder, "other.json"), "{}");
  const mistakes: [string[], RegExp][] = [
    [
      ["--config", "misspelt.json"],
      /^lowland: configuration key "rhoMins" is not known; the nearest of the known ones .* is "rhoMin"\n$/,
    ],
    [
      ["--config", "figures.json", "--seeds", "1,x"],
      /^lowland: option '--seeds <list>' argument '1,x' is invalid: it has to be a number\n$/,
    ],
    [
      ["--results", "nothing.json"],
      /^lowland: nothing\.json could not be read: it does not exist \(ENOENT\); check the path\n$/,
    ],
    [["--results", "other.json"], /^lowland: other\.json holds no results of lowland figures\n$/],
  ];
  for (const [args, message] of mistakes) {
    const { code, stdout, stderr } = await lowland(["figures", ...args], { cwd: folder });
    assert.deepEqual([code, stdout], [2, ""], args.join(" "));
    assert.match(stderr, message);
  }
});
