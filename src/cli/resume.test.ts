import assert from "node:assert/strict";
import { on } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import {
  type Ended,
  lowland,
  readJsonFile,
  readMetrics,
  startLowland,
  temporaryFolder,
  timelessMetrics,
} from "../testing/cli.ts";

// A run that is stopped, by Ctrl-C or by a power cut, and resumed ends as one that never stopped.

const folder = temporaryFolder();
const epochs = 10;

/** Settings with everything that has a state or a place in the run: momentum, schedules, shuffling, augmentation, noise. */
const settings = {
  data: "digits",
  limit: 512,
  labelNoise: 0.2,
  augmentation: { crop: 1, flip: true, cutout: { size: 2 } },
  epochs,
  batchSize: 32,
  schedule: { name: "warm-up", epochs: 2, after: { name: "cosine" } },
  sharpness: { images: 64 },
  threads: 1,
};
const methods: Record<string, object> = {
  sgd: { method: "sgd", base: { momentum: 0.9, nesterov: true } },
  "bilateral-sam": { method: "bilateral-sam", base: { momentum: 0.9 } },
};
for (const [name, optimizer] of Object.entries(methods)) {
  writeFileSync(join(folder, `${name}.json`), JSON.stringify({ ...settings, optimizer }));
}

const argumentsOf = (method: string, out: string) => [
  "train",
  "--config",
  `${method}.json`,
  "--out",
  out,
  "--json",
];
const train = (method: string, out: string, ...more: string[]) =>
  lowland([...argumentsOf(method, out), ...more], { cwd: folder });

/** Starts the run (or goes on with it) and ends it by a signal some time after it has finished that many epochs. */
async function stop(
  method: string,
  out: string,
  signal: "SIGINT" | "SIGKILL",
  { after, delay }: { after: number; delay: number },
): Promise<Ended> {
  const { child, ended } = startLowland([...argumentsOf(method, out), "--resume"], { cwd: folder });
  const metrics = join(folder, out, "metrics.jsonl");
  const reached = () =>
    existsSync(metrics) && readFileSync(metrics, "utf8").includes(`{"type":"epoch","epoch":${after},`);
  while (!reached() && child.exitCode === null) await wait(5);
  await wait(delay);
  child.kill(signal);
  return ended;
}

function assertSameRun(out: string, whole: string) {
  assert.deepEqual(timelessMetrics(join(folder, out)), timelessMetrics(join(folder, whole)));
  const model = (run: string) => readFileSync(join(folder, run, "model.onnx"));
  assert.ok(model(out).equals(model(whole)), "the same model");
  const { seconds: _, name: __, ...summary } = readJsonFile(folder, out, "summary.json");
  const { seconds: ___, name: ____, ...expected } = readJsonFile(folder, whole, "summary.json");
  assert.deepEqual(summary, expected);
}

describe("a run that was stopped", { skip: process.platform === "win32", concurrency: 2 }, () => {
  for (const method of Object.keys(methods)) {
    test(`${method}: by Ctrl-C, then by a kill, goes on with --resume as if it had not been`, async (t) => {
      const [whole, out] = [`${method}-whole`, `${method}-parts`];
      const uninterrupted = train(method, whole);
      const { code, stdout, stderr } = await stop(method, out, "SIGINT", { after: 1, delay: 10 });
      assert.equal(code, 130, stderr);
      assert.match(
        stderr,
        /^Stopping after this step; finished epochs are kept \(Ctrl-C again: at once\)\.$/m,
      );
      assert.match(
        stderr,
        new RegExp(`^The same command with --out ${out} --resume goes on from here\\.$`, "m"),
      );
      const { epochs: finished, steps } = readMetrics(join(folder, out));
      assert.ok(finished.length >= 1 && finished.length < epochs, `${finished.length} epochs`);
      const summary = JSON.parse(stdout);
      assert.deepEqual(summary, readJsonFile(folder, out, "summary.json"));
      assert.deepEqual([summary.status, summary.epochs], ["interrupted", finished.length]);
      assert.ok(steps.length >= summary.steps);
      assert.ok(existsSync(join(folder, out, "report.html")));

      const delay = Math.round(100 * Math.random());
      t.diagnostic(`killed ${delay} ms after epoch ${finished.length + 1}`);
      const killed = await stop(method, out, "SIGKILL", { after: finished.length + 1, delay });
      assert.equal(killed.signal, "SIGKILL");
      assert.deepEqual(readJsonFile(folder, out, "summary.json"), summary);

      const resumed = await train(method, out, "--resume");
      assert.equal(resumed.code, 0, resumed.stderr);
      assert.equal((await uninterrupted).code, 0);
      assertSameRun(out, whole);
    });
  }

  test("by Ctrl-C twice ends at once, in the middle of a step", async () => {
    // Steps of about a second.
    const args = [
      "train",
      "--data",
      "digits",
      "--model",
      "resnet20",
      "--batch-size",
      "200",
      "--threads",
      "1",
    ];
    const { child, ended } = startLowland([...args, "--out", "twice"], { cwd: folder });
    const metrics = join(folder, "twice", "metrics.jsonl");
    while (!existsSync(metrics) && child.exitCode === null) await wait(10);
    child.kill("SIGINT");
    for await (const [text] of on(child.stderr!, "data")) if (/Stopping/.test(text)) break;
    // Longer than what counts as the echo of the first.
    await wait(250);
    const second = performance.now();
    child.kill("SIGINT");
    const { code, signal, stderr } = await ended;
    // The step may have been over by then: either way Ctrl-C is what the shell hears of.
    assert.ok(signal === "SIGINT" || code === 130, `signal ${signal}, code ${code}: ${stderr}`);
    if (signal) assert.ok(performance.now() - second < 1000, `${performance.now() - second} ms`);
    assert.match(stderr, /^Stopping after this step/m);
  });

  test("before its first epoch starts over with --resume", async () => {
    const args = [...argumentsOf("sgd", "early"), "--epochs", "1"];
    const { child, ended } = startLowland(args, { cwd: folder });
    while (!existsSync(join(folder, "early", "run.json")) && child.exitCode === null) await wait(1);
    child.kill("SIGINT");
    const { code, stdout, stderr } = await ended;
    assert.equal(code, 130, stderr);
    assert.equal(JSON.parse(stdout), null);
    assert.match(stderr, /stopped before the end of its first epoch$/m);
    const resumed = await lowland([...args, "--resume"], { cwd: folder });
    assert.equal(resumed.code, 0, resumed.stderr);
    assert.equal(JSON.parse(resumed.stdout).status, "finished");
  });
});
