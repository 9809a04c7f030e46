import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { readModel } from "../onnx/model.ts";
import { readTensor } from "../onnx/tensor.ts";
import { sam } from "../optim/sam.ts";
import type { Schedule } from "../optim/schedules.ts";
import { sgd } from "../optim/sgd.ts";
import type { Tensors } from "../runtime/engine.ts";
import { temporaryFolder } from "../testing/cli.ts";
import { assertClose } from "../testing/numeric.ts";
import { lastLeftOut } from "./averaging.ts";
import { readEpochWeights } from "./run-folder.ts";
import { type TrainOptions, train } from "./train.ts";

// An average holds the weights of training, however short, and never the initial ones.

const root = temporaryFolder();

const settings: TrainOptions = {
  data: "digits",
  model: "mlp",
  optimizer: { method: "sgd" },
  limit: 192,
  batchSize: 64,
  sharpness: { images: 64 },
  threads: 1,
};

function weightsOf(model: Uint8Array): Map<string, number[]> {
  const { initializer } = readModel(model).graph!;
  return new Map(
    initializer.map((tensor) => [tensor.name, Array.from(readTensor(tensor).data as Float32Array, Number)]),
  );
}

function assertMean(averaged: Uint8Array, of: readonly Tensors[], what: string): void {
  const weights = weightsOf(averaged);
  for (const name of Object.keys(of[0])) {
    const lists = of.map((tensors) => tensors[name].data as Float32Array);
    const expected = Array.from(
      lists[0],
      (_, index) => lists.reduce((sum, list) => sum + list[index], 0) / of.length,
    );
    assertClose(weights.get(name)!, expected, 1e-6, `${name} of ${what}`);
  }
}

test("SWA leaves out the epochs up to its share of training, and never the last", () => {
  const cases: [from: number, epochs: number, leftOut: number][] = [
    [0.75, 20, 15],
    [0.75, 5, 4],
    [0.75, 4, 3],
    [0.75, 3, 2],
    [0.75, 2, 1],
    [0.75, 1, 0],
    [1, 1, 0],
    [1, 7, 6],
    [0, 3, 0],
    [0.5, 3, 2],
    // In binary, 0.07 · 100 is a little over 7.
    [0.07, 100, 7],
  ];
  for (const [startingAt, epochs, leftOut] of cases) {
    assert.equal(
      lastLeftOut({ name: "stochastic", startingAt }, epochs),
      leftOut,
      `${startingAt} of ${epochs}`,
    );
  }
});

describe("the averaged network of SWA", () => {
  for (const [epochs, from, first] of [
    [1, undefined, 1],
    [2, undefined, 2],
    [3, undefined, 3],
    [3, 1, 3],
    [3, 0, 1],
    [4, 0.5, 3],
  ] as const) {
    test(`of ${epochs} epochs, from ${from ?? "the default"} on, is the mean of epochs ${first} to ${epochs}`, async () => {
      const out = join(root, `swa-${epochs}-${from}`);
      const averaging = { name: "stochastic", from } as const;
      const { averagedModel } = await train({ ...settings, epochs, averaging, keepWeights: true, out });
      const kept = await readEpochWeights(out);
      const averaged = kept.filter(({ epoch }) => epoch >= first).map(({ tensors }) => tensors);
      assert.equal(averaged.length, epochs - first + 1);
      assertMean(averagedModel!, averaged, "the average");
    });
  }

  test("counts an epoch whose last step was dropped, with the weights it ended with", async () => {
    // A radius that float32 has no number for spoils the last step of every epoch.
    const rho: Schedule = {
      config: { name: "spoilt" },
      at: ({ step, stepsPerEpoch }) => ((step + 1) % stepsPerEpoch === 0 ? 1e39 : 0.05),
    };
    const out = join(root, "dropped");
    const { averagedModel, skippedSteps } = await train({
      ...settings,
      optimizer: sam(sgd(), { rho }),
      onNonFinite: "skip",
      epochs: 3,
      averaging: { name: "stochastic", startingAt: 0.3 },
      keepWeights: true,
      out,
    });
    assert.equal(skippedSteps, 3);
    const kept = await readEpochWeights(out);
    assertMean(
      averagedModel!,
      kept.slice(2).map(({ tensors }) => tensors),
      "the average",
    );
  });
});

test("after one step the exponential average is that step's weights, whatever its decay", async () => {
  for (const decay of [0, 0.5, 0.9999]) {
    const { averagedModel, tensors } = await train({
      ...settings,
      limit: 64,
      epochs: 1,
      averaging: { name: "exponential", decay },
    });
    assertMean(averagedModel!, [tensors], `decay ${decay}`);
  }
});

for (const averaging of [{ name: "stochastic", startingAt: 0.3 }, { name: "exponential" }] as const) {
  test(`a resumed run ends with the same average as one that never stopped: ${averaging.name}`, async () => {
    // BatchNorm's statistics of the averaged network too.
    const options: TrainOptions = { ...settings, model: "cnn", epochs: 4, averaging };
    const whole = await train(options);
    const out = join(root, `resumed-${averaging.name}`);
    for (const stop of [1, 3]) {
      const controller = new AbortController();
      const onEpoch = ({ epoch }: { epoch: number }) => epoch === stop && controller.abort();
      const part = await train({ ...options, out, existing: "resume", onEpoch, signal: controller.signal });
      assert.equal(part.averagedModel, undefined);
    }
    const { averagedModel, summary } = await train({ ...options, out, existing: "resume" });
    assert.ok(Buffer.from(averagedModel!).equals(Buffer.from(whole.averagedModel!)));
    assert.deepEqual(summary!.averaged, whole.summary!.averaged);
    const again = await train({ ...options, out, existing: "resume" });
    assert.deepEqual(again.summary!.averaged, whole.summary!.averaged);
  });
}
