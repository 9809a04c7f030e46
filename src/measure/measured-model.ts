import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../common/errors.ts";
import type { DataSource, DatasetPair } from "../data/source.ts";
import type { MeasuredModel } from "../flatness/results.ts";
import type { LossSurface } from "../flatness/surface.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { buildModel, initialTensors } from "../nn/module.ts";
import type { TensorData, Tensors } from "../onnx/tensor.ts";
import type { OptimizerConfig } from "../optim/optimizer.ts";
import { parseRun, type RunConfiguration } from "../runs/configuration.ts";
import { type FileSettings, openClassifier } from "../runs/network.ts";
import { openTask } from "../runs/open-task.ts";
import { optimizerLabel } from "../runs/optimizers.ts";
import type { TrainedModel } from "../runs/trained-model.ts";
import type { ClassificationSurfaceOptions } from "../tasks/classification-surface.ts";
import { taskSettings } from "../tasks/index.ts";
import type { Task } from "../tasks/task.ts";
import { taskSurface } from "../tasks/task-surface.ts";

export interface MeasuredOptions extends Omit<ClassificationSurfaceOptions, "images"> {
  /** Of a run: the images it trained on, with the labels it trained on. Default `"test"`. */
  set?: "test" | "train";
  /** How many images, from the front; at most this many unless it was asked for expressly. */
  subset: number | { atMost: number };
  /** How the file is taken, over what a run's configuration says. */
  file?: FileSettings;
}

/** A classifier to measure the flatness of, on a stated subset of data. */
export interface ModelToMeasure {
  surface: LossSurface;
  /** The network with BatchNorm's statistics of one batch as its next running ones, by name. */
  statistics: (batchSize: number) => {
    graph: Graph;
    input: string;
    bufferUpdates: ReadonlyMap<string, Value>;
  };
  /** What results say of themselves. */
  identity: Pick<
    MeasuredModel,
    "name" | "run" | "task" | "optimizer" | "model" | "description" | "fingerprints"
  >;
  /** Where results go, unless another folder is named. */
  folder: string;
  /** The run folder, of a run. */
  run?: string;
}

/**
 * Opens a run's model or an ONNX file as a loss surface. The loss is the cross entropy that a run was trained with
 * (its label smoothing) unless another is asked for; of a file it is the plain one.
 *
 * Throws `UserError` for a file that cannot be read as a classifier of these images, and for a subset that is empty or
 * larger than the data.
 */
export async function openModel(
  found: TrainedModel,
  data: DatasetPair,
  { set = "test", subset, file = {}, ...options }: MeasuredOptions,
): Promise<ModelToMeasure> {
  const { path, run } = found;
  // Of a file the loss is the plain one.
  const trained = run ? trainedAs(run.configuration) : parseRun({ labelSmoothing: 0 });
  const loss = {
    labelSmoothing: options.labelSmoothing ?? trained.labelSmoothing,
    labelSmoothingKind: options.labelSmoothingKind ?? trained.labelSmoothingKind,
  };
  const opened = openTask({ ...trained, ...loss }, data);
  const source = set === "test" ? opened.evaluations[0].source : opened.train;
  const images = typeof subset === "number" ? subset : Math.min(subset.atMost, source.count);
  const { labelSmoothing: _, labelSmoothingKind: __, ...settings } = { ...options, images };
  const { network } = await openClassifier(found, file, data.train);
  const build = (batchSize: number) =>
    buildModel(network.layer, {
      inputShape: network.inputShape,
      batchSize,
      training: true,
      batchNormMomentum: 1,
    });
  // Statistics of one example may have no variance.
  const one = build(network.ownBatch ?? 2);
  if (one.parameters.length === 0) {
    throw new UserError(`${path} has no parameters that train: there is nothing to be flat in`);
  }
  const { description, ...surface } = taskSurface(
    network,
    initialTensors(one, 0),
    { task: opened.task, source },
    settings,
  );
  const stated = { ...description, ...loss, set };
  const optimizer = run && (run.configuration.optimizer as OptimizerConfig);
  const label = optimizer && optimizerLabel(optimizer);
  return {
    statistics: (batchSize) => ({ ...build(batchSize), input: "input" }),
    surface: { ...surface, description: stated },
    identity: {
      name: label ? `${found.name}: ${label}` : found.name,
      task: trained.task,
      ...(optimizer && { run: found.name, optimizer }),
      model: path,
      description: {
        ...stated,
        examples: surface.batches.reduce((sum, { size }) => sum + size, 0),
      },
      fingerprints: {
        model: await modelFingerprint(path, surface.tensors),
        data: await samplesFingerprint(source, opened.task, images, file),
      },
    },
    run: run?.folder,
    folder: run ? run.folder : `${path.replace(/\.onnx$/, "")}.flatness`,
  };
}

/** SHA-256 of a model's file and of its weights, which may be in files beside it. */
export async function modelFingerprint(path: string, tensors: Tensors): Promise<string> {
  return fingerprint(await readFile(path), ...arraysOf(tensors));
}

/** Where a command keeps the parts of its results. */
export function cacheFolder(folder: string): string {
  return join(folder, "measurements");
}

/** What of a run's configuration decides its training samples and its loss. The run may hold settings that only code can make. */
function trainedAs(configuration: Record<string, unknown>): RunConfiguration {
  const names = ["task", "seed", "limit", ...Object.keys(taskSettings)];
  return parseRun(
    Object.fromEntries(
      names.filter((name) => name in configuration).map((name) => [name, configuration[name]]),
    ),
  );
}

/** Of the samples that are measured, and of what is made of them. */
async function samplesFingerprint(
  source: DataSource,
  { input, inputDescription, metadata }: Task,
  images: number,
  file: FileSettings,
): Promise<string> {
  const form = { images, input, inputDescription, metadata, ...file };
  const hash = createHash("sha256").update(JSON.stringify(form));
  for (let index = 0; index < images; index++)
    for (const bytes of arraysOf(await source.read(index))) hash.update(bytes);
  return hash.digest("hex");
}

function arraysOf(tensors: Readonly<Record<string, TensorData>>): Uint8Array[] {
  return Object.values(tensors).map(({ data }) => {
    const { buffer, byteOffset, byteLength } = data as Float32Array;
    return new Uint8Array(buffer, byteOffset, byteLength);
  });
}

function fingerprint(...parts: readonly Uint8Array[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
}
