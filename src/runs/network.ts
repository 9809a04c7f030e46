import { basename } from "#platform";
import { UserError } from "../common/errors.ts";
import { createModel, type ModelOutput, modelNamesWith, modelOutput } from "../nn/models.ts";
import { buildModel, type Layer } from "../nn/module.ts";
import type { Tensors } from "../onnx/tensor.ts";
import { imageInput, type Normalization, type StoredImages } from "../tasks/image-input.ts";
import type { OpenedTask, Task } from "../tasks/task.ts";
import { type Network, preparedNetwork } from "../tasks/task-network.ts";
import type { RunConfiguration } from "./configuration.ts";

/**
 * The network that a configuration names, for a task: built by name, or read from an ONNX file.
 * @param given the weights that a network by name starts from
 * @param file the bytes of the ONNX file, where they are not read from its path
 * @throws UserError for a file that cannot be read as a network for the task, and for a name whose network gives another
 *   kind of output
 */
export async function networkOf(
  configuration: Pick<RunConfiguration, "model" | "seed"> & Partial<RunConfiguration>,
  opened: Pick<OpenedTask, "task" | "train">,
  { given, file }: { given?: Tensors; file?: Uint8Array } = {},
): Promise<Network> {
  const { model, seed, parameters, weights } = configuration;
  if (typeof model !== "string") {
    const { batchNormalization = model.batchNormalization, newHead = false } = parameters ?? {};
    // Loaded with the first file: it holds every operator that a file may have.
    const { importedNetwork } = await import("./imported-network.ts");
    return importedNetwork({ ...model, batchNormalization }, opened, { seed, newHead, bytes: file });
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
