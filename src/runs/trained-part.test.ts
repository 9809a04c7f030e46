import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { loadDataset } from "../data/catalogue.ts";
import { type DatasetPair, selected } from "../data/source.ts";
import { openModel } from "../measure/measured-model.ts";
import { evaluateModel } from "../model-files/evaluate.ts";
import { createModel } from "../nn/models.ts";
import { buildModel, initialTensors } from "../nn/module.ts";
import type { Tensors } from "../onnx/tensor.ts";
import { sgd } from "../optim/sgd.ts";
import { temporaryFolder } from "../testing/cli.ts";
import { assertClose } from "../testing/numeric.ts";
import { recordedRun } from "../testing/recorded-run.ts";
import { type TrainOptions, train } from "./train.ts";
import { findModel } from "./trained-model.ts";

// Runs of which a part trains, of a network by its name and of the same network as a file.

const folder = temporaryFolder();
let digits: DatasetPair;
before(async () => {
  digits = await loadDataset("digits");
});

const shape = { channels: 1, height: 8, width: 8, classes: 10 };
const quick = {
  data: "digits",
  limit: 64,
  batchSize: 32,
  epochs: 2,
  threads: 1,
  learningRate: 0.05,
  labelSmoothing: 0,
  optimizer: sgd({ momentum: 0.9 }),
  sharpness: { images: 64 },
} as const;

/** Started from numbers that batch statistics would not give. */
const start: Tensors = (() => {
  const layer = createModel("cnn", shape);
  const model = buildModel(layer, { inputShape: [1, 8, 8], batchSize: 1, training: false });
  const tensors = initialTensors(model, 3);
  for (const [name, { data }] of Object.entries(tensors)) {
    if (name.endsWith("running_var")) (data as Float32Array).fill(0.2);
    if (name.endsWith("running_mean")) (data as Float32Array).fill(0.05);
  }
  return tensors;
})();

/** The network as somebody's file, written by a run that does not move. */
async function asFile(): Promise<string> {
  const path = join(folder, "cnn.onnx");
  if (existsSync(path)) return path;
  const { model } = await train({
    ...quick,
    model: "cnn",
    weights: { tensors: start },
    epochs: 1,
    learningRate: 1e-30,
    parameters: { batchNormalization: "frozen" },
  });
  writeFileSync(path, model);
  return path;
}

const sources: Record<string, () => Promise<Pick<TrainOptions, "model" | "weights">>> = {
  "a network by name": async () => ({ model: "cnn", weights: { tensors: start } }),
  "an ONNX file": async () => ({ model: { file: await asFile() } }),
};

const recorded = (options: TrainOptions) => recordedRun({ ...quick, ...options });

/** Which tensors are other ones than before, by the first part of their names. */
function moved(tensors: Tensors): string[] {
  const names = Object.entries(tensors).flatMap(([name, { data }]) => {
    const was = start[name].data as Float32Array;
    return (data as Float32Array).every((value, index) => Object.is(value, was[index]))
      ? []
      : [name.split(".")[0]];
  });
  return [...new Set(names)].sort();
}

for (const [source, network] of Object.entries(sources)) {
  describe(source, () => {
    const expected = {
      head: ["fc"],
      "last:2": ["bn5", "conv5", "fc"],
      "last:3": ["bn4", "bn5", "conv4", "conv5", "fc"],
    };
    for (const [part, names] of Object.entries(expected)) {
      test(`train ${part}: everything else keeps its bits, running statistics too`, async () => {
        const { tensors, summary, notes } = await recorded({
          ...(await network()),
          parameters: { train: part },
        });
        assert.deepEqual(moved(tensors), names);
        const trained = Object.entries(start).filter(
          ([name]) => names.some((own) => name.startsWith(`${own}.`)) && !name.includes("running"),
        );
        assert.equal(
          summary!.parameters,
          trained.reduce((sum, [, { data }]) => sum + data.length, 0),
        );
        assert.ok(
          notes.some((note) =>
            note.startsWith(`trains: ${names.filter((name) => !name.startsWith("bn")).join(", ")} (`),
          ),
          notes.join("\n"),
        );
      });
    }

    test("a frozen BatchNorm normalizes by its running statistics: the first loss is that of inference", async () => {
      const { steps } = await recorded({
        ...(await network()),
        batchSize: 64,
        epochs: 1,
        parameters: { train: "head" },
      });
      const places = await trainingPlaces();
      const { loss } = await evaluateModel(await asFile(), selected(digits.train, places), { threads: 1 });
      assertClose([steps[0].loss], [loss], 1e-5);
    });

    test("layerDecay: the update of a stage is the factor to the power of its depth times as long", async () => {
      const one = { ...(await network()), batchSize: 64, epochs: 1, optimizer: sgd() };
      const plain = await recorded(one);
      const decayed = await recorded({ ...one, parameters: { layerDecay: 0.5 } });
      for (const [name, depth] of Object.entries({
        "fc.weight": 0,
        "conv5.weight": 1,
        "bn5.bias": 1,
        "conv4.weight": 2,
        "conv1.weight": 5,
      })) {
        const update = (tensors: Tensors) =>
          Array.from(
            tensors[name].data as Float32Array,
            (value, index) => value - Number(start[name].data[index]),
          );
        assertClose(
          update(decayed.tensors),
          update(plain.tensors).map((value) => value * 0.5 ** depth),
          2e-3,
        );
      }
      assert.ok(
        decayed.notes.includes(
          "learning rate by stage: fc ×1, conv5 ×0.5, conv4 ×0.25, conv3 ×0.125, conv2 ×0.0625, conv1 ×0.03125",
        ),
        decayed.notes.join("\n"),
      );
    });

    test("batchNormalization frozen: all train, no running statistic moves", async () => {
      const { tensors } = await recorded({
        ...(await network()),
        parameters: { batchNormalization: "frozen" },
      });
      assert.deepEqual(moved(tensors), [
        "bn1",
        "bn2",
        "bn3",
        "bn4",
        "bn5",
        "conv1",
        "conv2",
        "conv3",
        "conv4",
        "conv5",
        "fc",
      ]);
      for (const [name, { data }] of Object.entries(tensors))
        if (name.includes("running")) assert.deepEqual(data, start[name].data);
    });

    test("flatness is of the parameters that trained, also of the file alone; further training is of all", async () => {
      const out = join(folder, source.replaceAll(" ", "-"));
      await recorded({ ...(await network()), epochs: 1, out, parameters: { train: "head" } });
      for (const place of [out, join(out, "model.onnx")]) {
        const { surface } = await openModel(await findModel(place), digits, { subset: 10 });
        assert.deepEqual([...surface.build(2).parameters.keys()], ["fc.weight", "fc.bias"]);
      }
      const file = join(out, "model.onnx");
      const again = join(out, "again");
      const { summary } = await recorded({ model: { file }, epochs: 1, out: again });
      const all = Object.entries(start).reduce(
        (sum, [name, { data }]) => sum + (name.includes("running") ? 0 : data.length),
        0,
      );
      assert.equal(summary!.parameters, all);
      const { surface } = await openModel(await findModel(join(again, "model.onnx")), digits, { subset: 10 });
      assert.equal(surface.build(2).parameters.size, 17);
    });
  });
}

/** The places of the training images of a run with a limit. */
async function trainingPlaces(): Promise<Int32Array> {
  const { randomStream } = await import("../common/random.ts");
  return randomStream(1, "subset").permutation(digits.train.count).subarray(0, quick.limit);
}

test("a part that is not there is refused", async () => {
  await assert.rejects(train({ ...quick, model: "mlp", parameters: { train: "last:4" } }), {
    name: "UserError",
    message: "train is last:4, but the network has 3 stages: fc1, fc2, fc3; choose at most last:3",
  });
  await assert.rejects(train({ ...quick, model: "mlp", parameters: { train: "tail" } }), {
    name: "UserError",
    message: 'parameters.train is "tail": choose all, head, or a number of stages as in last:2',
  });
  const groups = [{ frozen: true }];
  await assert.rejects(train({ ...quick, model: "mlp", parameters: { groups } }), {
    name: "UserError",
    message: "all parameters are frozen, so there is nothing to train; freeze fewer of them",
  });
});
