import { UserError } from "../common/errors.ts";
import { evaluationBatches } from "../data/batches.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { readModel } from "../onnx/model.ts";
import type { ModelProto, ValueInfoProto } from "../onnx/onnx_pb.ts";
import { dataTypeNumber } from "../onnx/types.ts";
import type { Tensors } from "../runtime/engine.ts";
import { openEngine } from "../runtime/remote.ts";

export interface Evaluation {
  images: number;
  /** Mean cross entropy. */
  loss: number;
  accuracy: number;
  seconds: number;
  imagesPerSecond: number;
}

export interface EvaluateOptions {
  /** How messages name the model. */
  name?: string;
  threads?: number;
  onProgress?: (images: number, total: number) => void;
}

/** Images in one run of a model that takes any number. */
const batchSize = 500;

/**
 * Accuracy and loss of an ONNX classifier on a data set: the model is run as it is, whoever made it. It has to have one
 * float32 input [batch, C, H, W] of the data's image shape and one output [batch, classes] of logits. A model made for
 * one batch size gets batches of that size.
 * Throws `UserError` when the bytes are no ONNX model, its shapes are others or ONNX Runtime refuses it.
 */
export async function evaluateModel(
  model: Uint8Array,
  dataset: ImageDataset,
  { name = "the model", threads, onProgress }: EvaluateOptions = {},
): Promise<Evaluation> {
  const { input, output, size } = signature(readModel(model, name), dataset, name);
  const engine = openEngine({ threads });
  const refused = (error: Error) => {
    throw new UserError(
      `${name} cannot be run by ONNX Runtime: ${error.message.trim().replaceAll(/\s+/g, " ")}`,
    );
  };
  try {
    await engine.load("model", model).catch(refused);
    let [loss, right, images] = [0, 0, 0];
    const started = performance.now();
    for (const batch of evaluationBatches(dataset, { batchSize: size })) {
      const shape = [size, dataset.channels, dataset.height, dataset.width];
      const feeds: Tensors = { [input]: { type: "float32", shape, data: batch.input } };
      const { outputs } = await engine.run("model", feeds).catch(refused);
      const { data, shape: logitsShape } = outputs[output];
      const classes = dataset.classNames.length;
      if (logitsShape.join() !== [size, classes].join()) {
        throw new UserError(
          `${name} gives [${logitsShape.join(", ")}] for ${size} images; the ${classes} classes of ${dataset.name} want [${size}, ${classes}]`,
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

/** Names of the model's input and output and the batch size to run it with, after checking that they fit the data. */
function signature({ graph }: ModelProto, dataset: ImageDataset, name: string) {
  const weights = new Set(graph!.initializer.map((tensor) => tensor.name));
  const inputs = graph!.input.filter((value) => !weights.has(value.name));
  if (inputs.length !== 1 || graph!.output.length !== 1) {
    throw new UserError(
      `${name} has ${inputs.length} inputs and ${graph!.output.length} outputs; a classifier has one of each`,
    );
  }
  const type = inputs[0].type?.value;
  if (type?.case !== "tensorType" || type.value.elemType !== dataTypeNumber("float32")) {
    throw new UserError(`${name} does not take float32 images`);
  }
  const [batch, ...sizes] = shapeOf(inputs[0]);
  const wanted = [dataset.channels, dataset.height, dataset.width];
  if (sizes.length !== 3 || sizes.some((size, axis) => size !== undefined && size !== wanted[axis])) {
    throw new UserError(
      `${name} takes images of [${sizes.map((size) => size ?? "any").join(", ")}], ${dataset.name} has [${wanted.join(", ")}]`,
    );
  }
  const size = batch || Math.min(batchSize, dataset.count);
  return { input: inputs[0].name, output: graph!.output[0].name, size };
}

function shapeOf({ type }: ValueInfoProto): (number | undefined)[] {
  const dims = type?.value.case === "tensorType" ? (type.value.value.shape?.dim ?? []) : [];
  return dims.map(({ value }) => (value.case === "dimValue" ? Number(value.value) : undefined));
}
