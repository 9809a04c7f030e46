import { basename } from "node:path";
import { UserError } from "../common/errors.ts";
import type { Value } from "../graph/graph.ts";
import { findHead, type Head, replaceHead } from "../import/head.ts";
import { readModelFile } from "../import/load.ts";
import { createModel, type ModelOutput, modelNamesWith, modelOutput } from "../nn/models.ts";
import { buildModel, type Layer } from "../nn/module.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import type { Tensors } from "../onnx/tensor.ts";
import { imageInput, type Normalization, type StoredImages } from "../tasks/image-input.ts";
import { statedFrozen } from "../tasks/model-metadata.ts";
import type { OpenedTask, Task } from "../tasks/task.ts";
import { type Network, preparedNetwork } from "../tasks/task-network.ts";
import type { ImportedModelSettings, RunConfiguration } from "./configuration.ts";
import { type FileSettings, type ModelFile, openModelFile, type TaskData } from "./model-file.ts";
import { importedModelOf, type TrainedModel } from "./trained-model.ts";

/**
 * The network that a configuration names, for a task: built by name, or read from an ONNX file.
 * @param given the weights that a network by name starts from
 * @throws UserError for a file that cannot be read as a network for the task, and for a name whose network gives another
 *   kind of output
 */
export async function networkOf(
  configuration: Pick<RunConfiguration, "model" | "seed"> & Partial<RunConfiguration>,
  opened: Pick<OpenedTask, "task" | "train">,
  given?: Tensors,
): Promise<Network> {
  const { model, seed, parameters, weights } = configuration;
  if (typeof model !== "string") {
    const { batchNormalization = model.batchNormalization, newHead = false } = parameters ?? {};
    return importedNetwork({ ...model, batchNormalization }, opened, { seed, newHead });
  }
  const { task } = opened;
  if (task.input.length !== 3)
    throw new UserError(
      `${model} is a network for images, and an example of ${opened.train.name} is [${task.input.join(", ")}]; give a layer of your own (model), or an ONNX file`,
    );
  requireKind(model, task.output.shape.length > 1 ? "maps" : "classes");
  const [own, height, width] = task.input;
  const create = (channels: number) =>
    createModel(model, { channels, height, width, classes: task.output.shape[0] });
  if (!given || !task.images) return preparedNetwork(create(own), task);
  return networkForWeights(create, task, {
    images: task.images,
    given,
    normalization: weights?.normalization,
  });
}

/**
 * A network by name on images as its weights want them: gray ones repeated where they are for colors, and scaled as
 * those that they were trained with.
 */
function networkForWeights(
  create: (channels: number) => Layer,
  { input, prepare }: Task,
  { images, given, normalization }: { images: StoredImages; given: Tensors; normalization?: Normalization },
): Network {
  const [own, ...size] = input;
  const fits = (channels: number) => {
    const inputShape = [channels, ...size];
    const { parameters } = buildModel(create(channels), { inputShape, batchSize: 2, training: false });
    return parameters[0]?.shape.join() === given[parameters[0]?.name]?.shape.join();
  };
  const channels = own === 1 && !fits(1) && fits(3) ? 3 : own;
  const taken = imageInput(images, normalization ?? "dataset");
  const layer = create(channels);
  const isPrepared = channels === own && normalization === undefined;
  return {
    inputShape: input,
    layer: (x, scope) =>
      layer(isPrepared ? prepare(x) : taken.adapt(x, [x.shape[0], channels, ...size]), scope),
    notes: [taken.describe([1, channels, ...size])],
  };
}

/** Throws `UserError` for a network by name that gives something else than a task takes. */
function requireKind(name: string, wanted: ModelOutput): void {
  const given = modelOutput(name);
  if (given === wanted) return;
  const described = { classes: "a number for each class", maps: "a map for each joint or class" };
  throw new UserError(
    `${name} gives ${described[given]}, the task takes ${described[wanted]}; choose one of ${modelNamesWith(wanted).join(", ")}`,
  );
}

/** What people call it. */
export function networkName(model: RunConfiguration["model"]): string {
  return typeof model === "string" ? model : basename(model.file);
}

/**
 * Opens a run's model or an ONNX file, to look at it with its weights as they are: the task's input becomes what it
 * takes as it did in the run, and what was frozen is no parameter.
 * @throws UserError for a file that cannot be read as a network for the task, and for a name whose network gives another
 *   kind of output
 */
export async function openTrainedModel(
  found: TrainedModel,
  settings: FileSettings,
  opened: TaskData,
): Promise<ModelFile> {
  const proto = await readModelFile(found.path);
  const own = importedModelOf(found);
  const frozen = [own?.frozen ?? [], statedFrozen(proto)].flat();
  const fileWith = (batchNormalization: "batch" | "frozen") =>
    openModelFile(proto, { ...own, frozen, ...settings, batchNormalization, dropout: false }, opened);
  const file = fileWith("batch");
  // One example has no statistics of its own.
  return file.network.ownBatch === 1 ? fileWith("frozen") : file;
}

/** A file to train, with another head where the settings or the data want one. */
async function importedNetwork(
  settings: ImportedModelSettings,
  data: TaskData,
  how: { seed: number; newHead: boolean },
): Promise<Network> {
  const { file, classes: _, head: __, ...loading } = settings;
  const proto = await readModelFile(file);
  const head = renewHead(proto, settings, data, how);
  const notes = head ? [headNote(head, data.task)] : [];
  let opened = openModelFile(proto, loading, data);
  const { ownBatch: only } = opened.network;
  if (only !== undefined) {
    const examples = only === 1 ? "one example" : `${only} examples`;
    notes.push(`the file takes ${examples} at a time: a batch is computed in micro-batches of ${examples}`);
  }
  const { parameters } = opened.model;
  const hasStatistics = parameters.some(({ role }) => role === "running-statistic");
  if (only === 1 && hasStatistics && loading.batchNormalization === "batch") {
    notes.push("BatchNorm keeps its running statistics: one example has none of its own");
    loading.batchNormalization = "frozen";
    opened = openModelFile(proto, loading, data);
  }
  const networkFrom = ({ network, trains }: ModelFile, frozen: readonly string[]): Network => ({
    ...network,
    frozen,
    layer: (x, scope) => naming(head, data.task, () => network.layer(x, scope)),
    get notes() {
      return [...notes, ...(network.notes ?? []), ...trains];
    },
    freezing: (names) => {
      const stored = parameters.flatMap(({ name, storedName }) => (names.has(name) ? [storedName] : []));
      const still = { frozen: [loading.frozen ?? [], stored].flat(), frozenDropout: names };
      return networkFrom(openModelFile(proto, { ...loading, ...still }, data), stored);
    },
  });
  return networkFrom(opened, []);
}

function headNote({ label, inputs, classes, now }: Head & { now: number }, task: Task): string {
  const sizes =
    classes === now
      ? `${now} ${outputsOf(task)} as before`
      : `${now} ${outputsOf(task)} in place of ${classes}`;
  return `the head, ${label}, is re-initialized: ${inputs} features → ${sizes}`;
}

/** What cannot be built behind a head with other outputs may be made for those it had. */
function naming(head: (Head & { now: number }) | undefined, task: Task, build: () => Value): Value {
  try {
    return build();
  } catch (error) {
    if (!head || head.now === head.classes || !(error instanceof UserError)) throw error;
    throw new UserError(
      `${error.message}; ${head.label} was re-initialized for ${head.now} ${outputsOf(task)} in place of ${head.classes}: if this node is made for those, export the model for ${head.now}`,
    );
  }
}

/** What a head has several of. */
function outputsOf({ output: { holds } }: Task): string {
  return holds === "logits" ? "classes" : "outputs";
}

/** Re-initializes the head where the settings ask for it or the task wants another number of outputs. */
function renewHead(
  proto: ModelProto,
  { classes, head: name, output }: ImportedModelSettings,
  { task, train }: TaskData,
  { seed, newHead }: { seed: number; newHead: boolean },
): (Head & { now: number }) | undefined {
  const { shape, holds } = task.output;
  if (shape.length !== 1) {
    if (classes === undefined && name === undefined && !newHead) return undefined;
    throw new UserError(
      `the network has to give [batch, ${shape.join(", ")}] for ${train.name}, which no linear layer does; leave the head's settings out (classes, head, newHead)`,
    );
  }
  const [wanted] = shape;
  if (classes !== undefined && (classes < wanted || (holds === "values" && classes > wanted))) {
    throw new UserError(
      `classes is ${classes}; ${train.name} has ${wanted}, so it has to be ${holds === "values" ? "that" : "at least that"}`,
    );
  }
  if (classes === undefined && name === undefined && !newHead) {
    // Where no linear layer ends the model it stays as it is, and what it gives is judged when it is built.
    try {
      if (findHead(proto, { output }).classes === wanted) return undefined;
    } catch (error) {
      if (error instanceof UserError) return undefined;
      throw error;
    }
  }
  const now = classes ?? wanted;
  return { ...replaceHead(proto, now, { output, name, seed }), now };
}
