import { UserError } from "../common/errors.ts";
import { readOptions } from "../common/options.ts";
import { evaluationBatches } from "../data/batches.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { validateDataset } from "../data/validate.ts";
import { elementCount, Graph } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { readModel } from "../onnx/model.ts";
import type { ModelProto, ValueInfoProto } from "../onnx/onnx_pb.ts";
import { dataTypeNumber } from "../onnx/types.ts";
import type { Engine, Tensors } from "../runtime/engine.ts";
import { openEngine } from "../runtime/remote.ts";
import type { ImportedModelSettings } from "./configuration.ts";
import { imageInput, normalizations } from "./image-input.ts";
import { imageDimensions } from "./network.ts";

export interface Evaluation {
  images: number;
  /** Mean cross entropy. */
  loss: number;
  accuracy: number;
  seconds: number;
  imagesPerSecond: number;
}

export interface EvaluateOptions
  extends Partial<Pick<ImportedModelSettings, "normalization" | "dimensions" | "output">> {
  /** How messages name the model. */
  name?: string;
  threads?: number;
  /** Called with a sentence where the images are not as they are loaded: how they are made to fit the model. */
  onNote?: (text: string) => void;
  onProgress?: (images: number, total: number) => void;
}

/** Images in one run of a model that takes any number, and the most numbers they may be. */
const batchSize = 500;
const mostNumbers = 2 ** 22;

/**
 * Accuracy and loss of an ONNX classifier on a data set: the model is run as it is, whoever made it. It has to have one
 * float32 input, images [batch, C, H, W] or [batch, H, W, C], and give logits [batch, classes]: as its one output, or
 * as the one named `output`. Images of another size or number of channels are resized, repeated or made grey, and
 * scaled as `normalization` says (default: by the data's mean and deviation). A model made for one batch size gets
 * batches of that size; `dimensions` are the sizes of other axes that it leaves open, by name (default: the data's).
 * Throws `UserError` when the bytes are no ONNX model, its shapes cannot be had or ONNX Runtime refuses it.
 */
export async function evaluateModel(
  model: Uint8Array,
  dataset: ImageDataset,
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
  const { name = "the model", threads, onProgress } = options;
  validateDataset(dataset);
  const { input, output, shape } = signature(readModel(model, name), dataset, { ...options, name });
  const engine = openEngine({ threads });
  const refused = (error: Error) => {
    throw new UserError(
      `${name} cannot be run by ONNX Runtime: ${error.message.trim().replaceAll(/\s+/g, " ")}`,
    );
  };
  try {
    const toInput = await inputOf(engine, shape, dataset, options);
    await engine.load("model", model).catch(refused);
    let [loss, right, images] = [0, 0, 0];
    const started = performance.now();
    for (const batch of evaluationBatches(dataset, { batchSize: shape[0] })) {
      const feeds = { [input]: await toInput(batch.input) };
      const { outputs } = await engine.run("model", feeds).catch(refused);
      const { data, shape: logitsShape } = outputs[output];
      const classes = dataset.classNames.length;
      if (logitsShape.join() !== [shape[0], classes].join()) {
        throw new UserError(
          `${name} gives [${logitsShape.join(", ")}] for ${shape[0]} images; the ${classes} classes of ${dataset.name} want [${shape[0]}, ${classes}]`,
        );
      }
      for (let index = 0; index < batch.count; index++) {
        const logits = Array.from(data.slice(index * classes, (index + 1) * classes) as Float32Array);
        const largest = Math.max(...logits);
        const label = batch.target[index];
        loss +=
          largest +
          Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0)) -
          logits[label];
        right += logits.indexOf(largest) === label ? 1 : 0;
      }
      images += batch.count;
      onProgress?.(images, dataset.count);
    }
    const seconds = (performance.now() - started) / 1000;
    return {
      images,
      loss: loss / images,
      accuracy: right / images,
      seconds,
      imagesPerSecond: images / seconds,
    };
  } finally {
    await engine.close();
  }
}

/** What makes the images of a batch, as they are loaded, into the model's input. */
async function inputOf(
  engine: Engine,
  shape: readonly number[],
  dataset: ImageDataset,
  { normalization = "dataset", onNote }: EvaluateOptions,
) {
  const loaded = [shape[0], dataset.channels, dataset.height, dataset.width];
  const { adapt, describe } = imageInput(dataset, normalization);
  const graph = new Graph();
  const images = graph.input("images", "float32", loaded);
  const adapted = adapt(images, shape);
  const asLoaded = (data: Float32Array<ArrayBuffer>) => ({ type: "float32", shape: loaded, data }) as const;
  if (adapted === images) return asLoaded;
  onNote?.(describe(shape));
  graph.output("input", adapted);
  await engine.load("images", compile(graph, { target: await engine.target() }));
  return async (data: Float32Array<ArrayBuffer>): Promise<Tensors[string]> => {
    const { outputs } = await engine.run("images", { images: asLoaded(data) });
    return outputs.input;
  };
}

/** Names of the model's input and of its logits, and the shape to feed, after checking that they fit the data. */
function signature(
  model: ModelProto,
  dataset: ImageDataset,
  { name, dimensions, output }: EvaluateOptions & { name: string },
) {
  const graph = model.graph!;
  const weights = new Set(graph.initializer.map((tensor) => tensor.name));
  const inputs = graph.input.filter((value) => !weights.has(value.name));
  const outputs = graph.output.map((value) => value.name);
  if (output !== undefined && !outputs.includes(output)) {
    throw new UserError(`${name} has no output "${output}"; it has ${outputs.join(", ")}`);
  }
  if (inputs.length !== 1 || (output === undefined && outputs.length !== 1)) {
    throw new UserError(
      `${name} has ${inputs.length} inputs and ${outputs.length} outputs (${outputs.join(", ")}); a classifier has one input, and one output or one that is named`,
    );
  }
  const type = inputs[0].type?.value;
  if (type?.case !== "tensorType" || type.value.elemType !== dataTypeNumber("float32")) {
    throw new UserError(`${name} does not take float32 images`);
  }
  const named = { ...imageDimensions(model, dataset), ...dimensions };
  const byPlace = [dataset.channels, dataset.height, dataset.width];
  const [batch, ...sizes] = shapeOf(inputs[0]).map((size, axis) =>
    typeof size === "string" ? (named[size] ?? byPlace[axis - 1]) : size,
  );
  const image = sizes.map((size, axis) => size ?? byPlace[axis]);
  const most = Math.max(1, Math.floor(mostNumbers / elementCount(image)));
  const shape = [batch || Math.min(batchSize, dataset.count, most), ...image];
  return { input: inputs[0].name, output: output ?? outputs[0], shape };
}

/** The sizes of an input's axes: numbers, names of open ones, or nothing. */
function shapeOf({ type }: ValueInfoProto): (number | string | undefined)[] {
  const dims = type?.value.case === "tensorType" ? (type.value.value.shape?.dim ?? []) : [];
  return dims.map(({ value }) => {
    if (value.case === "dimValue") return Number(value.value);
    return value.case === "dimParam" && value.value !== "" ? value.value : undefined;
  });
}
