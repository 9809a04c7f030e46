import { basename } from "node:path";
import { UserError } from "../common/errors.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { findHead, type Head, replaceHead } from "../import/head.ts";
import { modelLayer } from "../import/layer.ts";
import { readModelFile, TrainableModel } from "../import/load.ts";
import { createModel } from "../nn/models.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import type { Classifier } from "./classification.ts";
import type { ImportedModelSettings, RunConfiguration } from "./configuration.ts";
import { imageInput } from "./image-input.ts";

/** The network that a configuration names, for the images of a data set: built by name, or read from an ONNX file. */
export async function networkOf(
  { model, seed }: Pick<RunConfiguration, "model" | "seed">,
  dataset: ImageDataset,
): Promise<Classifier> {
  const { channels, height, width, classNames } = dataset;
  const inputShape = [channels, height, width];
  if (typeof model !== "string") return { inputShape, ...(await importedNetwork(model, dataset, seed)) };
  return { inputShape, layer: createModel(model, { channels, height, width, classes: classNames.length }) };
}

/** What people call it. */
export function networkName(model: RunConfiguration["model"]): string {
  return typeof model === "string" ? model : basename(model.file);
}

async function importedNetwork(
  settings: ImportedModelSettings,
  dataset: ImageDataset,
  seed: number,
): Promise<Omit<Classifier, "inputShape">> {
  const proto = await readModelFile(settings.file);
  const { output, normalization } = settings;
  const notes: string[] = [];
  const head = renewHead(proto, settings, dataset, seed);
  if (head)
    notes.push(`${head.label}, ${head.inputs} → ${head.classes} classes, starts anew with ${head.now}`);
  const dimensions = { ...imageDimensions(proto, dataset), ...settings.dimensions };
  const model = new TrainableModel(proto, { ...settings, dimensions });
  const { adapt, describe } = imageInput(dataset, normalization);
  const classes = dataset.classNames.length;
  const inner = modelLayer(model, {
    output,
    adapt: (images, shape) => {
      const note = describe(shape);
      if (!notes.includes(note)) notes.push(note);
      return adapt(images, shape);
    },
  });
  return {
    layer: (x, scope) => {
      const logits = inner(x, scope);
      if (logits.shape[1] >= classes) return logits;
      throw new UserError(
        `the model tells ${logits.shape[1]} classes apart and ${dataset.name} has ${classes}; name its last linear layer (head), which then starts anew`,
      );
    },
    write: (tensors) => model.write(tensors),
    notes,
  };
}

/** A head for another number of classes, where the settings or the data want one. */
function renewHead(
  proto: ModelProto,
  { classes, head: name, output }: ImportedModelSettings,
  dataset: ImageDataset,
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

/** The named axes that a model of images leaves open, in the data's own sizes. */
export function imageDimensions(
  { graph }: ModelProto,
  { channels, height, width }: ImageDataset,
): Record<string, number> {
  const sizes: Record<string, number> = {};
  for (const { type } of graph!.input) {
    const dims = type?.value.case === "tensorType" ? (type.value.value.shape?.dim ?? []) : [];
    if (dims.length !== 4) continue;
    const isLast = dims[3].value.case === "dimValue" && [1n, 3n].includes(dims[3].value.value);
    const own = isLast ? [undefined, height, width, channels] : [undefined, channels, height, width];
    for (const [axis, { value }] of dims.entries()) {
      if (value.case === "dimParam" && value.value !== "" && own[axis]) sizes[value.value] = own[axis];
    }
  }
  return sizes;
}
