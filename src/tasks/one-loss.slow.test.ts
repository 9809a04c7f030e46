import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { UserError } from "../common/errors.ts";
import { loadDataset } from "../data/catalogue.ts";
import { type DatasetPair, type ImageClasses, selected } from "../data/source.ts";
import { openSurface } from "../flatness/surface.ts";
import { readModelFile } from "../import/load.ts";
import { buildModel, initialTensors } from "../nn/module.ts";
import { writeModel } from "../onnx/model.ts";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";
import { temporaryFolder } from "../testing/cli.ts";
import { exportedModel, exportedModels } from "../testing/exported-models.ts";
import { accuracy, classificationTask } from "./classification/classification.ts";
import { parseRun } from "./configuration.ts";
import { evaluateModel } from "./evaluate.ts";
import { openModel } from "./measured-model.ts";
import { networkOf, openClassifierFile } from "./network.ts";
import { TaskEvaluation } from "./task-evaluation.ts";
import type { Network } from "./task-network.ts";

// One file, one loss: in training, as ONNX Runtime runs the file, and on the surface that flatness is measured of. Over
// every classifier of images among the fixtures.

const fixtures = fileURLToPath(new URL("../../fixtures/", import.meta.url));
const folder = temporaryFolder();
let digits: DatasetPair;
before(async () => {
  digits = await loadDataset("digits");
});

interface Measured {
  loss: number;
  accuracy: number;
}

async function withEngine<T>(body: (engine: OnnxRuntimeEngine) => Promise<T>): Promise<T> {
  const engine = new OnnxRuntimeEngine({ threads: 1 });
  try {
    return await body(engine);
  } finally {
    await engine.close();
  }
}

/** The network that a run trains. A file of other classes than the data would get another head. */
async function trainedNetwork(file: string, dataset: ImageClasses): Promise<Network> {
  const opened = { task: classificationTask(dataset), train: dataset };
  const classifier = await networkOf({ model: parseRun({ model: { file } }).model, seed: 1 }, opened);
  if (!classifier.notes?.some((note) => note.includes("starts anew"))) return classifier;
  return openClassifierFile(await readModelFile(file), {}, dataset).network;
}

/** The test loss of a run before its first step. */
async function inTraining(file: string, dataset: ImageClasses): Promise<Measured> {
  const classifier = await trainedNetwork(file, dataset);
  const { inputShape, ownBatch: batchSize = 1 } = classifier;
  const tensors = initialTensors(buildModel(classifier.layer, { inputShape, batchSize, training: true }), 1);
  return withEngine(async (engine) => {
    const evaluation = await TaskEvaluation.prepare(engine, classifier, {
      task: classificationTask(dataset),
      evaluation: { source: dataset, metric: accuracy },
      program: "test",
    });
    await engine.write(tensors);
    const { loss, metrics } = await evaluation.measure();
    return { loss, accuracy: metrics.accuracy };
  });
}

async function onTheSurface(file: string, data: DatasetPair): Promise<Measured> {
  const { surface } = await openModel({ name: file, path: file }, data, { subset: data.test.count });
  return withEngine(async (engine) => {
    const { loss, metrics } = await (await openSurface([engine], surface)).evaluate();
    return { loss, accuracy: metrics.accuracy };
  });
}

/** Checks that the three agree; a file without a loss in training has none on the surface either. */
async function assertOneLoss(file: string, data: DatasetPair, tolerance = 1e-4): Promise<"same" | "refused"> {
  const training = await inTraining(file, data.test).catch((error) => {
    assert.ok(error instanceof UserError, String(error.stack));
    return undefined;
  });
  if (!training) {
    await assert.rejects(onTheSurface(file, data), { name: "UserError" });
    return "refused";
  }
  const near = (what: string, { loss, accuracy }: Measured) => {
    assert.ok(
      Math.abs(loss - training.loss) <= tolerance * training.loss,
      `${what} ${loss}, training ${training.loss}`,
    );
    assert.ok(Math.abs(accuracy - training.accuracy) < 2 / data.test.count, `accuracy: ${what} ${accuracy}`);
  };
  const { loss, metrics } = await evaluateModel(file, data.test, { threads: 1 });
  near("file", { loss, accuracy: metrics.accuracy });
  const surface = await onTheSurface(file, data).catch((error) => {
    assert.match(error.message, /has no parameters that train: there is nothing to be flat in$/);
    return undefined;
  });
  if (surface) near("surface", surface);
  return "same";
}

/** Files whose loss depends on more than the image, or that ONNX Runtime does not run. */
const unlike: Record<string, string> = {
  "field/batchnorm-in-training-mode/bn_training.onnx": "the file normalizes by the batch in inference",
  "field/batchnorm-in-training-mode/bn_training9.onnx": "the file normalizes by the batch in inference",
  "field/open-sizes/dim_zero.onnx": "ONNX Runtime refuses a batch of 0",
};

const files = ["field", "import"].flatMap((place) =>
  readdirSync(join(fixtures, place), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".onnx"))
    .map((name) => join(place, name)),
);

for (const name of files.sort()) {
  test(name, { skip: unlike[name] }, async () => {
    // Numbers of 16 bits are rounded where ONNX Runtime computes with them.
    await assertOneLoss(join(fixtures, name), digits, name.includes("half") ? 1e-3 : 1e-4);
  });
}

test("most of the fixtures have a loss", async () => {
  const field = files.filter((name) => name.startsWith("field") && !unlike[name]);
  assert.ok(field.length > 30, `${field.length} fixtures`);
  const readable = field.filter((name) =>
    /evaluate-|fixed-batch|four-axes|softmax-then|shared-ones/.test(name),
  );
  for (const name of readable)
    assert.equal(await assertOneLoss(join(fixtures, name), digits, 1e-3), "same", name);
});

const published = exportedModels.filter((name) =>
  /^(squeezenet|resnet18|mobilenet_v2|shufflenet)/.test(name),
);

for (const name of published) {
  test(`${name}, as PyTorch exports it`, async () => {
    const few = (dataset: ImageClasses) => selected(dataset, [0, 1, 2, 3, 4, 5]);
    const file = join(folder, name.replace(/\.gz$/, ""));
    if (!existsSync(file)) await writeFile(file, writeModel(exportedModel(name)));
    const data = { train: few(digits.train), test: few(digits.test) };
    assert.equal(await assertOneLoss(file, data), "same");
  });
}
