import { clone } from "@bufbuild/protobuf";
import { UserError } from "../common/errors.ts";
import { describe, elementCount, sameShape } from "../graph/graph.ts";
import {
  type GraphProto,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  type TensorProto,
} from "../onnx/onnx_pb.ts";
import { readTensor, type TensorData, writeTensor } from "../onnx/tensor.ts";
import { dataTypeName } from "../onnx/types.ts";
import { narrowed, widened } from "./narrow-types.ts";

/**
 * The tensors that a file stores, by name: its initializers, and the floating-point tensors of its Constant nodes under
 * their outputs' names, where some exporters put all weights. Half precision becomes float32.
 * @throws UserError naming a tensor that is stored twice or cannot be read
 */
export function readWeights(graph: GraphProto): Map<string, TensorData> {
  const tensors = new Map<string, TensorData>();
  if (graph.sparseInitializer.length > 0) {
    throw new UserError("the model stores sparse tensors, which are not read; export it with dense ones");
  }
  for (const proto of storedTensors(graph)) {
    if (tensors.has(proto.name)) throw new UserError(`tensor "${proto.name}" is stored twice`);
    tensors.set(proto.name, widened(readTensor(proto.tensor, `tensor "${proto.name}"`)));
  }
  return tensors;
}

/** A copy of a model with other numbers in some of the tensors it stores; everything else stays as it is, types too. */
export function withWeights(model: ModelProto, tensors: ReadonlyMap<string, TensorData>): ModelProto {
  const copy = clone(ModelProtoSchema, model);
  const places = new Map(storedTensors(copy.graph!).map((place) => [place.name, place]));
  for (const [name, tensor] of tensors) {
    const place = places.get(name);
    if (!place) throw new UserError(`the model stores no tensor "${name}"`);
    const stored = { type: dataTypeName(place.tensor.dataType, name), shape: place.tensor.dims.map(Number) };
    const next = narrowed(tensor, stored.type);
    if (stored.type !== next.type || !sameShape(stored.shape, tensor.shape)) {
      throw new UserError(`tensor "${name}": the model stores ${describe(stored)}, got ${describe(tensor)}`);
    }
    place.replace(writeTensor(place.tensor.name, next));
  }
  return copy;
}

/** Whether a node is a stored weight: a Constant of several floating-point numbers. */
export function isStoredWeight(node: NodeProto): boolean {
  return constantTensor(node) !== undefined;
}

export function isFloatingPoint({ type }: Pick<TensorData, "type">): boolean {
  return type === "float32" || type === "float64" || type === "float16" || type === "bfloat16";
}

/** A tensor of a file and its place. */
export interface StoredTensor {
  name: string;
  tensor: TensorProto;
  replace: (tensor: TensorProto) => void;
}

/** The tensors that a file stores, where they stand. */
export function storedTensors(graph: GraphProto): StoredTensor[] {
  const initializers = graph.initializer.map((tensor, index) => ({
    name: tensor.name,
    tensor,
    replace: (next: TensorProto) => {
      graph.initializer[index] = next;
    },
  }));
  const constants = graph.node.flatMap((node) => {
    const attribute = constantTensor(node);
    if (!attribute?.t) return [];
    return [
      {
        name: node.output[0],
        tensor: attribute.t,
        replace: (next: TensorProto) => {
          attribute.t = next;
        },
      },
    ];
  });
  return [...initializers, ...constants];
}

function constantTensor(node: NodeProto) {
  if (node.opType !== "Constant" || node.output.length === 0) return undefined;
  const attribute = node.attribute.find(({ name, t }) => name === "value" && t !== undefined);
  if (!attribute?.t || elementCount(attribute.t.dims.map(Number)) <= 1) return undefined;
  const isFloat = isFloatingPoint({ type: dataTypeName(attribute.t.dataType, `tensor "${node.output[0]}"`) });
  return isFloat ? attribute : undefined;
}
