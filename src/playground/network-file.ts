import { attempt } from "../common/errors.ts";
import { imageClasses } from "../data/source.ts";
import { readModelFile } from "../import/load.ts";
import { type DatasetPair, inspectModel, type TrainingDescription, UserError } from "../index.web.ts";
import { compile } from "../lower/compile.ts";
import { buildModel } from "../nn/module.ts";
import { softmax } from "../ops/softmax.ts";
import { openModelFile, openSizes } from "../runs/model-file.ts";
import { classificationTask } from "../tasks/classification/class-task.ts";
import { statedFrozen } from "../tasks/model-metadata.ts";
import { statedPictures } from "../tasks/picture-form.ts";
import { type PictureForm, pictureForm } from "./settings.ts";

// Networks as ONNX files: one that a visitor chose to fine-tune, and those that were trained.

export interface NetworkFile {
  file: File;
  /** The pictures that it takes. */
  pictures: PictureForm;
  /** What it takes and gives, and how much of it trains. */
  description: string;
}

/** Bytes of a file, at most: weights, momenta and gradients of four trainings are in the 4 GB that a page may have. */
const mostBytes = 100e6;

/**
 * Reads what a file is, and whether it can be trained.
 * @throws UserError for a file that cannot be read or trained, which names the node that stands in the way
 */
export async function readNetworkFile(file: File): Promise<NetworkFile> {
  const { name, size } = file;
  if (size > mostBytes)
    throw new UserError(
      `${name} has ${(size / 1e6).toFixed(0)} MB, and the page trains files of up to ${mostBytes / 1e6} MB; fine-tune it in Node (lowland finetune)`,
    );
  const bytes = new Uint8Array(await file.arrayBuffer());
  const proto = await readModelFile(bytes, name);
  const { size: side = pictureForm.size, channels = pictureForm.channels, fit } = statedPictures(proto);
  const pictures = { size: side, channels, ...(fit && { fit }) };
  const train = anyPictures(pictures);
  const task = classificationTask(train);
  const { value: opened } = attempt(() => openModelFile(proto, {}, { task, train }));
  // BatchNorm of single features has no variance in a batch of one.
  const batchSize = opened?.network.ownBatch ?? 2;
  const { inputs, totals, training } = await inspectModel(bytes, {
    batchSize,
    openSizes: openSizes(proto, task),
  });
  if (!training.possible) throw new UserError(`${name} cannot be trained: ${obstacleOf(training)}`);
  const { parameters, trainable } = totals;
  const taken = inputs.map((input) => `${input.name} [${input.shape?.join(", ") ?? "?"}]`).join(", ");
  const given = training.logits.map(({ output, shape: [, classes] }) => `${output}, ${classes} classes`);
  const trained =
    trainable === parameters
      ? `all ${count(parameters)} parameters train`
      : `${count(trainable)} of ${count(parameters)} parameters train`;
  return { file, pictures, description: `${name}: ${taken} → ${given.join("; ")}; ${trained}` };
}

const count = (number: number) => number.toLocaleString("en");

function obstacleOf({ reason, blockers: [blocker] }: TrainingDescription): string {
  const isNamed = blocker === undefined || reason?.includes(blocker.node);
  return [reason, ...(isNamed ? [] : [`${blocker.node}: ${blocker.advice}`])].join("; ");
}

/** Pictures of a form, as far as opening a file asks for data. */
function anyPictures({ size, channels }: PictureForm): DatasetPair["train"] {
  return imageClasses(
    {
      name: "pictures",
      // Any number of classes will do; labels are not read.
      classNames: ["", ""],
      labels: new Int32Array(2),
      ...{ channels, height: size, width: size, maximum: 255, fingerprint: "pictures" },
      mean: new Array<number>(channels).fill(0),
      deviation: new Array<number>(channels).fill(1),
    },
    () => new Uint8Array(channels * size * size),
  );
}

/** A trained network, from stored images to logits. */
export async function openTrained(model: Uint8Array, train: DatasetPair["train"]) {
  const proto = await readModelFile(model);
  const task = classificationTask(train);
  const { model: file, network } = openModelFile(
    proto,
    { frozen: [...statedFrozen(proto)], batchNormalization: "frozen", dropout: false },
    { task, train },
  );
  return { task, network, tensors: file.tensors };
}

/**
 * A trained network as a program from `input`, stored images [batch, C, H, W], to `probabilities`.
 * @returns the program, and the only batch that it takes
 */
export async function answeringProgram(model: Uint8Array, train: DatasetPair["train"]) {
  const { network, tensors } = await openTrained(model, train);
  const { layer, inputShape, ownBatch: batch = 1 } = network;
  const { graph, logits } = buildModel(layer, { inputShape, batchSize: batch, training: false });
  graph.output("probabilities", softmax(logits));
  return { program: compile(graph, { weights: new Map(Object.entries(tensors)) }), batch };
}
