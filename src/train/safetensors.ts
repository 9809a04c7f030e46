import { UserError } from "../common/errors.ts";
import { elementCount } from "../graph/graph.ts";
import type { TensorData } from "../onnx/tensor.ts";
import type { Tensors } from "../runtime/engine.ts";

// The safetensors format (huggingface.co/docs/safetensors): the length of a JSON header as a 64-bit little-endian
// number, the header (name → type, shape, byte range), the bytes of all tensors one after another.

const formats = {
  float32: { code: "F32", array: Float32Array },
  float64: { code: "F64", array: Float64Array },
  int32: { code: "I32", array: Int32Array },
  int64: { code: "I64", array: BigInt64Array },
} as const;

type StoredType = keyof typeof formats;

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** Tensors and a few words about them as the bytes of a safetensors file. */
export function writeSafetensors(
  tensors: Tensors,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  let offset = 0;
  const header: Record<string, Entry | Readonly<Record<string, string>>> = { __metadata__: metadata };
  const parts = Object.entries(tensors).map(([name, { type, shape, data }]) => {
    const format = formats[type as StoredType];
    if (!format || !ArrayBuffer.isView(data))
      throw new Error(`tensor "${name}" of type ${type} is not stored here`);
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    header[name] = { dtype: format.code, shape: [...shape], data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
    return bytes;
  });
  const json = Buffer.from(JSON.stringify(header));
  // The format wants the data aligned, and allows spaces after the header for it.
  const padding = Buffer.alloc((8 - (json.length % 8)) % 8, " ");
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length + padding.length));
  return Buffer.concat([length, json, padding, ...parts]);
}

/** Reads a safetensors file. Throws `UserError` naming `file` when it is damaged. */
export function readSafetensors(bytes: Uint8Array, file: string) {
  const damaged = (reason: string) => new UserError(`${file} is damaged: ${reason}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = bytes.length < 8 ? -1 : Number(view.getBigUint64(0, true));
  if (headerLength < 2 || headerLength > bytes.length - 8)
    throw damaged(`${bytes.length} bytes do not hold its header`);
  let header: Record<string, Entry | Record<string, string>>;
  try {
    header = JSON.parse(Buffer.from(bytes.subarray(8, 8 + headerLength)).toString());
  } catch {
    throw damaged("its header is not JSON");
  }
  if (typeof header !== "object" || header === null) throw damaged("its header is no JSON object");
  // Not a Buffer, whose slices would be views.
  const data = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength).subarray(8 + headerLength);
  const { __metadata__: metadata = {}, ...entries } = header;
  const tensors = Object.entries(entries as Record<string, Entry>).map(([name, entry]) => [
    name,
    readEntry(entry, data, () => damaged(`tensor "${name}" does not fit its shape, type or place`)),
  ]);
  return { tensors: Object.fromEntries(tensors) as Tensors, metadata: metadata as Record<string, string> };
}

function readEntry(entry: Partial<Entry> | null, data: Uint8Array, damaged: () => Error): TensorData {
  const { dtype, shape, data_offsets: offsets } = entry ?? {};
  const type = (Object.keys(formats) as StoredType[]).find((name) => formats[name].code === dtype);
  if (!type || !areSizes(shape) || !areSizes(offsets)) throw damaged();
  const { array } = formats[type];
  const [start, end] = offsets;
  if (end > data.length || end - start !== elementCount(shape) * array.BYTES_PER_ELEMENT) throw damaged();
  // A copy of its own, since a typed array cannot begin at just any byte.
  return { type, shape, data: new array(data.slice(start, end).buffer) };
}

function areSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}
