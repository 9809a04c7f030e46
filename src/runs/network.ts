import { basename } from "node:path";
import { UserError } from "../common/errors.ts";
import { type ImageClasses, isImageClasses } from "../data/source.ts";
import type { Shape, Value } from "../graph/graph.ts";
import { findHead, type Head, replaceHead } from "../import/head.ts";
import { modelLayer, ownBatch } from "../import/layer.ts";
import { readModelFile, TrainableModel } from "../import/load.ts";
import { createModel } from "../nn/models.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import { imageInput } from "../tasks/image-input.ts";
import { statedInput, writtenMetadata } from "../tasks/model-metadata.ts";
import type { InputDescription, OpenedTask } from "../tasks/task.ts";
import { type Network, preparedNetwork } from "../tasks/task-network.ts";
import type { ImportedModelSettings, RunConfiguration } from "./configuration.ts";
import { importedModelOf, type TrainedModel } from "./trained-model.ts";

/**
 * The network that a configuration names, for a task: built by name, or read from an ONNX file.
 * @throws UserError for a file where the task is not one of images with classes, and for one that cannot be read
 */
export async function networkOf(
  { model, seed }: Pick<RunConfiguration, "model" | "seed">,
  { task, train }: Pick<OpenedTask, "task" | "train">,
): Promise<Network> {
  if (typeof model === "string") {
    const [channels, height, width] = task.input;
    return preparedNetwork(createModel(model, { channels, height, width, classes: task.output[0] }), task);
  }
  if (!isImageClasses(train)) {
    throw new UserError(
      `${model.file} is a classifier's file, but ${train.name} has no classes; name a network`,
    );
  }
  return importedNetwork(model, train, seed);
}

/** What people call it. */
export function networkName(model: RunConfiguration["model"]): string {
  return typeof model === "string" ? model : basename(model.file);
}

/** How a model that comes as a file is taken; a run's settings hold more. */
export type FileSettings = Partial<Omit<ImportedModelSettings, "file" | "classes" | "head">>;

/** A classifier's file, opened for the images of a data set. */
export interface ClassifierFile {
  model: TrainableModel;
  network: Network;
  /** How much of it trains, and what of the file makes the result other than it looks, once it was built to train. */
  trains: readonly string[];
}

/**
 * Opens a classifier's file for the images of a data set: what its images become, which output holds its logits, for
 * which batch it is. Training, evaluation and measurements all take a file this way.
 * @throws UserError for a file that cannot be read as a classifier of these images
 */
export function openClassifierFile(
  proto: ModelProto,
  { normalization, output, ...loading }: FileSettings,
  dataset: ImageClasses,
): ClassifierFile {
  const { channels, height, width } = dataset;
  const model = new TrainableModel(proto, { ...loading, openSizes: imageSizes(proto, dataset) });
  const images = imageInput(dataset, normalization ?? statedInput(proto) ?? "dataset");
  const notes: string[] = [];
  const trains: string[] = [];
  let taken: InputDescription | undefined;
  const inner = modelLayer(model, {
    output,
    onBuild: (network, training) => {
      if (training) for (const note of model.notes(network)) if (!trains.includes(note)) trains.push(note);
    },
    adapt: (x, shape) => {
      const note = images.describe(shape);
      if (!notes.includes(note)) notes.push(note);
      taken = images.description(shape);
      return images.adapt(x, shape);
    },
  });
  const network: Network = {
    inputShape: [channels, height, width],
    layer: (x, scope) => {
      const logits = inner(x, scope);
      requireClasses(logits.shape[1], dataset);
      return logits;
    },
    ownBatch: ownBatch(model, Math.min(probedBatch, dataset.count), { output }),
    write: (tensors, metadata) => model.write(tensors, { ...metadata, ...writtenMetadata({ input: taken }) }),
    notes,
  };
  return { model, network, trains };
}

/** A batch that a file is tried with, to see whether it takes any. */
const probedBatch = 250;

/** Throws `UserError` for a model that has fewer classes than the data. */
export function requireClasses(classes: number, { name, classNames }: ImageClasses): void {
  if (classes >= classNames.length) return;
  throw new UserError(
    `the model has ${classes} classes and ${name} has ${classNames.length}; fine-tune it for ${classNames.length} classes first, naming its last linear layer (head, --head) where it is not found`,
  );
}

/**
 * Opens a run's model or an ONNX file, to look at it with its weights as they are: images become what it takes as they
 * did in the run.
 * @throws UserError for a file that cannot be read as a classifier of these images
 */
export async function openClassifier(
  found: TrainedModel,
  settings: FileSettings,
  dataset: ImageClasses,
): Promise<ClassifierFile> {
  const proto = await readModelFile(found.path);
  const opened = (batchNormalization: "batch" | "frozen") =>
    openClassifierFile(
      proto,
      { ...importedModelOf(found), ...settings, batchNormalization, dropout: false },
      dataset,
    );
  const file = opened("batch");
  // One image has no statistics of its own.
  return file.network.ownBatch === 1 ? opened("frozen") : file;
}

/** A file to train, with another head where the settings or the data want one. */
async function importedNetwork(
  settings: ImportedModelSettings,
  dataset: ImageClasses,
  seed: number,
): Promise<Network> {
  const { file, classes: _, head: __, ...loading } = settings;
  const proto = await readModelFile(file);
  const head = renewHead(proto, settings, dataset, seed);
  const notes = head
    ? [`${head.label}, ${head.inputs} → ${head.classes} classes, starts anew with ${head.now}`]
    : [];
  let { model, network, trains } = openClassifierFile(proto, loading, dataset);
  if (network.ownBatch !== undefined) {
    const examples = network.ownBatch === 1 ? "one image" : `${network.ownBatch} images`;
    notes.push(`the file takes ${examples} at a time: a batch is computed in micro-batches of ${examples}`);
  }
  const hasStatistics = model.parameters.some(({ role }) => role === "running-statistic");
  if (network.ownBatch === 1 && hasStatistics && loading.batchNormalization === "batch") {
    notes.push("BatchNorm keeps its running statistics: one image has none of its own");
    ({ network, trains } = openClassifierFile(proto, { ...loading, batchNormalization: "frozen" }, dataset));
  }
  const { layer, notes: ofImages = [] } = network;
  return {
    ...network,
    layer: (x, scope) => naming(head, () => layer(x, scope)),
    get notes() {
      return [...notes, ...ofImages, ...trains];
    },
  };
}

/** What cannot be built behind a head for other classes may be made for those it had. */
function naming(head: (Head & { now: number }) | undefined, build: () => Value): Value {
  try {
    return build();
  } catch (error) {
    if (!head || head.now === head.classes || !(error instanceof UserError)) throw error;
    throw new UserError(
      `${error.message}; ${head.label} was re-initialized for ${head.now} classes in place of ${head.classes}: if this node is made for those, export the model for ${head.now}`,
    );
  }
}

/** A head for another number of classes, where the settings or the data want one. */
function renewHead(
  proto: ModelProto,
  { classes, head: name, output }: ImportedModelSettings,
  dataset: ImageClasses,
  seed: number,
): (Head & { now: number }) | undefined {
  const wanted = dataset.classNames.length;
  if (classes !== undefined && classes < wanted) {
    throw new UserError(
      `classes is ${classes}; ${dataset.name} has ${wanted}, so it has to be at least that`,
    );
  }
  if (classes === undefined && name === undefined) {
    // Where no linear layer ends the model it stays as it is, and the number of its classes is judged when it is built.
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

/** The sizes that the input of a model of images has where the file leaves them open: the data's own. */
export function imageSizes(
  { graph }: ModelProto,
  { channels, height, width }: ImageClasses,
): Shape | undefined {
  const weights = new Set(graph?.initializer.map(({ name }) => name));
  const input = graph?.input.find(({ name }) => !weights.has(name));
  const dims = input?.type?.value.case === "tensorType" ? (input.type.value.value.shape?.dim ?? []) : [];
  const last = dims.at(-1)?.value;
  const isLast = last?.case === "dimValue" && [1n, 3n].includes(last.value);
  switch (dims.length) {
    case 2:
      return [0, channels * height * width];
    case 3:
      return [0, height, width];
    case 4:
      return isLast ? [0, height, width, channels] : [0, channels, height, width];
    default:
      return undefined;
  }
}
