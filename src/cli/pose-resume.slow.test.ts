import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import {
  lowland,
  readJsonFile,
  readMetrics,
  startLowland,
  temporaryFolder,
  timelessMetrics,
} from "../testing/cli.ts";

// A pose run that is killed in the middle of an epoch and resumed ends as one that never stopped: weights, metrics,
// evaluation and predictions.

const root = temporaryFolder();
const environment = { cwd: root, env: { LOWLAND_HOME: join(root, "home") } };
const epochs = 6;
const settings = {
  task: "pose",
  data: "folder",
  images: { size: 32 },
  model: "simple-baseline-small:width=0.25",
  optimizer: { method: "bilateral-sam", base: { name: "adam" } },
  learningRate: 0.002,
  epochs,
  batchSize: 8,
  pose: {
    flipTest: "auto",
    boxes: "boxes.json",
    augmentation: { flip: 0.5, scale: 0.3, rotation: 40, halfBody: 0.3 },
  },
  averaging: { name: "exponential" },
  sharpness: { images: 8 },
  threads: 1,
};

test("a killed and resumed run equals the undisturbed one to the bit", {
  skip: process.platform === "win32",
}, async (t) => {
  const run = async (...args: string[]) => {
    const { code, stderr } = await lowland(args, environment);
    assert.equal(code, 0, stderr);
  };
  await run("data", "people:train=64,test=8,size=64", "--out", "folder");
  const { annotations } = readJsonFile(root, "folder", "annotations", "person_keypoints_val.json");
  const boxes = annotations.map(({ image_id, bbox }: { image_id: number; bbox: number[] }) => {
    return { image_id, category_id: 1, bbox, score: 1 / image_id };
  });
  writeFileSync(join(root, "boxes.json"), JSON.stringify(boxes));
  writeFileSync(join(root, "run.json"), JSON.stringify(settings));
  const train = (out: string) => ["train", "--config", "run.json", "--out", out, "--resume"];
  await run(...train("whole"));

  const { child, ended } = startLowland(train("parts"), environment);
  const file = join(root, "parts", "metrics.jsonl");
  const reached = () =>
    existsSync(file) && /\{"type":"epoch","epoch":2,[^\n]*\n[^\n]*"step"/.test(readFileSync(file, "utf8"));
  while (!reached() && child.exitCode === null) await wait(2);
  child.kill("SIGKILL");
  assert.equal((await ended).signal, "SIGKILL");
  const finished = readMetrics(join(root, "parts")).epochs.length;
  t.diagnostic(`killed after epoch ${finished}`);
  assert.ok(finished >= 2 && finished < epochs, `${finished} epochs`);
  await run(...train("parts"));

  assert.deepEqual(timelessMetrics(join(root, "parts")), timelessMetrics(join(root, "whole")));
  for (const name of ["model.onnx", "model-average.onnx", "evaluation.json", "model.safetensors"]) {
    const [part, whole] = ["parts", "whole"].map((folder) => readFileSync(join(root, folder, name)));
    assert.ok(part.equals(whole), name);
  }
  const [{ metrics }, last] = [
    readJsonFile(root, "whole", "summary.json"),
    readJsonFile(root, "parts", "summary.json"),
  ];
  assert.deepEqual(last.metrics, metrics);
  assert.ok("givenBoxesPrecision" in metrics);
});
