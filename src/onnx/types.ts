// The enumerations of the ONNX format, which onnx.proto declares as plain numbers, and what TypeScript makes of each
// data type.

import { UserError } from "../common/errors.ts";

/** The name of an ONNX element type: `"float32"`, `"int64"`, `"bool"`, … */
export type DataType = keyof typeof dataTypes;

/**
 * The array that holds values of a data type, one entry an element (two for complex numbers: real, imaginary).
 * `bool` is 0 or 1; types without a JavaScript counterpart (float16, bfloat16, float8, float4) are their bits,
 * unsigned; 4- and 2-bit integers are unpacked to a byte each.
 */
export type DataArray<T extends DataType = DataType> = T extends "string"
  ? readonly string[]
  : InstanceType<Exclude<(typeof dataTypes)[T]["array"], undefined>>;

/** The number of a data type in an ONNX file. */
export function dataTypeNumber(type: DataType): number {
  return dataTypes[type].number;
}

/**
 * The data type behind a number in an ONNX file.
 * @throws UserError that begins with `subject` if there is no such type
 */
export function dataTypeName(number: number, subject: string): DataType {
  const name = namesByNumber.get(number);
  if (name === undefined) {
    throw new UserError(
      number === 0
        ? `${subject}: has no data type`
        : `${subject}: data type number ${number} is not known, only 1 to ${namesByNumber.size} are`,
    );
  }
  return name;
}

/** Whether numbers of a type are real ones, which can be differentiated. */
export function isFloat(type: DataType): boolean {
  return type === "float32" || type === "float64" || type === "float16" || type === "bfloat16";
}

/** The type that a type of a file is computed in: float32 for smaller floats, 8 bits for smaller integers. */
export function wideType(type: DataType): DataType {
  if (type === "float16" || type === "bfloat16" || /^float[48]/.test(type)) return "float32";
  if (type === "uint4" || type === "uint2") return "uint8";
  return type === "int4" || type === "int2" ? "int8" : type;
}

/**
 * Of every data type: its number in a file, its bits as stored, the array it becomes here (none: strings), the typed
 * list of TensorProto that may hold it instead of raw_data, and how many numbers make an element where that is not 1.
 * These are the types of IR version 13; version 14 adds two of 6 bits.
 */
export const dataTypes = {
  float32: { number: 1, bits: 32, array: Float32Array, list: "floatData" },
  uint8: { number: 2, bits: 8, array: Uint8Array, list: "int32Data" },
  int8: { number: 3, bits: 8, array: Int8Array, list: "int32Data" },
  uint16: { number: 4, bits: 16, array: Uint16Array, list: "int32Data" },
  int16: { number: 5, bits: 16, array: Int16Array, list: "int32Data" },
  int32: { number: 6, bits: 32, array: Int32Array, list: "int32Data" },
  int64: { number: 7, bits: 64, array: BigInt64Array, list: "int64Data" },
  string: { number: 8, bits: 0, array: undefined, list: "stringData" },
  bool: { number: 9, bits: 8, array: Uint8Array, list: "int32Data" },
  float16: { number: 10, bits: 16, array: Uint16Array, list: "int32Data" },
  float64: { number: 11, bits: 64, array: Float64Array, list: "doubleData" },
  uint32: { number: 12, bits: 32, array: Uint32Array, list: "uint64Data" },
  uint64: { number: 13, bits: 64, array: BigUint64Array, list: "uint64Data" },
  complex64: { number: 14, bits: 32, array: Float32Array, list: "floatData", parts: 2 },
  complex128: { number: 15, bits: 64, array: Float64Array, list: "doubleData", parts: 2 },
  bfloat16: { number: 16, bits: 16, array: Uint16Array, list: "int32Data" },
  float8e4m3fn: { number: 17, bits: 8, array: Uint8Array, list: "int32Data" },
  float8e4m3fnuz: { number: 18, bits: 8, array: Uint8Array, list: "int32Data" },
  float8e5m2: { number: 19, bits: 8, array: Uint8Array, list: "int32Data" },
  float8e5m2fnuz: { number: 20, bits: 8, array: Uint8Array, list: "int32Data" },
  uint4: { number: 21, bits: 4, array: Uint8Array, list: "int32Data" },
  int4: { number: 22, bits: 4, array: Int8Array, list: "int32Data" },
  float4e2m1: { number: 23, bits: 4, array: Uint8Array, list: "int32Data" },
  float8e8m0: { number: 24, bits: 8, array: Uint8Array, list: "int32Data" },
  uint2: { number: 25, bits: 2, array: Uint8Array, list: "int32Data" },
  int2: { number: 26, bits: 2, array: Int8Array, list: "int32Data" },
} as const;

/** AttributeProto.type: which field of an attribute holds its value. */
export const attributeTypes = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
  sparseTensor: 11,
  sparseTensors: 12,
  type: 13,
  types: 14,
} as const;

/** The kind of an attribute's value. */
export type AttributeKind = keyof typeof attributeTypes;

/** TensorProto.data_location: in the message itself, or in another file. */
export const dataLocations = { inside: 0, external: 1 } as const;

const namesByNumber = new Map<number, DataType>(
  (Object.keys(dataTypes) as DataType[]).map((name) => [dataTypes[name].number, name]),
);
