import { create } from "@bufbuild/protobuf";
import { narrowed } from "../../import/narrow-types.ts";
import {
  AttributeProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  type TensorProto,
} from "../../onnx/onnx_pb.ts";
import type { TensorData } from "../../onnx/tensor.ts";
import { tensorData } from "../../onnx/tensor-data.ts";
import { attributeTypes, dataTypeName, isFloat } from "../../onnx/types.ts";
import type { Numbers } from "./drawing.ts";

// Tensors as files hold them.

/** A tensor's numbers in its type in the file. */
export function tensorOf({ type, shape, values }: Pick<Numbers, "type" | "shape" | "values">): TensorData {
  if (type === "float16") return narrowed(tensorData(values, shape, "float32"), "float16");
  return tensorData(values, shape, type);
}

export function constantNode(tensor: TensorProto): NodeProto {
  return create(NodeProtoSchema, {
    opType: "Constant",
    output: [tensor.name],
    attribute: [create(AttributeProtoSchema, { name: "value", type: attributeTypes.tensor, t: tensor })],
  });
}

/** A Constant held floating-point numbers only, before opset 9. */
export function isConstantIn(opset: number, { dataType }: TensorProto): boolean {
  return opset >= 9 || isFloat(dataTypeName(dataType, "tensor"));
}
