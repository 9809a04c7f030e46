// The attributes of a node: the AttributeProto list of a file, and a record of plain values.

import { create, type DescField, isFieldSet, type MessageInitShape } from "@bufbuild/protobuf";
import { UserError } from "../common/errors.ts";
import {
  type AttributeProto,
  AttributeProtoSchema,
  type GraphProto,
  type SparseTensorProto,
  type TensorProto,
  type TypeProto,
} from "./onnx_pb.ts";
import { readTensor, type TensorData, writeTensor } from "./tensor.ts";
import { decodeText, encodeText } from "./text.ts";
import { type AttributeKind, attributeTypes } from "./types.ts";

/**
 * The value of an attribute under its kind, because ONNX tells 1 (int) from 1.0 (float): `{ int: 1 }`,
 * `{ floats: [0.5, 1] }`. `reference` stands in the nodes of a function for the function's own attribute of that
 * name, which is of the kind given.
 */
export type AttributeValue =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly string: string }
  | { readonly tensor: TensorData }
  | { readonly graph: GraphProto }
  | { readonly sparseTensor: SparseTensorProto }
  | { readonly type: TypeProto }
  | { readonly ints: readonly number[] }
  | { readonly floats: readonly number[] }
  | { readonly strings: readonly string[] }
  | { readonly tensors: readonly TensorData[] }
  | { readonly graphs: readonly GraphProto[] }
  | { readonly sparseTensors: readonly SparseTensorProto[] }
  | { readonly types: readonly TypeProto[] }
  | { readonly reference: string; readonly kind: AttributeKind };

/**
 * The attributes of a node by name.
 *
 * The largest and the smallest int64, which exporters write for "to the end", become `Number.MAX_SAFE_INTEGER` and
 * `Number.MIN_SAFE_INTEGER`; any other integer that a number cannot hold exactly is refused.
 * @throws UserError naming the attribute
 */
export function readAttributes(protos: readonly AttributeProto[]): Record<string, AttributeValue> {
  const values = new Map<string, AttributeValue>();
  for (const proto of protos) {
    if (values.has(proto.name)) throw new UserError(`${subject(proto.name)}: is given twice`);
    values.set(proto.name, readAttribute(proto));
  }
  return Object.fromEntries(values);
}

/**
 * The attributes as a file holds them, in the order of the record. Tensors share memory as in writeTensor.
 * @throws UserError naming the attribute if an int is no safe integer or a float is beyond float32
 */
export function writeAttributes(values: Readonly<Record<string, AttributeValue>>): AttributeProto[] {
  return Object.entries(values).map(([name, value]) => writeAttribute(name, value));
}

function readAttribute(proto: AttributeProto): AttributeValue {
  const kind = kindOf(proto);
  if (proto.refAttrName !== "") return { reference: proto.refAttrName, kind };
  const value = codecs[kind].read(proto);
  if (value === undefined) throw new UserError(`${subject(proto.name)}: is of kind ${kind} and has no value`);
  return { [kind]: value } as AttributeValue;
}

function writeAttribute(name: string, attribute: AttributeValue): AttributeProto {
  if ("reference" in attribute) {
    const { reference, kind } = attribute;
    return create(AttributeProtoSchema, { name, type: attributeTypes[kind], refAttrName: reference });
  }
  const [[kind, value]] = Object.entries(attribute) as [AttributeKind, unknown][];
  const { write } = codecs[kind] as Codec<unknown>;
  return create(AttributeProtoSchema, { name, type: attributeTypes[kind], ...write(value, name) });
}

/** Files of IR version 1 do not say the kind: there it is the kind of the field that is filled. */
function kindOf(proto: AttributeProto): AttributeKind {
  const kinds = Object.keys(codecs) as AttributeKind[];
  const kind = kinds.find((kind) =>
    proto.type === 0 ? isFieldSet(proto, codecs[kind].field) : proto.type === attributeTypes[kind],
  );
  if (kind !== undefined) return kind;
  throw new UserError(
    `${subject(proto.name)}: ${proto.type === 0 ? "has neither type nor value" : `type number ${proto.type} is not known, only 1 to ${kinds.length} are`}`,
  );
}

type ValueOf<K extends AttributeKind> = Extract<AttributeValue, Readonly<Record<K, unknown>>>[K];

interface Codec<T> {
  /** The field of AttributeProto that holds the value. */
  readonly field: DescField;
  readonly read: (proto: AttributeProto) => T | undefined;
  readonly write: (value: T, name: string) => MessageInitShape<typeof AttributeProtoSchema>;
}

const { field } = AttributeProtoSchema;

// A number or text left out is 0 or "": writers on proto3 leave out what is the default.
const codecs: { readonly [K in AttributeKind]: Codec<ValueOf<K>> } = {
  int: {
    field: field.i,
    read: (proto) => toNumber(proto.i, proto.name),
    write: (value, name) => ({ i: toInt64(value, name) }),
  },
  float: {
    field: field.f,
    read: (proto) => proto.f,
    write: (value, name) => ({ f: toFloat32(value, name) }),
  },
  string: {
    field: field.s,
    read: (proto) => decodeText(proto.s, subject(proto.name)),
    write: (value) => ({ s: encodeText(value) }),
  },
  tensor: {
    field: field.t,
    read: (proto) => proto.t && toTensor(proto.t, proto.name),
    write: (value, name) => ({ t: writeTensor(name, value) }),
  },
  graph: { field: field.g, read: (proto) => proto.g, write: (g) => ({ g }) },
  sparseTensor: {
    field: field.sparseTensor,
    read: (proto) => proto.sparseTensor,
    write: (sparseTensor) => ({ sparseTensor }),
  },
  type: { field: field.tp, read: (proto) => proto.tp, write: (tp) => ({ tp }) },
  ints: {
    field: field.ints,
    read: (proto) => proto.ints.map((value) => toNumber(value, proto.name)),
    write: (values, name) => ({ ints: values.map((value) => toInt64(value, name)) }),
  },
  floats: {
    field: field.floats,
    read: (proto) => [...proto.floats],
    write: (values, name) => ({ floats: values.map((value) => toFloat32(value, name)) }),
  },
  strings: {
    field: field.strings,
    read: (proto) => proto.strings.map((bytes) => decodeText(bytes, subject(proto.name))),
    write: (values) => ({ strings: values.map(encodeText) }),
  },
  tensors: {
    field: field.tensors,
    read: (proto) => proto.tensors.map((tensor) => toTensor(tensor, proto.name)),
    write: (values, name) => ({ tensors: values.map((value) => writeTensor(name, value)) }),
  },
  graphs: {
    field: field.graphs,
    read: (proto) => [...proto.graphs],
    write: (values) => ({ graphs: [...values] }),
  },
  sparseTensors: {
    field: field.sparseTensors,
    read: (proto) => [...proto.sparseTensors],
    write: (values) => ({ sparseTensors: [...values] }),
  },
  types: {
    field: field.typeProtos,
    read: (proto) => [...proto.typeProtos],
    write: (values) => ({ typeProtos: [...values] }),
  },
};

function subject(name: string): string {
  return `attribute "${name}"`;
}

function toTensor(proto: TensorProto, name: string): TensorData {
  return readTensor(proto, `${subject(name)}${proto.name === "" ? "" : `, tensor "${proto.name}"`}`);
}

const int64Max = 2n ** 63n - 1n;

function toNumber(value: bigint, name: string): number {
  if (value === int64Max) return Number.MAX_SAFE_INTEGER;
  if (value === -int64Max - 1n) return Number.MIN_SAFE_INTEGER;
  const number = Number(value);
  if (Number.isSafeInteger(number)) return number;
  throw new UserError(`${subject(name)}: ${value} is beyond the integers of 53 bits that a number can hold`);
}

function toInt64(value: number, name: string): bigint {
  if (Number.isSafeInteger(value)) return BigInt(value);
  throw new UserError(`${subject(name)}: ${value} is no integer of at most 53 bits, which an int has to be`);
}

function toFloat32(value: number, name: string): number {
  const rounded = Math.fround(value);
  if (Number.isFinite(rounded) === Number.isFinite(value)) return rounded;
  throw new UserError(`${subject(name)}: ${value} is beyond the range of float32`);
}
