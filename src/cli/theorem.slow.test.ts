import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeFolder } from "../runs/run-folder.ts";
import { lowland, readJsonFile, temporaryFolder } from "../testing/cli.ts";
import { recordFormat } from "../train/records.ts";
import { loadedCommand } from "./commands.ts";

const folder = temporaryFolder();
const theorem = (...args: string[]) => lowland(["theorem", ...args], { cwd: folder });

test("lowland theorem writes numbers, a page and pictures, and prints the same numbers as JSON", async () => {
  const settings = ["--problems", "logistic", "--steps", "20", "--draws", "2", "--rho-min", "0.1"];
  const { code, stdout, stderr } = await theorem(...settings, "--json");
  assert.equal(code, 0, stderr);
  const record = JSON.parse(stdout);
  assert.deepEqual(record, readJsonFile(folder, "runs", "theorem", "theorem.json"));
  assert.deepEqual([record.configuration.problems, record.configuration.rhoMin], [["logistic"], 0.1]);
  assert.equal(record.runs.at(-1).scale.scale.mean.length, 20);
  const page = readFileSync(join(folder, "runs", "theorem", "theorem.html"), "utf8");
  assert.match(page, /Logistic regression/);
  assert.ok(existsSync(join(folder, "runs", "theorem", "pictures", "theorem-logistic-scale.dark.svg")));
});

test("with run folders it reads ς of their steps; flags of problems and runs without ς are refused", async () => {
  const writeRun = async (name: string, own: object) => {
    const place = join(folder, name);
    await makeFolder(place);
    writeFileSync(
      join(place, "run.json"),
      JSON.stringify({
        format: recordFormat,
        name,
        createdAt: "2026-01-01T00:00:00.000Z",
        configuration: {},
      }),
    );
    const step = { type: "step", step: 1, epoch: 1, learningRate: 0.1, scalars: {}, loss: 1, gradNorm: 1 };
    writeFileSync(join(place, "metrics.jsonl"), `${JSON.stringify({ ...step, directionNorm: 1, ...own })}\n`);
  };
  await writeRun("bilateral", { scale: 1.5, theoremOne: -0.5 / 3.25, cosGradMin: 0.9 });
  await writeRun("plain", {});
  const { code, stdout, stderr } = await theorem("bilateral", "plain", "--out", "out", "--json");
  assert.equal(code, 0, stderr);
  const { runs } = JSON.parse(stdout);
  assert.deepEqual(
    runs.map(({ name }: { name: string }) => name),
    ["bilateral"],
  );
  assert.equal(runs[0].epochs[0].scale.median, 1.5);
  const command = await loadedCommand("theorem");
  const inProcess = (...args: string[]) => command.parseAsync(args, { from: "user" });
  await assert.rejects(inProcess(join(folder, "bilateral"), "--steps", "30"), {
    message: /^--steps is for problems of known constants/,
  });
  await assert.rejects(inProcess(join(folder, "plain")), {
    message: /^no run in \S*plain has steps with ς; choose runs of bilateral-sam/,
  });
});
