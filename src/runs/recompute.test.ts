import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "../testing/cli.ts";
import { assertSameTensors } from "../testing/networks.ts";
import { type TrainOptions, train } from "./train.ts";

const root = temporaryFolder();

test("a run that was begun without recomputation is resumed with it, and the other way, to the same bits", async () => {
  const options: TrainOptions = {
    data: "digits",
    model: "cnn",
    optimizer: { method: "bilateral-sam" },
    limit: 96,
    batchSize: 32,
    epochs: 3,
    sharpness: { images: 32 },
    threads: 1,
  };
  const whole = await train({ ...options });
  const out = join(root, "run");
  for (const epochs of [1, 2]) {
    const controller = new AbortController();
    const onEpoch = ({ epoch }: { epoch: number }) => epoch === epochs && controller.abort();
    const existing = "resume";
    await train({ ...options, recompute: epochs === 2, out, existing, onEpoch, signal: controller.signal });
  }
  const resumed = await train({ ...options, out, existing: "resume" });
  assertSameTensors(resumed.tensors, whole.tensors);
  assert.ok(Buffer.from(resumed.model).equals(Buffer.from(whole.model)));
});
