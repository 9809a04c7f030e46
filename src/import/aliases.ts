import { clone } from "@bufbuild/protobuf";
import { type GraphProto, type NodeProto, type TensorProto, TensorProtoSchema } from "../onnx/onnx_pb.ts";
import { readTensor } from "../onnx/tensor.ts";

/**
 * Gives tensors of their own to those that an exporter stored once because their numbers happened to be the same: all
 * the ones and zeros of a fresh network, running statistics and biases among them. In training they part. Weights that
 * are tied on purpose, whose numbers are not all alike, stay tied.
 *
 * PyTorch writes such a copy as an Identity of an initializer; others let several nodes read the same initializer.
 */
export function separateAliases(graph: GraphProto): void {
  const stored = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  const statistics = new Set(
    graph.node.filter(isBatchNormalization).flatMap(({ input }) => input.slice(3, 5)),
  );
  const add = (name: string, source: TensorProto) => {
    const copy = clone(TensorProtoSchema, source);
    copy.name = name;
    stored.set(name, copy);
    graph.initializer.push(copy);
  };
  graph.node = graph.node.filter((node) => {
    const source = node.opType === "Identity" ? stored.get(node.input[0]) : undefined;
    const isOutput = graph.output.some(({ name }) => name === node.output[0]);
    if (!source || isOutput || !(statistics.has(node.output[0]) || isUniform(source))) return true;
    add(node.output[0], source);
    return false;
  });
  const taken = new Set(
    graph.node.flatMap((node) =>
      isBatchNormalization(node) ? node.input.filter((_, at) => at < 3) : node.input,
    ),
  );
  for (const node of graph.node.filter(isBatchNormalization)) {
    for (const index of [3, 4]) {
      const source = stored.get(node.input[index]);
      if (source && taken.has(source.name)) {
        node.input[index] = `${node.output[0]}.${index === 3 ? "running_mean" : "running_var"}`;
        add(node.input[index], source);
      }
      taken.add(node.input[index]);
    }
  }
}

function isBatchNormalization({ opType }: NodeProto): boolean {
  return opType === "BatchNormalization";
}

function isUniform(tensor: TensorProto): boolean {
  const { data } = readTensor(tensor);
  return (data as ArrayLike<unknown> & { every: Float32Array["every"] }).every((value) => value === data[0]);
}
