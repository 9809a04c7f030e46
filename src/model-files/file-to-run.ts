import { resolve } from "#platform";
import { attempt, UserError } from "../common/errors.ts";
import { elementCount, Graph, type Shape, type Value } from "../graph/graph.ts";
import { inputType } from "../import/dimensions.ts";
import { chooseOutput, classEnd, hiddenLogits, isClassRows } from "../import/logits.ts";
import { narrowed, widened } from "../import/narrow-types.ts";
import { classCount, type OutputEnd } from "../import/output-end.ts";
import { compile } from "../lower/compile.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { type DataType, dataTypeName, wideType } from "../onnx/types.ts";
import { mul, sub } from "../ops/arithmetic.ts";
import { clip, log } from "../ops/elementwise.ts";
import {
  type FileSettings,
  imagesOf,
  openModelFile,
  openSizes,
  outputForm,
  type TaskData,
} from "../runs/model-file.ts";
import type { Engine } from "../runtime/engine.ts";
import { type ImageInput, normalizations } from "../tasks/image-input.ts";
import { filledUp } from "../tasks/task-evaluation.ts";

// A file that ONNX Runtime runs as it is, for evaluation and prediction.

export interface RunFileOptions extends Pick<FileSettings, "normalization" | "dimensions" | "output"> {
  /** Called with a sentence where the file's graph is not read, and with what the input becomes. */
  onNote?: (text: string) => void;
}

/** The kinds of the options that every function has that runs a file. */
export const fileOptionKinds = {
  name: "text",
  threads: "number",
  onNote: "function",
  onProgress: "function",
  normalization: normalizations,
  dimensions: "object",
  output: "text",
} as const;

/** Examples in one run of a model that takes any number, and the most numbers they may be. */
const batchSize = 500;
const mostNumbers = 2 ** 22;

/** What the values of an output are, and whether they can be undone. */
type OutputKind = Pick<OutputEnd, "kind" | "scale" | "obstacle">;

/** A file as ONNX Runtime runs it. */
export interface FileToRun {
  input: { name: string; type: DataType; shape: Shape };
  /** How stored images become its input, for a task of images. */
  images?: ImageInput;
  output: string;
  /** What the output holds; unknown where the file's graph is not read. */
  end?: OutputKind;
}

/**
 * Finds the input and the output, and opens the file as training does.
 * @throws UserError if it is no network for the task
 */
export function openToRun(
  proto: ModelProto,
  data: TaskData,
  { onNote, ...settings }: RunFileOptions,
): FileToRun {
  const { info, type, output } = signature(proto, settings.output);
  const { dimensions, normalization } = settings;
  const sizes = { dimensions, openSizes: openSizes(proto, data.task) };
  const opened = attempt(() => openModelFile(proto, { ...settings, output }, data));
  const { ownBatch } = opened.value?.network ?? {};
  const form = outputForm(data.task);
  const isClassifier = isClassRows(form);
  const { shape: one } = inputType(info, { ...sizes, batchSize: 1 });
  const most = Math.max(1, Math.floor(mostNumbers / elementCount(one.slice(1))));
  const size = ownBatch ?? Math.min(batchSize, data.train.count, most);
  const { shape } = inputType(info, { ...sizes, batchSize: size });
  const file = {
    input: { name: info.name, type, shape },
    images: imagesOf(proto, data.task, normalization),
    output,
    // A row of numbers shows whether they are probabilities.
    ...(!isClassifier && { end: asItIs }),
  };
  if (!opened.value) {
    const found = isClassifier
      ? "what it gives tells whether it is probabilities"
      : "what it gives is taken as it is";
    onNote?.(`the file is run without reading its graph (${opened.error}): ${found}`);
    return file;
  }
  if (form.holds === "values") return file;
  const network = opened.value.model.shared({ training: false, batchSize: size, anyBatch: true });
  return { ...file, end: isClassifier ? classEnd(network, output).end : network.ends.get(output) };
}

/** An output that is taken as it is. */
const asItIs: OutputKind = { kind: "logits", scale: 1 };

/** The input and the name of the output that the task reads. */
function signature({ graph }: ModelProto, named: string | undefined) {
  const weights = new Set(graph?.initializer.map((tensor) => tensor.name));
  const inputs = (graph?.input ?? []).filter((value) => !weights.has(value.name));
  const outputs = (graph?.output ?? []).map((value) => value.name);
  if (inputs.length !== 1) {
    throw new UserError(
      `the model has the inputs ${inputs.map((value) => value.name).join(", ")}; one was expected`,
    );
  }
  const output = chooseOutput(outputs, named);
  const [info] = inputs;
  const value = info.type?.value;
  const type =
    value?.case === "tensorType" ? dataTypeName(value.value.elemType, `input "${info.name}"`) : undefined;
  if (type === undefined || wideType(type) !== "float32") {
    throw new UserError(
      `input "${info.name}" is ${type ?? "no tensor"}; float32, or floats of fewer bits, were expected`,
    );
  }
  return { info, type, output };
}

/** What a file gives for a batch. */
export interface FileValues {
  /** Of the output that the task reads, halves widened. */
  values: TensorData;
  /** The type of that output in the file. */
  type: DataType;
}

/**
 * Loads a file and what makes a stored input its own into an engine, as programs `model` and `images`.
 * @param model path of the file, or its bytes
 * @returns the model, for stored inputs [count, …] of at most the file's batch
 * @throws UserError if ONNX Runtime refuses it
 */
export async function loadToRun(
  engine: Engine,
  model: string | Uint8Array,
  { input, images, output }: FileToRun,
  { name, stored, onNote }: { name: string; stored: Shape } & Pick<RunFileOptions, "onNote">,
): Promise<(stored: TensorData) => Promise<FileValues>> {
  const refused = (error: Error) => {
    throw new UserError(
      `${name} cannot be run by ONNX Runtime: ${error.message.trim().replaceAll(/\s+/g, " ")}`,
    );
  };
  const ownInput = await loadImages(engine, { input, images }, { stored, onNote });
  await engine.load("model", typeof model === "string" ? resolve(model) : model).catch(refused);
  return async (rows) => {
    const { outputs } = await engine.run("model", { [input.name]: await ownInput(rows) }).catch(refused);
    return { values: widened(outputs[output]), type: outputs[output].type };
  };
}

/**
 * Loads what makes a stored input a file's own into an engine, as program `images`.
 * @returns the file's input for stored inputs [count, …] of at most the file's batch
 */
export async function loadImages(
  engine: Engine,
  { input, images }: Pick<FileToRun, "input" | "images">,
  { stored, onNote }: { stored: Shape } & Pick<RunFileOptions, "onNote">,
): Promise<(stored: TensorData) => Promise<TensorData>> {
  const [size] = input.shape;
  const adapted = images && imagesGraph(images, [size, ...stored], input.shape);
  if (images && adapted) {
    onNote?.(images.describe(input.shape));
    await engine.load("images", compile(adapted, { target: await engine.target() }));
  }
  return async (rows) => {
    const filled = filledUp(rows, size);
    const fed = adapted ? (await engine.run("images", { input: filled })).outputs.adapted : filled;
    return narrowed(fed, input.type);
  };
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
export function endOf({ end, output }: FileToRun, values: TensorData): OutputKind {
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

/** Logits with the same loss as the values of an output. What the type of the file rounds to 0 or 1 is kept off it. */
export function logitsFrom(
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
