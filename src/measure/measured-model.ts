import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../common/errors.ts";
import type { DataSource } from "../data/source.ts";
import type { MeasuredModel } from "../flatness/results.ts";
import type { LossSurface } from "../flatness/surface.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { buildModel, initialTensors, type Model } from "../nn/module.ts";
import type { TensorData, Tensors } from "../onnx/tensor.ts";
import type { OptimizerConfig } from "../optim/optimizer.ts";
import type { PerturbedForm } from "../quantization/choices.ts";
import { parseRun } from "../runs/configuration.ts";
import type { FileSettings } from "../runs/model-file.ts";
import { openTask } from "../runs/open-task.ts";
import { optimizerLabel } from "../runs/optimizer-label.ts";
import type { TrainedModel } from "../runs/trained-model.ts";
import { openTrainedModel } from "../runs/trained-network.ts";
import { firstTask, taskNamed, taskRecord } from "../tasks/index.ts";
import type { DataPair, OpenedTask, Task, TaskKind } from "../tasks/task.ts";
import type { Network } from "../tasks/task-network.ts";
import { type TaskSurfaceOptions, taskSurface } from "../tasks/task-surface.ts";
import { quantizedForms } from "./quantized-model.ts";

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
  /** Of a quantized model: which weights are moved. Default: those that its integers stand for. */
  perturb?: PerturbedForm;
}

/** A model to measure the flatness of, on a stated subset of data. */
export interface ModelToMeasure {
  surface: LossSurface;
  /** Of a quantized model, whose loss has no second derivative: the float one that has. Parameters: the dequantized weights. */
  smooth?: LossSurface;
  /** Of a quantized model: which weights are moved. */
  perturbed?: PerturbedForm;
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
  { set = "test", subset, file = {}, settings = {}, task: kind, perturb, ...options }: MeasuredOptions,
): Promise<ModelToMeasure> {
  const { path, run } = found;
  const { opened, kind: ownKind } = await openTaskOf(found, data, { settings, kind });
  const purpose = run || Object.keys(settings).length > 0 ? "training" : "test";
  const source = set === "test" ? opened.evaluations[0].source : opened.train;
  const examples = typeof subset === "number" ? subset : Math.min(subset.atMost, source.count);
  const taken = { task: opened.task, train: data.train };
  const forms = await quantizedForms(found, { perturb, settings: file }, opened);
  const network = forms?.network ?? (await openTrainedModel(found, file, taken)).network;
  const build = (batchSize: number) => builtToTrain(network, batchSize);
  // Statistics of one example may have no variance.
  const one = build(network.ownBatch ?? 2);
  if (one.parameters.length === 0) {
    throw new UserError(`${path} has no parameters that train: there is nothing to be flat in`);
  }
  const names = [...one.parameters, ...one.buffers].map(({ name }) => name);
  const own = Object.fromEntries(
    names.flatMap((name) => (forms?.tensors?.[name] ? [[name, forms.tensors[name]]] : [])),
  );
  const measured = { ...options, examples, purpose } as const;
  const surfaceOf = (of: Network, tensors: Tensors) =>
    taskSurface(of, tensors, { task: opened.task, source }, measured);
  const { description, ...surface } = surfaceOf(network, { ...initialTensors(one, 0), ...own });
  const smooth =
    forms && surfaceOf(forms.smooth, initialTensors(builtToTrain(forms.smooth, network.ownBatch ?? 2), 0));
  const stated = {
    ...description,
    ...(purpose === "training" && opened.task.lossSettings),
    ...(forms && { perturbed: forms.perturbed }),
    set,
  };
  const optimizer = run && (run.configuration.optimizer as OptimizerConfig);
  const label = optimizer && optimizerLabel(optimizer);
  return {
    statistics: (batchSize) => ({ ...build(batchSize), input: "input" }),
    surface: { ...surface, description: stated },
    ...(forms && { smooth, perturbed: forms.perturbed }),
    identity: {
      name: label ? `${found.name}: ${label}` : found.name,
      task: taskRecord(ownKind),
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

function builtToTrain({ layer, inputShape }: Network, batchSize: number): Model {
  return buildModel(layer, { inputShape, batchSize, training: true, batchNormMomentum: 1 });
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
