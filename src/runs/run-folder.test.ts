import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { UserError } from "../common/errors.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { taskRecord, tasks } from "../tasks/index.ts";
import { readJsonFile, temporaryFolder } from "../testing/cli.ts";
import { numbers } from "../testing/networks.ts";
import type { EpochRecord, RunRecord, StepRecord } from "../train/records.ts";
import { readSafetensors } from "../weights/safetensors.ts";
import { type Checkpoint, makeFolder, RunFolder } from "./run-folder.ts";

const root = temporaryFolder();
let folders = 0;
const newPath = () => join(root, String(folders++));

const record: RunRecord = {
  format: 3,
  name: "test",
  task: taskRecord(tasks.classification),
  createdAt: "now",
  configuration: { model: "mlp", epochs: 3, optimizer: { method: "sgd" } },
  versions: {},
  machine: { platform: "", arch: "", cpu: "", cores: 1, memoryGiB: 1 },
};
const withConfiguration = (changed: Record<string, unknown>): RunRecord => ({
  ...record,
  configuration: { ...record.configuration, ...changed },
});

const step = (number: number, epoch: number) =>
  ({ type: "step", step: number, epoch, loss: 0.5 }) as StepRecord;
const epochRecord = (epoch: number) =>
  ({ type: "epoch", epoch, step: 2 * epoch, seconds: 1.5 }) as EpochRecord;
const checkpoint = (epoch: number): Checkpoint => ({
  epoch: epochRecord(epoch),
  seconds: 1.5 * epoch,
  tensors: { w: { type: "float32", shape: [2], data: Float32Array.of(epoch, -epoch) } },
});

const linesOf = (path: string) =>
  readFileSync(join(path, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

/** Two epochs with a checkpoint each, and the steps of a third. */
async function interruptedRun(): Promise<string> {
  const path = newPath();
  const folder = await RunFolder.open(path, record, "refuse");
  for (const epoch of [1, 2]) {
    for (const number of [2 * epoch - 1, 2 * epoch]) await folder.append(step(number, epoch));
    await folder.append(epochRecord(epoch));
    await folder.saveCheckpoint(checkpoint(epoch));
  }
  await folder.append(step(5, 3));
  await folder.flush();
  return path;
}

async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => assert.fail("it was taken"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof UserError, String(error));
  assert.doesNotMatch(error.message, /\n/);
  return error.message;
}

test("a run begins with run.json, in a folder made for it with those above it", async () => {
  const path = join(newPath(), "a", "b");
  const folder = await RunFolder.open(path, record, "refuse");
  assert.equal(folder.checkpoint, undefined);
  assert.deepEqual(readJsonFile(path, "run.json"), record);
  assert.deepEqual(readdirSync(path), ["run.json"]);
});

test("the lines that wait are written at a flush, in order and once", async () => {
  const path = newPath();
  const folder = await RunFolder.open(path, record, "refuse");
  for (let number = 1; number <= 1000; number++) await folder.append(step(number, 1));
  await folder.flush();
  await folder.flush();
  assert.deepEqual(
    linesOf(path).map((line) => line.step),
    Array.from({ length: 1000 }, (_, index) => index + 1),
  );
});

test("a folder with a run is refused unless it is to be replaced or resumed", async () => {
  const path = await interruptedRun();
  assert.match(
    await refusal(RunFolder.open(path, record, "refuse")),
    /already holds a run.*--resume.*--overwrite/,
  );
  assert.equal(linesOf(path).length, 7, "the refusal changed nothing");
});

test("overwriting removes what the earlier run wrote, and nothing else", async () => {
  const path = await interruptedRun();
  writeFileSync(join(path, "notes.txt"), "mine");
  const folder = await RunFolder.open(path, withConfiguration({ epochs: 9 }), "overwrite");
  assert.equal(folder.checkpoint, undefined);
  assert.deepEqual(readdirSync(path).sort(), ["notes.txt", "run.json"]);
  assert.equal(readJsonFile(path, "run.json").configuration.epochs, 9);
});

test("resuming takes up the last checkpoint and drops the metrics after it", async () => {
  const path = await interruptedRun();
  const folder = await RunFolder.open(path, { ...record, createdAt: "later" }, "resume");
  assert.deepEqual(folder.checkpoint, checkpoint(2));
  assert.deepEqual(folder.epochs, [epochRecord(1), epochRecord(2)]);
  assert.deepEqual(linesOf(path), [
    step(1, 1),
    step(2, 1),
    epochRecord(1),
    step(3, 2),
    step(4, 2),
    epochRecord(2),
  ]);
  assert.equal(readJsonFile(path, "run.json").createdAt, "now");
  await folder.append(step(5, 3));
  await folder.flush();
  assert.equal(linesOf(path).length, 7);
});

test("resuming copes with a last line cut in the middle", async () => {
  const path = await interruptedRun();
  writeFileSync(join(path, "metrics.jsonl"), '{"type":"step","st', { flag: "a" });
  await RunFolder.open(path, record, "resume");
  assert.equal(linesOf(path).length, 6);
});

test("resuming a run without a checkpoint, or no run at all, begins it", async () => {
  const path = newPath();
  const first = await RunFolder.open(path, record, "resume");
  await first.append(step(1, 1));
  await first.flush();
  const second = await RunFolder.open(path, record, "resume");
  assert.equal(second.checkpoint, undefined);
  assert.ok(!existsSync(join(path, "metrics.jsonl")));
});

test("resuming with other settings names the first that differs, and changes nothing", async () => {
  const path = await interruptedRun();
  assert.match(
    await refusal(RunFolder.open(path, withConfiguration({ epochs: 5 }), "resume")),
    /has epochs 3, not 5/,
  );
  assert.match(
    await refusal(RunFolder.open(path, withConfiguration({ optimizer: { method: "sam" } }), "resume")),
    /has optimizer \{"method":"sgd"\}, not \{"method":"sam"\}/,
  );
  assert.match(
    await refusal(RunFolder.open(path, withConfiguration({ limit: 5 }), "resume")),
    /limit undefined, not 5/,
  );
  assert.equal(linesOf(path).length, 7);
});

test("resuming on a machine with another number of cores needs no setting", async () => {
  const runs: [RunRecord, RunRecord][] = [
    // Earlier versions wrote the number of cores where nothing was asked for.
    [withConfiguration({ threads: 8 }), record],
    [record, withConfiguration({ threads: 2 })],
    [withConfiguration({ threads: 1 }), withConfiguration({ threads: 2 })],
  ];
  for (const [before, after] of runs) {
    const path = newPath();
    const folder = await RunFolder.open(path, before, "refuse");
    await folder.append(epochRecord(1));
    await folder.saveCheckpoint(checkpoint(1));
    assert.equal((await RunFolder.open(path, after, "resume")).checkpoint?.epoch.epoch, 1);
  }
});

test("a damaged folder is reported by its file", async () => {
  const damages: [string, (file: string) => void][] = [
    ["run.json", (file) => writeFileSync(file, "{")],
    ["checkpoint.safetensors", (file) => writeFileSync(file, readFileSync(file).subarray(0, 100))],
    ["checkpoint.safetensors", (file) => writeFileSync(file, Buffer.from("\x02\0\0\0\0\0\0\0{}"))],
    ["metrics.jsonl", (file) => rmSync(file)],
    [
      "metrics.jsonl",
      (file) => writeFileSync(file, readFileSync(file, "utf8").split("\n").slice(0, 4).join("\n")),
    ],
  ];
  for (const [name, damage] of damages) {
    const path = await interruptedRun();
    damage(join(path, name));
    const message = await refusal(RunFolder.open(path, record, "resume"));
    assert.ok(message.startsWith(join(path, name)), message);
  }
});

test("a run that ends has its summary and model, and the lines that were waiting", async () => {
  const path = newPath();
  const folder = await RunFolder.open(path, record, "refuse");
  await folder.append(step(1, 1));
  await folder.append(step(2, 1));
  await folder.finish({ status: "finished" } as never, {
    model: Uint8Array.of(1, 2, 3),
    weights: { w: tensorData([4], [1], "float32") },
  });
  assert.deepEqual(readdirSync(path).sort(), [
    "metrics.jsonl",
    "model.onnx",
    "model.safetensors",
    "run.json",
    "summary.json",
  ]);
  assert.equal(linesOf(path).length, 2);
  assert.deepEqual(readFileSync(join(path, "model.onnx")), Buffer.of(1, 2, 3));
  const file = readFileSync(join(path, "model.safetensors"));
  assert.deepEqual(numbers(readSafetensors(file, "model.safetensors").tensors.w), [4]);
});

test("a folder that cannot be written to is refused with the reason", async () => {
  const file = newPath();
  writeFileSync(file, "");
  for (const path of [file, join(file, "x"), join(file, "x", "y")]) {
    const message = await refusal(makeFolder(path));
    assert.ok(message.startsWith(`the output folder ${path} cannot be written to (`), message);
    assert.match(message, /--out$/);
  }
  const existing = newPath();
  mkdirSync(existing);
  await makeFolder(existing);
  assert.deepEqual(readdirSync(existing), []);
});
