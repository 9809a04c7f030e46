import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder, timelessMetrics } from "../testing/cli.ts";
import type { RunSettings } from "./configuration.ts";
import { type TrainOptions, train } from "./train.ts";

// One document and seed, one set of numbers; and what the runs of a comparison share.

const root = temporaryFolder();

const settings: TrainOptions = {
  data: "digits",
  epochs: 2,
  batchSize: 32,
  limit: 170,
  labelNoise: 0.3,
  augmentation: { crop: 1, flip: true, cutout: { size: 2 } },
  sharpness: { images: 64 },
};

for (const model of ["mlp", "cnn"] as const) {
  test(`${model}: the same configuration and seed give the same metrics and model, another seed others`, async () => {
    const run = async (name: string, seed: number) => {
      const out = join(root, `${model}-${name}`);
      const { model: onnx } = await train({ ...settings, model, seed, out });
      return { metrics: timelessMetrics(out), onnx: Buffer.from(onnx) };
    };
    const first = await run("first", 1);
    const second = await run("second", 1);
    assert.equal(
      first.metrics.length,
      2 * 5 + 2 + 1,
      "5 steps and an epoch, twice, and the end of the last line",
    );
    assert.deepEqual(second.metrics, first.metrics);
    assert.ok(second.onnx.equals(first.onnx), "the same model");
    const other = await run("other", 2);
    assert.equal(other.metrics.length, first.metrics.length);
    for (const [index, line] of other.metrics.slice(0, -1).entries())
      assert.notEqual(line, first.metrics[index]);
  });
}

const optimizers: Record<string, RunSettings["optimizer"]> = {
  sgd: { method: "sgd" },
  sam: { method: "sam" },
  "bilateral-sam": { method: "bilateral-sam" },
  "bilateral-sam released": { method: "bilateral-sam", variant: "released" },
};

async function losses(options: TrainOptions): Promise<number[]> {
  const found: number[] = [];
  await train({ ...settings, model: "mlp", threads: 1, ...options, onStep: ({ loss }) => found.push(loss) });
  return found;
}

test("optimizers begin at the same weights with the same batch: the first step's loss is the same", async () => {
  const first: number[] = [];
  for (const optimizer of Object.values(optimizers)) first.push((await losses({ optimizer, epochs: 1 }))[0]);
  assert.equal(new Set(first).size, 1, String(first));
});

test("optimizers see the same images, labels and augmentation at every step of every epoch", async () => {
  // At a learning rate that moves no weight, the losses tell the batches apart and nothing else.
  const { "bilateral-sam released": _, ...others } = optimizers;
  const [[, expected], ...rest] = await Promise.all(
    Object.entries(others).map(
      async ([name, optimizer]) => [name, await losses({ optimizer, learningRate: 1e-30 })] as const,
    ),
  );
  assert.equal(expected.length, 10);
  assert.equal(new Set(expected).size, 10, "another batch at every step");
  for (const [name, found] of rest) assert.deepEqual(found, expected, name);
});
