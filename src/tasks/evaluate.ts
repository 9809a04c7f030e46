import { UserError } from "../common/errors.ts";
import { evaluationBatches } from "../data/batches.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { readModel } from "../onnx/model.ts";
import type { ModelProto, ValueInfoProto } from "../onnx/onnx_pb.ts";
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

const batchSize = 500;

/**
 * Accuracy and loss of an ONNX classifier on a data set: the model is run as it is, whoever made it. It has to have one
 * input [batch, C, H, W] of the data's image shape and one output [batch, classes].
 * Throws `UserError` when the bytes are no ONNX model or its shapes are others.
 */
export async function evaluateModel(
  model: Uint8Array,
  dataset: ImageDataset,
  { name = "the model", threads, onProgress }: EvaluateOptions = {},
): Promise<Evaluation> {
  const { input, output } = signature(readModel(model, name), dataset, name);
  const size = Math.min(batchSize, dataset.count);
  const engine = openEngine({ threads });
  try {
    await engine.load("model", model);
    let [loss, right, images] = [0, 0, 0];
    const started = performance.now();
    for (const batch of evaluationBatches(dataset, { batchSize: size })) {
      const shape = [size, dataset.channels, dataset.height, dataset.width];
      const { outputs } = await engine.run("model", {
        [input]: { type: "float32", shape, data: batch.input },
      });
      const { data, shape: logitsShape } = outputs[output];
      const classes = logitsShape[1];
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

/** Names of the model's input and output, after checking that they fit the data. */
function signature({ graph }: ModelProto, dataset: ImageDataset, name: string) {
  const weights = new Set(graph!.initializer.map((tensor) => tensor.name));
  const inputs = graph!.input.filter((value) => !weights.has(value.name));
  if (inputs.length !== 1 || graph!.output.length !== 1) {
    throw new UserError(
      `${name} has ${inputs.length} inputs and ${graph!.output.length} outputs; a classifier has one of each`,
    );
  }
  const sizes = shapeOf(inputs[0]).slice(1);
  const wanted = [dataset.channels, dataset.height, dataset.width];
  if (sizes.length !== 3 || sizes.some((size, axis) => size !== undefined && size !== wanted[axis])) {
    throw new UserError(
      `${name} takes images of [${sizes.map((size) => size ?? "any").join(", ")}], ${dataset.name} has [${wanted.join(", ")}]`,
    );
  }
  return { input: inputs[0].name, output: graph!.output[0].name };
}

function shapeOf({ type }: ValueInfoProto): (number | undefined)[] {
  const dims = type?.value.case === "tensorType" ? (type.value.value.shape?.dim ?? []) : [];
  return dims.map(({ value }) => (value.case === "dimValue" ? Number(value.value) : undefined));
}
