import { UserError } from "../common/errors.ts";
import { stringEntries } from "../graph/to-onnx.ts";
import { type LoadModelOptions, TrainableModel } from "../import/load.ts";
import { readModel } from "../onnx/model.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import { leastOpset, opsetOf } from "../quantization/editor.ts";
import type { QuantizedLayerRecord } from "../quantization/insert.ts";
import { stated, writtenMetadata } from "../tasks/model-metadata.ts";
import { compileForBatches } from "../tasks/task-network.ts";

// What files need before they are quantized, and what they state afterwards.

/**
 * A file in operators that have a scale for each channel: itself, or of an older one its graph as it is read, with its own
 * input and outputs.
 * @param input name of the input
 * @param sizes of axes that the file leaves open
 * @throws UserError for an older file whose graph holds a batch size
 */
export function inNewerOperators(
  proto: ModelProto,
  input: string,
  sizes: Pick<LoadModelOptions, "dimensions" | "openSizes">,
): ModelProto {
  if (opsetOf(proto) >= leastOpset) return proto;
  const model = new TrainableModel(proto, sizes);
  const build = (batchSize: number) => model.build({ training: false, batchSize, anyBatch: true }).graph;
  const metadata = Object.fromEntries(proto.metadataProps.map(({ key, value }) => [key, value]));
  const written = readModel(compileForBatches(build, model.tensors, metadata), input);
  const type = written.graph?.input.find(({ name }) => name === input)?.type?.value;
  if (type?.case === "tensorType" && type.value.shape?.dim[0]?.value.case === "dimParam") return written;
  throw new UserError(
    `the model is of opset ${opsetOf(proto)} and its graph holds a batch size, so it cannot be written with operators of opset ${leastOpset}, which integers with a scale per channel need; export it again with opset ${leastOpset} or newer`,
  );
}

/** States in a quantized file which layers have how many bits. */
export function stateQuantization(model: ModelProto, layers: readonly QuantizedLayerRecord[]): void {
  model.metadataProps.push(...stringEntries(writtenMetadata({ quantization: layers })));
}

/** What became of the layers of a file that Lowland quantized; nothing of other files. */
export function statedQuantization(model: ModelProto): readonly QuantizedLayerRecord[] | undefined {
  const layers = stated(model, "quantization");
  return Array.isArray(layers) ? layers : undefined;
}
