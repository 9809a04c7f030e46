import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { UserError } from "../common/errors.ts";
import { loadSamples } from "../data/catalogue.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import type { openDevice } from "../platform/open-device.ts";
import { DeviceEngine } from "../runtime/device-engine.ts";
import type { RunResult as EngineResult } from "../runtime/engine.ts";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";
import { DeviceError } from "../runtime/proving-engine.ts";
import { readJsonFile, temporaryFolder } from "../testing/cli.ts";
import { type Faults, faultyDevice } from "../testing/faulty-device.ts";

import { parseRun, type RunSettings } from "./configuration.ts";
import { runTask } from "./run.ts";

const root = temporaryFolder();

const settings: RunSettings = {
  data: "digits",
  model: "mlp",
  limit: 320,
  batchSize: 32,
  epochs: 3,
  sharpness: { images: 64 },
  threads: 1,
};
const adapter = { name: "webgpu", adapter: "a GPU" };
const data = await loadSamples("classes", "digits", {});
const openCpu = () => new OnnxRuntimeEngine({ threads: 1 });

/** Trains on a device with faults. */
async function trainOn(faults: Faults | undefined, more: { out?: string; mustBeFaster?: boolean } = {}) {
  const notes: string[] = [];
  const onNote = (note: string) => notes.push(note);
  const { mustBeFaster, ...request } = more;
  const open: typeof openDevice = async () =>
    faults
      ? new DeviceEngine({ record: adapter, device: faultyDevice(faults), openCpu, onNote, mustBeFaster })
      : openCpu();
  const configuration = parseRun({ ...settings, ...(faults && { device: "webgpu" }) });
  const result = await runTask({ name: "run", configuration, data, openDevice: open, onNote, ...request });
  return { ...result, notes };
}

const losses = ({ epochs }: Pick<Awaited<ReturnType<typeof trainOn>>, "epochs">) =>
  epochs.map(({ trainLoss }) => trainLoss);
const wrongLoss = ({ outputs, ...rest }: EngineResult): EngineResult => {
  if (!outputs.direction_norm) return { outputs, ...rest };
  return {
    ...rest,
    outputs: { ...outputs, loss: tensorData([Number(outputs.loss.data[0]) * 1.01], [], "float32") },
  };
};

const onCpu = await trainOn(undefined);

test("a run on a device gives the CPU's numbers, and its summary names the device", async () => {
  const { summary, notes, failure, ...run } = await trainOn({});
  assert.equal(failure, undefined);
  assert.deepEqual(notes, []);
  assert.deepEqual(summary?.device, adapter);
  for (const [index, loss] of losses(run).entries())
    assert.ok(Math.abs(loss - losses(onCpu)[index]) < 1e-4, `epoch ${index + 1}`);
  assert.deepEqual(onCpu.summary?.device, { name: "cpu" });
});

test("a device that computes a step wrong leaves the run to the CPU, to the same bits, and the reason in the summary", async () => {
  const { summary, notes, ...run } = await trainOn({ result: wrongLoss });
  assert.equal(notes.length, 1);
  assert.match(
    notes[0],
    /^webgpu \(a GPU\) computes a training step wrong: its loss is [\d.]+, and on the CPU [\d.]+: training runs on the CPU$/,
  );
  assert.equal(summary?.device?.name, "cpu");
  assert.match(summary?.device?.reason ?? "", /its loss is/);
  assert.deepEqual(losses(run), losses(onCpu));
  assert.ok(Buffer.from(run.model).equals(Buffer.from(onCpu.model)));
});

test("a device that is lost in training ends the run with its last good weights, and it can be resumed", async () => {
  let steps = 0;
  const result = (right: EngineResult) => {
    // The proof takes one step; an epoch has ten.
    if (right.advanced && ++steps > 15) return Promise.reject(new Error("device lost"));
    return right;
  };
  const out = join(root, "lost");
  const { failure, summary, tensors, epochs } = await trainOn({ result }, { out });
  assert.ok(failure instanceof DeviceError);
  assert.equal(
    failure.message,
    'webgpu (a GPU) failed: device lost; the weights of the end of epoch 1 are kept, and the run can be resumed, also with device "cpu"',
  );
  assert.equal(summary?.status, "interrupted");
  assert.deepEqual([summary?.epochs, summary?.device], [1, adapter]);
  assert.equal(epochs.length, 1);
  assert.ok(Object.values(tensors).every(({ data }) => (data as Float32Array).every(Number.isFinite)));
  assert.equal((readJsonFile(out, "summary.json") as { status: string }).status, "interrupted");

  const configuration = parseRun(settings);
  const resumed = await runTask({ name: "run", configuration, data, out, existing: "resume" });
  assert.equal(resumed.summary?.status, "finished");
  for (const [index, loss] of losses(resumed).entries())
    assert.ok(Math.abs(loss - losses(onCpu)[index]) < 1e-4, `epoch ${index + 1}`);
});

test("a device that is lost in the first epoch leaves the initial weights", async () => {
  let steps = 0;
  const result = (right: EngineResult) =>
    right.advanced && ++steps > 3 ? Promise.reject(new Error("device lost")) : right;
  const { failure, summary } = await trainOn({ result });
  assert.match(failure?.message ?? "", /the initial weights are kept/);
  assert.equal(summary, undefined);
});

test("an evaluation that the device computes wrong runs on the CPU", async () => {
  const result = (right: EngineResult, program: string): EngineResult => {
    if (!program.startsWith("test ")) return right;
    return { ...right, outputs: { ...right.outputs, loss: tensorData([0], [], "float32") } };
  };
  const { notes, summary } = await trainOn({ result });
  assert.ok(
    notes.length > 0 &&
      notes.every((note) => /computes loss of "test \d+" wrong; it runs on the CPU$/.test(note)),
  );
  assert.deepEqual(summary?.device, adapter);
  const { testLoss = 0 } = onCpu.summary ?? {};
  assert.ok(Math.abs((summary?.testLoss ?? 0) - testLoss) < 1e-3);
});

test("a device that cannot be opened is refused before anything is written", async () => {
  const out = join(root, "refused");
  const open: typeof openDevice = () => Promise.reject(new UserError("device: there is none"));
  const configuration = parseRun({ ...settings, device: "webgpu" });
  const run = runTask({ name: "run", configuration, data, out, openDevice: open });
  await assert.rejects(run, /there is none/);
  assert.ok(!existsSync(out));
});

test("a device has a name that is known", () => {
  assert.throws(
    () => parseRun({ ...settings, device: "gpu" as "cpu" }),
    (error) => error instanceof UserError && /device.*"gpu".*cpu.*webgpu.*cuda.*auto/.test(error.message),
  );
});
