import { decodeImage } from "#image-file";
import { openEngine } from "#platform";
import { UserError } from "../common/errors.ts";
import { type OptionKinds, readOptions } from "../common/options.ts";
import type { DecodedImage, ImageForm } from "../data/image-form.ts";
import { imageClasses } from "../data/source.ts";
import { Graph } from "../graph/graph.ts";
import { readModelFile } from "../import/load.ts";
import { asRows } from "../import/logits.ts";
import { classCount } from "../import/output-end.ts";
import { compile } from "../lower/compile.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import { softmax } from "../ops/softmax.ts";
import type { TaskData } from "../runs/model-file.ts";
import type { Engine } from "../runtime/engine.ts";
import { classificationName, classificationTask } from "../tasks/classification/class-task.ts";
import { statedClasses, statedTask } from "../tasks/model-metadata.ts";
import { pictureForm } from "../tasks/picture-form.ts";
import { endOf, type FileValues, fileOptionKinds, logitsFrom, type RunFileOptions } from "./file-to-run.ts";
import { type InPicture, loadForPictures, overPictures } from "./picture-files.ts";

/** One class that a model sees in a picture. */
export interface ClassProbability {
  /** Its name, or its number where the model does not say names. */
  class: string;
  /** Its place in the model's output. */
  index: number;
  probability: number;
}

/** What a model sees in a picture file, or why the file cannot be read. */
export type PicturePrediction = InPicture<{ classes: readonly ClassProbability[] }>;

/** How pictures are brought to a model. */
export interface PictureOptions extends Omit<RunFileOptions, "onNote"> {
  /** How messages name the model. Default: its path. */
  name?: string;
  /** Height and width of the images that the model takes, where its file leaves them open. */
  imageSize?: readonly [height: number, width: number];
  /** How pictures become images of that size. Default: as in training, where the file's metadata state it, or `"crop"`. */
  fit?: ImageForm["fit"];
  /** Names of the classes, where the model's file has none. Default: their numbers. */
  classNames?: readonly string[];
  threads?: number;
  onNote?: (text: string) => void;
  onProgress?: (pictures: number, total: number) => void;
}

export interface PredictOptions extends PictureOptions {
  /** How many classes, the most probable first. Default 5. */
  top?: number;
}

export const pictureOptions: OptionKinds<PictureOptions> = {
  ...fileOptionKinds,
  imageSize: "list",
  fit: ["crop", "stretch", "pad"],
  classNames: "list",
};

/** Pictures that are decoded at a time. */
const batchSize = 32;

/**
 * What an ONNX classifier sees in picture files. ONNX Runtime runs the file as it is; pictures are decoded to the size
 * and channels that it takes, and scaled as its metadata say, or else as `normalization` does (default: `imagenet` for
 * color, `unit` for gray). A file that is not a picture has the reason in its place.
 *
 * @param model path of the file, or its bytes
 * @throws UserError if it is no ONNX model, no classifier of images, or leaves the size of its images open
 */
export async function predictPictures(
  model: string | Uint8Array,
  files: readonly string[],
  options: PredictOptions = {},
): Promise<PicturePrediction[]> {
  readOptions("predictPictures", options, { ...pictureOptions, top: "number" });
  const { name = typeof model === "string" ? model : "the model", top = 5, threads, onProgress } = options;
  if (!(Number.isInteger(top) && top >= 1))
    throw new UserError(`top is ${top}; choose a whole number of at least 1`);
  requireOwnScale(options);
  const proto = await readModelFile(model, name);
  const task = statedTask(proto) ?? classificationName;
  if (task !== classificationName)
    throw new UserError(
      `${name} is a model for ${task}; predict names the classes that a model for ${classificationName} sees in pictures`,
    );
  const form = pictureForm(proto, options);
  const classNames = options.classNames ?? statedClasses(proto);
  const engine = openEngine({ threads });
  try {
    const probabilitiesOf = await loadClassifier(engine, model, proto, { ...options, form, name });
    return await overPictures(files, {
      ...{ atOnce: batchSize, onProgress },
      read: (file) => decodeImage(file, form),
      look: async (pictures) =>
        (await probabilitiesOf(pictures)).map((all) => ({ classes: mostProbable(all, top, classNames) })),
    });
  } finally {
    await engine.close();
  }
}

/** @throws UserError for the scale of a data set, which pictures from anywhere do not have */
export function requireOwnScale({ normalization }: PictureOptions): void {
  if (normalization === "dataset")
    throw new UserError(
      "pictures are of no data set, whose mean and deviation could be used; choose imagenet, unit or symmetric (normalization, --normalization)",
    );
}

/** Loads a file, and returns what gives the probabilities of pictures. */
async function loadClassifier(
  engine: Engine,
  model: string | Uint8Array,
  proto: ModelProto,
  options: PredictOptions & { form: ImageForm; name: string },
): Promise<(pictures: readonly DecodedImage[]) => Promise<Float32Array[]>> {
  const data = formAsData(options.form);
  const { file, valuesOf } = await loadForPictures(engine, model, proto, { ...options, data });
  let isReady = false;
  return async (pictures) => {
    const found: Float32Array[] = [];
    for await (const given of valuesOf(pictures)) {
      if (!isReady) {
        const graph = probabilityGraph(given, endOf(file, given.values));
        await engine.load("probabilities", compile(graph, { target: await engine.target() }));
        isReady = true;
      }
      const { outputs } = await engine.run("probabilities", { values: given.values });
      const all = outputs.probabilities.data as Float32Array;
      const classes = all.length / given.values.shape[0];
      for (let index = 0; index < given.pictures; index++)
        found.push(all.slice(index * classes, (index + 1) * classes));
    }
    return found;
  };
}

function probabilityGraph(
  { values: { type, shape }, type: fileType }: FileValues,
  end: ReturnType<typeof endOf>,
) {
  if (classCount({ shape }) === undefined)
    throw new UserError(`the model gives [${shape.join(", ")}]; a classifier gives [batch, classes]`);
  const graph = new Graph();
  const logits = logitsFrom(asRows(graph.input("values", type, shape)), fileType, end);
  graph.output("probabilities", softmax(logits));
  return graph;
}

function mostProbable(
  probabilities: Float32Array,
  top: number,
  names: readonly string[] | undefined,
): ClassProbability[] {
  const order = Array.from(probabilities.keys()).sort((a, b) => probabilities[b] - probabilities[a] || a - b);
  return order.slice(0, top).map((index) => ({
    class: names?.[index] ?? String(index),
    index,
    probability: probabilities[index],
  }));
}

/** One batch of pictures of a form, as far as opening a file asks for data. */
function formAsData({ channels, height, width }: ImageForm): TaskData {
  const train = imageClasses(
    {
      name: "pictures",
      // Any number of classes will do; labels are not read.
      classNames: ["", ""],
      labels: new Int32Array(batchSize),
      channels,
      height,
      width,
      maximum: 255,
      mean: new Array<number>(channels).fill(0),
      deviation: new Array<number>(channels).fill(1),
      fingerprint: "pictures",
    },
    () => new Uint8Array(channels * height * width),
  );
  return { task: classificationTask(train), train };
}
