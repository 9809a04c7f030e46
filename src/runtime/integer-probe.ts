import { create } from "@bufbuild/protobuf";
import { writeModel } from "../onnx/model.ts";
import {
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  ValueInfoProtoSchema,
} from "../onnx/onnx_pb.ts";
import { type TensorData, type Tensors, writeTensor } from "../onnx/tensor.ts";
import { dataTypeNumber } from "../onnx/types.ts";

const size = 8;

/**
 * A model that tells whether the faster kernels of this processor saturate: on x86 without VNNI, two products of 8-bit
 * integers are added in 16 bits. It computes 8 · 255 · 127.
 */
export const integerProbe = {
  model: () => product(new Int8Array(size * size).fill(127), [size, size]),
  /** New ones each time: an engine takes over the memory of its inputs. */
  inputs: () =>
    ({ x: { type: "uint8", shape: [1, size], data: new Uint8Array(size).fill(255) } }) satisfies Tensors,
  isExact: (y: TensorData) => Number(y.data[0]) === size * 255 * 127,
};

/** A model that multiplies a matrix of unsigned 8-bit integers by a stored one. */
function product(weights: Int8Array<ArrayBuffer>, shape: readonly number[]): Uint8Array {
  const typed = (name: string, type: "uint8" | "int32") =>
    create(ValueInfoProtoSchema, {
      name,
      type: create(TypeProtoSchema, {
        value: {
          case: "tensorType",
          value: create(TypeProto_TensorSchema, { elemType: dataTypeNumber(type) }),
        },
      }),
    });
  return writeModel(
    create(ModelProtoSchema, {
      irVersion: 7n,
      opsetImport: [create(OperatorSetIdProtoSchema, { version: 13n })],
      graph: create(GraphProtoSchema, {
        name: "product",
        input: [typed("x", "uint8")],
        output: [typed("y", "int32")],
        initializer: [writeTensor("w", { type: "int8", shape, data: weights })],
        node: [create(NodeProtoSchema, { opType: "MatMulInteger", input: ["x", "w"], output: ["y"] })],
      }),
    }),
  );
}
