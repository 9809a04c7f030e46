import type { Attributes } from "../graph/graph.ts";
import type { AttributeValue } from "../onnx/attributes.ts";
import type { DataType, TensorData } from "../onnx/tensor.ts";
import { dataTypeName, dataTypeNumber } from "../onnx/types.ts";

// float16 and bfloat16 are float32 in a graph that trains: their steps are too coarse for small updates, and ONNX Runtime
// computes them in float32 anyway. In the file they stay what they are.

/** The type that a type of the file is computed in. */
export function wideType(type: DataType): DataType {
  return type === "float16" || type === "bfloat16" ? "float32" : type;
}

/** A tensor in the type that it is computed in. */
export function widened(tensor: TensorData): TensorData {
  if (wideType(tensor.type) === tensor.type) return tensor;
  const bits = tensor.data as Uint16Array;
  const read = tensor.type === "float16" ? float16Value : bfloat16Value;
  return { type: "float32", shape: tensor.shape, data: Float32Array.from(bits, read) };
}

/** The attributes of a node with tensors and the types of results (`to`, `dtype`) in what they are computed in. */
export function widenedAttributes(attributes: Attributes): Attributes {
  const widen = (name: string, value: AttributeValue): AttributeValue => {
    if ("tensor" in value) return { tensor: widened(value.tensor) };
    if (!("int" in value) || (name !== "to" && name !== "dtype") || value.int === 0) return value;
    return { int: dataTypeNumber(wideType(dataTypeName(value.int, `attribute "${name}"`))) };
  };
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, widen(name, value)]));
}

/** The float32 numbers of a tensor in the type of the file, rounded to the nearest, ties to even. */
export function narrowed(tensor: TensorData, type: DataType): TensorData {
  if (tensor.type === type || wideType(type) !== tensor.type) return tensor;
  const values = tensor.data as Float32Array;
  const write = type === "float16" ? float16Bits : bfloat16Bits;
  return { type, shape: tensor.shape, data: Uint16Array.from(values, write) } as TensorData;
}

function float16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const word = new Uint32Array(1);
const asFloat = new Float32Array(word.buffer);

function bfloat16Value(bits: number): number {
  word[0] = bits << 16;
  return asFloat[0];
}

function bfloat16Bits(value: number): number {
  if (Number.isNaN(value)) return 0x7fc0;
  asFloat[0] = value;
  return (word[0] + 0x7fff + ((word[0] >>> 16) & 1)) >>> 16;
}

function float16Bits(value: number): number {
  if (Number.isNaN(value)) return 0x7e00;
  asFloat[0] = value;
  const sign = (word[0] >>> 16) & 0x8000;
  const size = Math.abs(asFloat[0]);
  if (size >= 65520) return sign | 0x7c00;
  if (size < 2 ** -14) return sign | roundedToEven(size * 2 ** 24);
  const bits = word[0] & 0x7fffffff;
  // The exponent's bias goes from 127 to 15, the fraction from 23 bits to 10; a carry moves into the exponent.
  return sign | ((bits + 0xfff + ((bits >>> 13) & 1) - (112 << 23)) >>> 13);
}

function roundedToEven(value: number): number {
  const low = Math.floor(value);
  const rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 === 1) ? low + 1 : low;
}
