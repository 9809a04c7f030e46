import { resolve } from "node:path";
import { attempt, UserError } from "../common/errors.ts";
import { readOptions } from "../common/options.ts";
import { type ImageArrays, sourceOf } from "../data/image-arrays.ts";
import type { ImageClasses } from "../data/source.ts";
import { validateDataset } from "../data/validate.ts";
import { elementCount, Graph, type Shape, type Value } from "../graph/graph.ts";
import { inputType } from "../import/dimensions.ts";
import { readModelFile } from "../import/load.ts";
import { asRows, chooseOutput, classEnd, hiddenLogits } from "../import/logits.ts";
import { narrowed, widened } from "../import/narrow-types.ts";
import { classCount, type OutputEnd } from "../import/output-end.ts";
import { compile } from "../lower/compile.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import type { TensorData, Tensors } from "../onnx/tensor.ts";
import { type DataType, dataTypeName, isFloat, wideType } from "../onnx/types.ts";
import { mul, sub } from "../ops/arithmetic.ts";
import { clip, log } from "../ops/elementwise.ts";
import { openEngine } from "../runtime/remote.ts";
import { accuracy, classificationTask } from "./classification/classification.ts";
import { type ImageInput, imageInput, normalizations } from "./image-input.ts";
import { statedInput } from "./model-metadata.ts";
import { type FileSettings, imageSizes, openClassifierFile, requireClasses } from "./network.ts";
import type { Task } from "./task.ts";
import { evaluate, filledUp, outputEvaluation } from "./task-evaluation.ts";

export interface Evaluation {
  images: number;
  task: string;
  /** Mean cross entropy; of probabilities the mean of −ln p of the right class. */
  loss: number;
  /** By the names of the task's metrics: `accuracy`. */
  metrics: Record<string, number>;
  seconds: number;
  imagesPerSecond: number;
}

export interface EvaluateOptions extends Pick<FileSettings, "normalization" | "dimensions" | "output"> {
  /** How messages name the model. Default: its path. */
  name?: string;
  threads?: number;
  /** Called with a sentence where the images are not as they are loaded, or the file's graph is not read. */
  onNote?: (text: string) => void;
  onProgress?: (images: number, total: number) => void;
}

/** Images in one run of a model that takes any number, and the most numbers they may be. */
const batchSize = 500;
const mostNumbers = 2 ** 22;

/**
 * Accuracy and loss of an ONNX classifier on a data set: ONNX Runtime runs the file as it is. Which of its outputs holds
 * the classes, whether these are logits or probabilities, for which batch it is, and what images become is decided as for
 * training; so the loss is that of training. A file whose operators are not read is run all the same: its output holds
 * probabilities if each row is one, and else logits.
 *
 * @param model path of the file, or its bytes
 * @throws UserError if it is no ONNX model, no classifier of these images, or ONNX Runtime refuses it
 */
export async function evaluateModel(
  model: string | Uint8Array,
  given: ImageClasses | ImageArrays,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  readOptions("evaluateModel", options, {
    name: "text",
    threads: "number",
    onNote: "function",
    onProgress: "function",
    normalization: normalizations,
    dimensions: "object",
    output: "text",
  });
  const dataset = sourceOf(given);
  validateDataset(dataset);
  const task = classificationTask(dataset);
  const isPath = typeof model === "string";
  const { name = isPath ? model : "the model", threads, onProgress, onNote } = options;
  const refused = (error: Error) => {
    throw new UserError(
      `${name} cannot be run by ONNX Runtime: ${error.message.trim().replaceAll(/\s+/g, " ")}`,
    );
  };
  const file = openToRun(await readModelFile(model, name), dataset, options);
  const { input, images } = file;
  const [size] = input.shape;
  const engine = openEngine({ threads });
  try {
    const target = await engine.target();
    const adapted = imagesGraph(images, [size, dataset.channels, dataset.height, dataset.width], input.shape);
    if (adapted) {
      onNote?.(images.describe(input.shape));
      await engine.load("images", compile(adapted, { target }));
    }
    await engine.load("model", isPath ? resolve(model) : model).catch(refused);
    const ready = new Set<string>();
    let end: ReturnType<typeof endOf> | undefined;
    const run = async ({ input: loaded, target: targets }: Tensors, count: number) => {
      const stored = filledUp(loaded, size);
      const fed = adapted ? (await engine.run("images", { input: stored })).outputs.adapted : stored;
      const feeds = { [input.name]: narrowed(fed, input.type) };
      const { outputs } = await engine.run("model", feeds).catch(refused);
      const values = widened(outputs[file.output]);
      const program = `loss ${count}`;
      if (!ready.has(program)) {
        end ??= endOf(file, values);
        const graph = lossGraph(values, outputs[file.output].type, end, { size, count, dataset, task });
        await engine.load(program, compile(graph, { target }));
        ready.add(program);
      }
      return (await engine.run(program, { values, target: targets })).outputs;
    };
    const started = performance.now();
    const evaluation = { source: dataset, metric: accuracy };
    const { loss, metrics } = await evaluate(evaluation, task, { batchSize: size, run, onProgress });
    const seconds = (performance.now() - started) / 1000;
    return {
      images: dataset.count,
      task: "classification",
      loss,
      metrics,
      seconds,
      imagesPerSecond: dataset.count / seconds,
    };
  } finally {
    await engine.close();
  }
}

/** A file as ONNX Runtime runs it. */
interface FileToRun {
  input: { name: string; type: DataType; shape: Shape };
  images: ImageInput;
  output: string;
  /** What the output holds; unknown where the file's graph is not read. */
  end?: OutputEnd;
}

/** Finds the input and the output, and opens the file as training does. */
function openToRun(
  proto: ModelProto,
  dataset: ImageClasses,
  { onNote, name: _, threads: __, onProgress: ___, ...settings }: EvaluateOptions,
): FileToRun {
  const { info, type, output } = signature(proto, settings.output);
  const { dimensions, normalization = statedInput(proto) ?? "dataset" } = settings;
  const sizes = { dimensions, openSizes: imageSizes(proto, dataset) };
  const opened = attempt(() => openClassifierFile(proto, { ...settings, output }, dataset));
  const { ownBatch } = opened.value?.network ?? {};
  const { shape: one } = inputType(info, { ...sizes, batchSize: 1 });
  const most = Math.max(1, Math.floor(mostNumbers / elementCount(one.slice(1))));
  const size = ownBatch ?? Math.min(batchSize, dataset.count, most);
  const { shape } = inputType(info, { ...sizes, batchSize: size });
  const file = {
    input: { name: info.name, type, shape },
    images: imageInput(dataset, normalization),
    output,
  };
  if (!opened.value) {
    onNote?.(
      `the file is run without reading its graph (${opened.error}): what it gives tells whether it is probabilities`,
    );
    return file;
  }
  const network = opened.value.model.shared({ training: false, batchSize: size, anyBatch: true });
  return { ...file, end: classEnd(network, output).end };
}

/** The input of images and the name of the output with the classes. */
function signature({ graph }: ModelProto, named: string | undefined) {
  const weights = new Set(graph?.initializer.map((tensor) => tensor.name));
  const inputs = (graph?.input ?? []).filter((value) => !weights.has(value.name));
  const outputs = (graph?.output ?? []).map((value) => value.name);
  if (inputs.length !== 1) {
    throw new UserError(
      `the model has the inputs ${inputs.map((value) => value.name).join(", ")}; a classifier of images has one`,
    );
  }
  const output = chooseOutput(outputs, named);
  const [info] = inputs;
  const value = info.type?.value;
  const type =
    value?.case === "tensorType" ? dataTypeName(value.value.elemType, `input "${info.name}"`) : undefined;
  if (type === undefined || wideType(type) !== "float32") {
    throw new UserError(
      `input "${info.name}" is ${type ?? "no tensor"}; a classifier of images takes float32, or floats of fewer bits`,
    );
  }
  return { info, type, output };
}

/** Makes of images as they are loaded what the file takes; nothing where that is the same. */
function imagesGraph({ adapt }: ImageInput, loaded: Shape, shape: Shape): Graph | undefined {
  const graph = new Graph();
  const images = graph.input("input", "float32", loaded);
  const adapted = adapt(images, shape);
  if (adapted === images) return undefined;
  graph.output("adapted", adapted);
  return graph;
}

/** What the values of the output are: as the graph says, or else probabilities if each row is one. */
function endOf({ end, output }: FileToRun, values: TensorData): Pick<OutputEnd, "kind" | "scale"> {
  if (end && end.obstacle === undefined) return end;
  const classes = classCount(values) ?? 1;
  const numbers = Array.from(values.data as Float32Array, Number);
  const isRow = (start: number) => {
    const row = numbers.slice(start, start + classes);
    return row.every((p) => p >= 0) && Math.abs(row.reduce((sum, p) => sum + p, 0) - 1) < 1e-3;
  };
  for (let start = 0; start < numbers.length; start += classes) {
    if (isRow(start)) continue;
    if (end) throw hiddenLogits(output, end);
    return { kind: "logits", scale: 1 };
  }
  return { kind: "probabilities", scale: 1 };
}

/** The loss and classes of the first `count` images, from the values of the output. */
function lossGraph(
  { type, shape }: TensorData,
  fileType: DataType,
  end: Pick<OutputEnd, "kind" | "scale">,
  { size, count, dataset, task }: { size: number; count: number; dataset: ImageClasses; task: Task },
): Graph {
  const classes = classCount({ shape });
  if (shape[0] !== size || classes === undefined || !isFloat(type)) {
    throw new UserError(
      `the model gives ${type} [${shape.join(", ")}] for ${size} images; a classifier gives [${size}, classes]`,
    );
  }
  requireClasses(classes, dataset);
  const graph = new Graph();
  outputEvaluation(task, logitsFrom(asRows(graph.input("values", type, shape)), fileType, end), count);
  return graph;
}

/** Logits with the same loss as the values of an output. What the type of the file rounds to 0 or 1 is kept off it. */
function logitsFrom(
  values: Value,
  fileType: DataType,
  { kind, scale }: Pick<OutputEnd, "kind" | "scale">,
): Value {
  const [smallest, step] = fileType === "float16" ? [2 ** -24, 2 ** -11] : [2 ** -126, 2 ** -24];
  switch (kind) {
    case "logits":
      return values;
    case "probabilities":
      return log(clip(mul(values, 1 / scale), smallest, 2));
    case "independent": {
      const p = clip(mul(values, 1 / scale), smallest, 1 - step);
      return sub(log(p), log(sub(1, p)));
    }
    default:
      return kind satisfies never;
  }
}
