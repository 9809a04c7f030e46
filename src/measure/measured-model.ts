import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../common/errors.ts";
import type { DataSource } from "../data/source.ts";
import type { MeasuredModel } from "../flatness/results.ts";
import type { LossSurface } from "../flatness/surface.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { buildModel, initialTensors } from "../nn/module.ts";
import type { TensorData, Tensors } from "../onnx/tensor.ts";
import type { OptimizerConfig } from "../optim/optimizer.ts";
import { parseRun } from "../runs/configuration.ts";
import type { FileSettings } from "../runs/model-file.ts";
import { openTask } from "../runs/open-task.ts";
import { optimizerLabel } from "../runs/optimizer-label.ts";
import type { TrainedModel } from "../runs/trained-model.ts";
import { openTrainedModel } from "../runs/trained-network.ts";
import { firstTask, taskNamed, taskRecord } from "../tasks/index.ts";
import type { DataPair, OpenedTask, Task, TaskKind } from "../tasks/task.ts";
import { type TaskSurfaceOptions, taskSurface } from "../tasks/task-surface.ts";

export interface MeasuredOptions extends Pick<TaskSurfaceOptions, "batchSize" | "batchNorm"> {
  /** Of a run: the samples it trained on, with the labels it trained on. Default `"test"`. */
  set?: "test" | "train";
  /** How many samples, from the front; at most this many unless it was asked for expressly. */
  subset: number | { atMost: number };
  /** How the file is taken, over what a run's configuration says. */
  file?: FileSettings;
  /** Settings of the task in place of the run's, such as `{ labelSmoothing: 0 }`. */
  settings?: Readonly<Record<string, unknown>>;
  /** The task's code, where it is none of Lowland's. */
  task?: TaskKind;
}

/** A model to measure the flatness of, on a stated subset of data. */
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
 * Opens a run's model or an ONNX file as a loss surface. The loss is the one that a run was trained with unless the
 * task's settings say otherwise; of a file it is the plain one, without what is for training only.
 *
 * @throws UserError for a file that cannot be read as a network for the task, and for a subset that is empty or larger
 *   than the data
 */
export async function openModel(
  found: TrainedModel,
  data: DataPair,
  { set = "test", subset, file = {}, settings = {}, task: kind, ...options }: MeasuredOptions,
): Promise<ModelToMeasure> {
  const { path, run } = found;
  const { opened, kind: own } = await openTaskOf(found, data, { settings, kind });
  const purpose = run || Object.keys(settings).length > 0 ? "training" : "test";
  const source = set === "test" ? opened.evaluations[0].source : opened.train;
  const examples = typeof subset === "number" ? subset : Math.min(subset.atMost, source.count);
  const { network } = await openTrainedModel(found, file, { task: opened.task, train: data.train });
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
    { ...options, examples, purpose },
  );
  const stated = { ...description, ...(purpose === "training" && opened.task.lossSettings), set };
  const optimizer = run && (run.configuration.optimizer as OptimizerConfig);
  const label = optimizer && optimizerLabel(optimizer);
  return {
    statistics: (batchSize) => ({ ...build(batchSize), input: "input" }),
    surface: { ...surface, description: stated },
    identity: {
      name: label ? `${found.name}: ${label}` : found.name,
      task: taskRecord(own),
      ...(optimizer && { run: found.name, optimizer }),
      model: path,
      description: {
        ...stated,
        examples: surface.batches.reduce((sum, { size }) => sum + size, 0),
      },
      fingerprints: {
        model: await modelFingerprint(path, surface.tensors),
        data: await samplesFingerprint(source, opened.task, examples, file),
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

/**
 * The task of a run on its data, as far as it decides samples and loss; of a file the first task, without what is for
 * training only. The run may hold settings that only code can make.
 * @param settings of the task, in place of the run's
 * @param kind the task's code, where it is none of Lowland's
 * @throws UserError for a run of a task whose code is not given
 */
export async function openTaskOf(
  { run }: TrainedModel,
  data: DataPair,
  { settings = {}, kind }: { settings?: Readonly<Record<string, unknown>>; kind?: TaskKind } = {},
): Promise<{ opened: OpenedTask; kind: TaskKind }> {
  const own = kind ?? taskNamed(run?.task.name ?? firstTask);
  const configuration = { ...run?.configuration, task: own.name };
  const names = ["task", "seed", "limit", ...Object.keys(own.settings)];
  const kept = Object.entries({ ...configuration, ...settings }).filter(([name]) => names.includes(name));
  return { opened: await openTask(parseRun(Object.fromEntries(kept), kind), data, own), kind: own };
}

/** Of the samples that are measured, and of what is made of them. */
async function samplesFingerprint(
  source: DataSource,
  { input, metadata }: Task,
  examples: number,
  file: FileSettings,
): Promise<string> {
  const form = { examples, input, metadata, ...file };
  const hash = createHash("sha256").update(JSON.stringify(form));
  for (let index = 0; index < examples; index++)
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
