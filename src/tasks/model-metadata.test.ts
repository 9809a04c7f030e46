import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, mock, test } from "node:test";
import { loadDataset } from "../data/catalogue.ts";
import type { ImageArrays } from "../data/image-arrays.ts";
import type { DatasetPair } from "../data/source.ts";
import { TrainableModel } from "../import/load.ts";
import { compile } from "../lower/compile.ts";
import { openModel } from "../measure/measured-model.ts";
import { evaluateModel } from "../model-files/evaluate.ts";
import { createModel } from "../nn/models.ts";
import { buildModel, initialTensors } from "../nn/module.ts";
import { readModel, writeModel } from "../onnx/model.ts";
import { train } from "../runs/train.ts";
import { findModel } from "../runs/trained-model.ts";
import { readJsonFile, temporaryFolder } from "../testing/cli.ts";
import { arraysOf } from "../testing/images.ts";

// What a written file says of its input, and that whoever opens it feeds it so.

const root = temporaryFolder();
const quick = {
  data: "digits",
  limit: 256,
  batchSize: 32,
  epochs: 2,
  threads: 1,
  labelSmoothing: 0,
  sharpness: { images: 64 },
} as const;
let digits: DatasetPair;
before(async () => {
  digits = await loadDataset("digits");
});

/** Test images of the digits, the same on a scale from 0 to 240. */
function brighter(): ImageArrays {
  const arrays = arraysOf(digits.test);
  return { ...arrays, images: arrays.images.map((pixel) => 15 * pixel), maximum: 240 };
}

function close(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) < 1e-4 * expected, `${actual}, ${expected}`);
}

/** An untrained network as a file that says nothing of itself. */
function foreignFile(): string {
  const layer = createModel("mlp", { channels: 1, height: 8, width: 8, classes: 10 });
  const model = buildModel(layer, { inputShape: [1, 8, 8], batchSize: 1, training: false });
  model.graph.output("logits", model.logits);
  const path = join(root, "foreign.onnx");
  const weights = new Map(Object.entries(initialTensors(model, 3)));
  writeFileSync(path, compile(model.graph, { weights, symbolicBatch: "batch" }));
  return path;
}

test("a run's model gets its pixels in the range it states, whatever range the images have", async () => {
  const { model, summary } = await train({ ...quick, model: "mlp" });
  const notes: string[] = [];
  const options = { threads: 1, onNote: (note: string) => notes.push(note) };
  const own = await evaluateModel(model, digits.test, options);
  close(own.loss, summary!.testLoss);
  assert.deepEqual(notes, [], "nothing is done to stored pixels");
  const other = await evaluateModel(model, brighter(), options);
  close(other.loss, summary!.testLoss);
  assert.equal(other.metrics.accuracy, summary!.metrics.accuracy);
  assert.deepEqual(notes, ["images 1×8×8, as pixels from 0 to 16 (the file's metadata)"]);
});

test("a file of somebody else's stays as it came; its metadata record how pixels were scaled", async () => {
  const file = foreignFile();
  const model = { file, normalization: "symmetric" } as const;
  const out = join(root, "tuned");
  const { summary, model: written } = await train({ ...quick, model, out });
  const proto = readModel(written, "tuned.onnx");
  const before = readModel(readFileSync(file), "foreign.onnx");
  assert.deepEqual(
    proto.graph!.node.map(({ opType }) => opType),
    before.graph!.node.map(({ opType }) => opType),
  );
  const input = proto.metadataProps.find(({ key }) => key === "lowland.input")!;
  assert.deepEqual(JSON.parse(input.value), {
    layout: "NCHW",
    channels: "gray",
    range: [0, 1],
    normalization: { mean: [0.5], deviation: [0.5] },
  });
  // Away from the run, the file says it itself.
  close((await evaluateModel(written, digits.test, { threads: 1 })).loss, summary!.testLoss);
  close((await evaluateModel(written, brighter(), { threads: 1 })).loss, summary!.testLoss);
  // What is asked for expressly comes before it.
  const unit = await evaluateModel(written, digits.test, { threads: 1, normalization: "unit" });
  assert.ok(Math.abs(unit.loss - summary!.testLoss) > 1e-2);
});

test("fine-tuning a run's model goes on with pixels as they are stored", async () => {
  const first = await train({ ...quick, model: "mlp" });
  const file = join(root, "first.onnx");
  writeFileSync(file, first.model);
  const notes: string[] = [];
  const { model } = await train({
    ...quick,
    model: { file },
    learningRate: 1e-12,
    epochs: 1,
    onNote: (note) => notes.push(note),
  });
  close((await evaluateModel(model, digits.test, { threads: 1 })).loss, first.summary!.testLoss);
  assert.equal(notes[0], "images 1×8×8, as pixels from 0 to 16 (the file's metadata)");
  assert.match(notes[1], /; frozen: normalization of the input 2$/);
});

test("a run folder of before, whose model takes normalized images, is evaluated and measured as before", async () => {
  const out = join(root, "before");
  const file = foreignFile();
  const { summary } = await train({ ...quick, model: { file }, out });
  // As version 1 wrote it: the network by its name, no format, no metadata.
  const { format: _, task: __, ...record } = readJsonFile(out, "run.json");
  const { task: ___, sampler: ____, ...configuration } = record.configuration;
  writeFileSync(
    join(out, "run.json"),
    JSON.stringify({ ...record, configuration: { ...configuration, model: "mlp" } }),
  );
  const proto = readModel(readFileSync(join(out, "model.onnx")), "model.onnx");
  proto.metadataProps = [];
  writeFileSync(join(out, "model.onnx"), writeModel(proto));

  const found = await findModel(out);
  close((await evaluateModel(found.path, digits.test, { threads: 1 })).loss, summary!.testLoss);
  const { surface } = await openModel(found, digits, { subset: 60 });
  assert.deepEqual([surface.description?.data, surface.batches.length], ["digits", 1]);
});

test("a run builds an imported file once for each batch size and mode", async () => {
  const built: string[] = [];
  const original = TrainableModel.prototype.build;
  const counted: typeof original = function (this: TrainableModel, options) {
    built.push(JSON.stringify(options));
    return original.call(this, options);
  };
  const spy = mock.method(TrainableModel.prototype, "build", counted);
  try {
    await train({
      ...quick,
      labelNoise: 0.4,
      model: { file: foreignFile() },
      averaging: { name: "stochastic" },
    });
  } finally {
    spy.mock.restore();
  }
  assert.ok(built.length >= 3, built.join());
  assert.deepEqual(built, [...new Set(built)]);
});
