import assert from "node:assert/strict";
import { UserError } from "../common/errors.ts";
import { type DatasetPair, type ImageClasses, selected } from "../data/source.ts";
import { openSurface } from "../flatness/surface.ts";
import { readModelFile } from "../import/load.ts";
import { openModel } from "../measure/measured-model.ts";
import { evaluateModel } from "../model-files/evaluate.ts";
import { buildModel, initialTensors } from "../nn/module.ts";
import { parseRun } from "../runs/configuration.ts";
import { openModelFile } from "../runs/model-file.ts";
import { networkOf } from "../runs/network.ts";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";
import { classEvaluation } from "../tasks/classification/class-evaluation.ts";
import { classificationTask } from "../tasks/classification/class-task.ts";
import { TaskEvaluation } from "../tasks/task-evaluation.ts";
import type { Network } from "../tasks/task-network.ts";

// One file, one loss: in training, as ONNX Runtime runs the file, and on the surface that flatness is measured of.

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
  if (!classifier.notes?.some((note) => note.includes("is re-initialized"))) return classifier;
  return openModelFile(await readModelFile(file), {}, opened).network;
}

/** The test loss of a run before its first step. */
async function inTraining(file: string, dataset: ImageClasses): Promise<Measured> {
  const classifier = await trainedNetwork(file, dataset);
  const { inputShape, ownBatch: batchSize = 2 } = classifier;
  const tensors = initialTensors(buildModel(classifier.layer, { inputShape, batchSize, training: true }), 1);
  return withEngine(async (engine) => {
    const evaluation = await TaskEvaluation.prepare(engine, classifier, {
      task: classificationTask(dataset),
      evaluation: classEvaluation(dataset),
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
export async function assertOneLoss(
  file: string,
  data: DatasetPair,
  tolerance = 1e-4,
): Promise<"same" | { refused: string }> {
  const training = await inTraining(file, data.test).catch((error) => {
    assert.ok(error instanceof UserError, String(error.stack));
    return { refused: error.message as string };
  });
  if ("refused" in training) {
    await assert.rejects(onTheSurface(file, data), { name: "UserError" });
    return training;
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

/** The first images of both parts. */
export function firstImages({ train, test }: DatasetPair, count: number): DatasetPair {
  const few = (dataset: ImageClasses) =>
    selected(
      dataset,
      Array.from({ length: count }, (_, index) => index),
    );
  return { train: few(train), test: few(test) };
}
