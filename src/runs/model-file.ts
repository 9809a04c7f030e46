import { UserError } from "../common/errors.ts";
import type { DataSource } from "../data/source.ts";
import type { Shape } from "../graph/graph.ts";
import { modelLayer, ownBatch } from "../import/layer.ts";
import { type LoadModelOptions, TrainableModel } from "../import/load.ts";
import type { OutputForm } from "../import/logits.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import { type ImageInput, type InputDescription, imageInput } from "../tasks/image-input.ts";
import { statedFrozen, statedInput, writtenMetadata } from "../tasks/model-metadata.ts";
import type { Task } from "../tasks/task.ts";
import { type Network, requireOutput } from "../tasks/task-network.ts";
import type { ImportedModelSettings } from "./configuration.ts";

// An ONNX file as a network for a task.

/** A task, and the data that a file is opened for. */
export type TaskData = { task: Task; train: Pick<DataSource, "name" | "count"> };

/** How a model that comes as a file is taken; a run's settings hold more. */
export type FileSettings = Partial<Omit<ImportedModelSettings, "file" | "classes" | "head">> &
  Pick<LoadModelOptions, "frozenDropout">;

/** A file, opened for a task. */
export interface ModelFile {
  model: TrainableModel;
  network: Network;
  /** How much of it trains, and what of the file makes the result other than it looks, once it was built to train. */
  trains: readonly string[];
}

/**
 * Opens a file for a task on some data: what its input becomes, which output the task reads, for which batch it is.
 * Training, evaluation and measurements all take a file this way.
 * @throws UserError for a file that cannot be read as a network for the task, and for a name whose network gives another
 *   kind of output
 */
export function openModelFile(
  proto: ModelProto,
  { normalization, output, ...loading }: FileSettings,
  { task, train }: TaskData,
): ModelFile {
  const model = new TrainableModel(proto, { ...loading, openSizes: openSizes(proto, task) });
  const images = imagesOf(proto, task, normalization);
  const notes: string[] = [];
  const trains: string[] = [];
  let taken: InputDescription | undefined;
  const form = outputForm(task);
  const inner = modelLayer(model, {
    output,
    form,
    onBuild: (network, training) => {
      if (training) for (const note of model.notes(network)) if (!trains.includes(note)) trains.push(note);
    },
    adapt: (x, shape) => {
      if (!images) return x;
      const note = images.describe(shape);
      if (!notes.includes(note)) notes.push(note);
      taken = images.description(shape);
      return images.adapt(x, shape);
    },
  });
  const network: Network = {
    inputShape: task.input,
    layer: (x, scope) => {
      const given = inner(x, scope);
      requireFileOutput(given.shape, task, train.name);
      return given;
    },
    ownBatch: ownBatch(model, Math.min(probedBatch, train.count), { output, form }),
    write: (tensors, metadata) => {
      // What was frozen before says nothing of this training.
      const earlier = statedFrozen(proto).length > 0 ? writtenMetadata({ frozen: [] }) : {};
      return model.write(tensors, {
        ...earlier,
        ...metadata,
        ...(taken && writtenMetadata({ input: taken })),
      });
    },
    notes,
  };
  return { model, network, trains };
}

/** What a task reads of a file. */
export function outputForm({ output: { holds, shape } }: Pick<Task, "output">): OutputForm {
  return { holds, axes: shape.length };
}

/** How stored images become a file's input; nothing for a task that is not one of images. */
export function imagesOf(
  proto: ModelProto,
  { images }: Pick<Task, "images">,
  normalization: FileSettings["normalization"],
): ImageInput | undefined {
  return images && imageInput(images, normalization ?? statedInput(proto) ?? "dataset");
}

/** A batch that a file is tried with, to see whether it takes any. */
const probedBatch = 250;

/** @throws UserError for a file whose output the task cannot read, such as one of fewer classes than the data have */
export function requireFileOutput(given: Shape, task: Pick<Task, "output">, data: string): void {
  const { shape, holds } = task.output;
  if (holds === "logits" && given.length === shape.length + 1 && given[1] < shape[0])
    throw new UserError(
      `the model has ${given[1]} classes and ${data} has ${shape[0]}; fine-tune it for ${shape[0]} classes first, naming its last linear layer (head, --head) where it is not found`,
    );
  requireOutput(given, task, data);
}

/** The sizes that a file's input has where the file leaves them open: the task's own. */
export function openSizes(
  { graph }: ModelProto,
  { input: [...own], images }: Pick<Task, "input" | "images">,
): Shape | undefined {
  if (!images) return [0, ...own];
  const { channels, height, width } = images;
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
