import type { Attributes } from "../graph/graph.ts";
import type { AttributeValue } from "../onnx/attributes.ts";
import type { GraphProto } from "../onnx/onnx_pb.ts";
import { isSmallFloat, smallFloatBits, smallFloatValue } from "../onnx/small-floats.ts";
import type { DataType, TensorData } from "../onnx/tensor.ts";
import { dataTypeName, dataTypeNumber, dataTypes, wideType } from "../onnx/types.ts";

// float16 and bfloat16 are float32 in a graph that trains: their steps are too coarse for small updates, and ONNX Runtime
// computes them in float32 anyway. Floats of 8 and 4 bits are float32 too, and integers of 4 and 2 bits are of 8: those
// ONNX Runtime has hardly a kernel for, and its package for Node neither takes nor gives them. A cast to one of these
// rounds to its numbers. In the file all stay what they are.

/** A tensor in the type that it is computed in. */
export function widened(tensor: TensorData): TensorData {
  if (wideType(tensor.type) === tensor.type) return tensor;
  const { type, shape } = tensor;
  if (!isSmallFloat(type)) return { ...tensor, type: wideType(type) } as TensorData;
  const bits = tensor.data as Uint16Array | Uint8Array;
  return { type: "float32", shape, data: Float32Array.from(bits, (code) => smallFloatValue(code, type)) };
}

/**
 * The attributes of a node with tensors in what they are computed in, and half precision as the type of a result (`to`,
 * `dtype`) too.
 */
export function widenedAttributes(attributes: Attributes): Attributes {
  const widen = (name: string, value: AttributeValue): AttributeValue => {
    if ("tensor" in value) return { tensor: widened(value.tensor) };
    if (!("int" in value) || (name !== "to" && name !== "dtype") || value.int === 0) return value;
    const type = dataTypeName(value.int, `attribute "${name}"`);
    return { int: dataTypeNumber(isHalf(type) ? "float32" : type) };
  };
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, widen(name, value)]));
}

/** The numbers of a tensor in the type of the file, rounded to the nearest, ties to even. */
export function narrowed(tensor: TensorData, type: DataType): TensorData {
  if (tensor.type === type || wideType(type) !== tensor.type) return tensor;
  if (!isSmallFloat(type)) return { ...tensor, type } as TensorData;
  const codes = Array.from(tensor.data as Float32Array, (value) => smallFloatBits(value, type));
  const data = new dataTypes[type].array(codes);
  return { type, shape: tensor.shape, data } as TensorData;
}

/** The types that a file states for its tensors: inputs, stored ones, and others as far as it lists them. */
export function statedTypes(graph: GraphProto): Map<string, DataType> {
  const types = new Map<string, DataType>();
  const set = (name: string, number: number | undefined) => {
    if (number) types.set(name, dataTypeName(number, `tensor "${name}"`));
  };
  for (const { name, type } of [...graph.valueInfo, ...graph.input])
    set(name, type?.value.case === "tensorType" ? type.value.value.elemType : undefined);
  for (const { name, dataType } of graph.initializer) set(name, dataType);
  for (const { opType, output, attribute } of graph.node) {
    if (opType === "Constant") set(output[0], attribute.find(({ t }) => t)?.t?.dataType);
    if (opType === "Cast") set(output[0], Number(attribute.find(({ name }) => name === "to")?.i));
  }
  return types;
}

function isHalf(type: DataType): boolean {
  return type === "float16" || type === "bfloat16";
}
