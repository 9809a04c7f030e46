// Tensors: the TensorProto of a file, and the typed array that the rest of the compiler works with.

import { create, isFieldSet } from "@bufbuild/protobuf";
import { UserError } from "../common/errors.ts";
import { type TensorProto, TensorProtoSchema } from "./onnx_pb.ts";
import { decodeText, encodeText } from "./text.ts";
import { type DataArray, type DataType, dataLocations, dataTypeName, dataTypes } from "./types.ts";

export type { DataArray, DataType } from "./types.ts";

/**
 * The values of a tensor in row-major order. `data` has as many entries as `shape` has elements (twice as many for
 * complex numbers); {@link DataArray} tells how each type is held. A scalar has the shape `[]`.
 */
export interface TensorData<T extends DataType = DataType> {
  readonly type: T;
  readonly shape: readonly number[];
  readonly data: DataArray<T>;
}

/** Tensors by name. */
export type Tensors = Record<string, TensorData>;

/**
 * The values of a tensor of a file, copied out of it.
 *
 * As in ONNX Runtime, entries of a typed list that is wider than the element (int32_data for int8, …) keep their low
 * bits, and a bool is true when it is not 0. Little-endian hosts only, which is what Node and browsers run on.
 * @param subject how messages name the tensor
 * @throws UserError naming the tensor if its shape and its values do not agree or its values are in another file
 */
export function readTensor(
  proto: TensorProto,
  subject = proto.name === "" ? "unnamed tensor" : `tensor "${proto.name}"`,
): TensorData {
  const type = dataTypeName(proto.dataType, subject);
  if (proto.dataLocation === dataLocations.external) {
    const location = proto.externalData.find((entry) => entry.key === "location")?.value ?? "no name given";
    throw new UserError(
      `${subject}: its values are in another file (${location}), which is not read yet; save the model with its weights inside`,
    );
  }
  if (isFieldSet(proto, TensorProtoSchema.field.segment)) {
    throw new UserError(`${subject}: is stored in segments, which are not read`);
  }
  const shape = readShape(proto.dims, subject);
  const raw = isFieldSet(proto, TensorProtoSchema.field.rawData);
  return { type, shape, data: (raw && type !== "string" ? fromRaw : fromList)(proto, type, shape, subject) };
}

/**
 * The tensor as a file holds it, values in raw_data (strings in string_data). Where both have the same layout the
 * result looks at the memory of `tensor.data`: write it out before changing that.
 * @throws UserError naming the tensor if its array is of another kind than its type says, or its length is not its shape's
 */
export function writeTensor(name: string, tensor: TensorData): TensorProto {
  const { type, shape, data } = tensor;
  const subject = `tensor "${name}"`;
  if (!shape.every(Number.isInteger)) {
    throw new UserError(`${subject}: shape [${shape.join(", ")}] holds a size that is no integer`);
  }
  const dims = shape.map(BigInt);
  const entries = entryCount(type, readShape(dims, subject), subject);
  const wanted = dataTypes[type].array?.name ?? "Array";
  const got = isText(data) ? "Array" : data[Symbol.toStringTag];
  if (got !== wanted) throw new UserError(`${subject}: ${type} is held in a ${wanted}, got a ${got}`);
  checkCount(data.length, entries, "values", type, shape, subject);
  return create(TensorProtoSchema, { name, dims, dataType: dataTypes[type].number, ...toFields(type, data) });
}

type NumberArray = Exclude<DataArray, readonly string[]>;

function isText(data: DataArray): data is readonly string[] {
  return Array.isArray(data);
}

function readShape(dims: readonly bigint[], subject: string): number[] {
  for (const dim of dims) {
    if (dim < 0n) throw new UserError(`${subject}: shape [${dims.join(", ")}] holds a negative size`);
  }
  return dims.map(Number);
}

/** How many entries the array of a tensor has. Throws where they could not be counted, let alone held. */
function entryCount(type: DataType, shape: readonly number[], subject: string): number {
  const info = dataTypes[type];
  const parts = "parts" in info ? info.parts : 1;
  const count = shape.includes(0) ? 0 : shape.reduce((product, size) => product * size, parts);
  if (!Number.isSafeInteger(count)) {
    throw new UserError(`${subject}: shape [${shape.join(", ")}] has more elements than any memory holds`);
  }
  return count;
}

function checkCount(
  got: number,
  wanted: number,
  what: string,
  type: DataType,
  shape: readonly number[],
  subject: string,
) {
  if (got === wanted) return;
  throw new UserError(
    `${subject}: has ${got} ${what}, ${type} of shape [${shape.join(", ")}] wants ${wanted}`,
  );
}

function fromRaw(proto: TensorProto, type: DataType, shape: readonly number[], subject: string): DataArray {
  const entries = entryCount(type, shape, subject);
  const wanted = Math.ceil((entries * dataTypes[type].bits) / 8);
  checkCount(proto.rawData.length, wanted, "bytes of raw_data", type, shape, subject);
  return fromBytes(new Uint8Array(proto.rawData), type, entries);
}

function fromList(proto: TensorProto, type: DataType, shape: readonly number[], subject: string): DataArray {
  const { bits, list } = dataTypes[type];
  const entries = entryCount(type, shape, subject);
  const wanted = bits > 0 && bits < 8 ? Math.ceil((entries * bits) / 8) : entries;
  const what = `values in ${TensorProtoSchema.field[list].name}`;
  checkCount(proto[list].length, wanted, what, type, shape, subject);
  if (type === "string") return proto.stringData.map((bytes) => decodeText(bytes, subject));
  if (type === "bool") return Uint8Array.from(proto.int32Data, (value) => (value === 0 ? 0 : 1));
  if (type === "uint32")
    return Uint32Array.from(proto.uint64Data, (value) => Number(BigInt.asUintN(32, value)));
  if (bits < 8) return fromBytes(Uint8Array.from(proto.int32Data), type, entries);
  const array = dataTypes[type].array as new (values: unknown) => NumberArray;
  return new array(proto[list]);
}

/** Takes the bytes over: they must be the whole of their buffer. */
function fromBytes(bytes: Uint8Array<ArrayBuffer>, type: DataType, entries: number): DataArray {
  const { bits } = dataTypes[type];
  if (type === "bool") return bytes.map((value) => (value === 0 ? 0 : 1));
  const array = dataTypes[type].array as new (source: ArrayBuffer | number) => NumberArray;
  return bits < 8 ? unpack(bytes, bits, new array(entries)) : new array(bytes.buffer);
}

function toFields(type: DataType, data: DataArray) {
  if (isText(data)) return { stringData: data.map(encodeText) };
  const { bits } = dataTypes[type];
  const rawData =
    bits < 8
      ? pack(data as Uint8Array | Int8Array, bits)
      : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return { rawData };
}

/** Elements of fewer than 8 bits lie in a byte from the low bits up; signed ones are two's complement. */
function unpack(bytes: Uint8Array, bits: number, into: NumberArray): NumberArray {
  const perByte = 8 / bits;
  const unused = 32 - bits;
  const signed = into instanceof Int8Array;
  for (let index = 0; index < into.length; index++) {
    const top = bytes[Math.floor(index / perByte)] << (unused - (index % perByte) * bits);
    into[index] = signed ? top >> unused : top >>> unused;
  }
  return into;
}

function pack(elements: Uint8Array | Int8Array, bits: number): Uint8Array {
  const perByte = 8 / bits;
  const bytes = new Uint8Array(Math.ceil(elements.length / perByte));
  elements.forEach((element, index) => {
    bytes[Math.floor(index / perByte)] |= (element & (2 ** bits - 1)) << ((index % perByte) * bits);
  });
  return bytes;
}
