import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { loadSamples } from "../data/catalogue.ts";
import { writeCifar } from "../testing/cifar-files.ts";
import { lowland, readJsonFile, temporaryFolder } from "../testing/cli.ts";
import { parseComparison } from "./configuration.ts";
import { measureRunCost } from "./run-cost.ts";

// The paper's recipe on files of CIFAR's format: what every document would cost, and an epoch of the smallest network.

const folder = temporaryFolder();
const files = {
  cifar10: writeCifar("cifar10", join(folder, "cifar10"), 4),
  cifar100: writeCifar("cifar100", join(folder, "cifar100"), 8),
};
const recipes = fileURLToPath(new URL("../../assets/configurations/paper/", import.meta.url));
const small = { batchSize: 2, sharpness: { images: 2 }, threads: 1 };

describe("the dry run of", () => {
  for (const file of readdirSync(recipes).filter((name) => name !== "laptop.json"))
    test(file, async () => {
      const document = JSON.parse(readFileSync(join(recipes, file), "utf8"));
      const kind = document.data as keyof typeof files;
      const data = await loadSamples("classes", kind, { dataDirectory: files[kind] });
      const runs = parseComparison({ ...document, ...small });
      // The others' steps have more passes of the same network; below one of them is run.
      const run = runs.find(({ name }) => name === "sgd")!;
      const cost = await measureRunCost({ ...run, data });
      const steps = 200 * Math.floor(data.train.count / 2);
      assert.deepEqual([cost.steps, cost.gradientEvaluations, cost.evaluations], [steps, steps, 200]);
      assert.ok(cost.seconds.total > steps * cost.seconds.step && cost.seconds.step > 0);
      // Weights, momentum, and both in the checkpoint.
      assert.ok(cost.diskBytes > 16 * cost.parameters);
      assert.ok(cost.peakMemoryBytes > 4 * cost.parameters);
    });
});

const smallest = ["--config", join(recipes, "mobilenet-v2-cifar10.json"), "--data-dir", files.cifar10];
const settings = [
  "--only",
  "sgd,bilateral-sam",
  "--batch-size",
  "4",
  "--sharpness-images",
  "4",
  "--threads",
  "1",
];

test("lowland compare --dry-run says what it would cost, and leaves no folder", async () => {
  const { code, stdout, stderr } = await lowland(["compare", ...smallest, ...settings, "--dry-run"], {
    cwd: folder,
  });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^sgd +1,000 +1,000 /m);
  assert.match(stdout, /^bilateral-sam +1,000 +3,000 /m);
  assert.match(stdout, /^all +2,000 +4,000 /m);
  assert.match(stdout, /Peak memory [\d.]+ [MG]iB, disk [\d.]+ MiB/);
  assert.ok(!existsSync(join(folder, "runs")));
});

test("an epoch of the smallest network", async () => {
  const args = [...smallest, ...settings, "--epochs", "1", "--out", "out"];
  const { code, stderr } = await lowland(["compare", ...args], { cwd: folder });
  assert.equal(code, 0, stderr);
  for (const name of ["sgd", "bilateral-sam"]) {
    const { status, steps, parameters } = readJsonFile(folder, "out", name, "summary.json");
    assert.deepEqual([status, steps, parameters], ["finished", 5, 2_236_682]);
  }
});
