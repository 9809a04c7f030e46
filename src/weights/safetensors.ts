import { UserError } from "../common/errors.ts";
import { isObject } from "../common/objects.ts";
import type { DataType, TensorData, Tensors } from "../onnx/tensor.ts";
import { fromBfloat16, fromFloat16 } from "./half.ts";

// The safetensors format (huggingface.co/docs/safetensors): the length of a JSON header as a 64-bit little-endian
// number, the header (name → type, shape, byte range), the bytes of all tensors one after another without gaps.

const plainTypes = {
  F64: { type: "float64", array: Float64Array },
  F32: { type: "float32", array: Float32Array },
  I64: { type: "int64", array: BigInt64Array },
  I32: { type: "int32", array: Int32Array },
  I16: { type: "int16", array: Int16Array },
  I8: { type: "int8", array: Int8Array },
  U64: { type: "uint64", array: BigUint64Array },
  U32: { type: "uint32", array: Uint32Array },
  U16: { type: "uint16", array: Uint16Array },
  U8: { type: "uint8", array: Uint8Array },
  BOOL: { type: "bool", array: Uint8Array },
} as const;

const halfTypes = { F16: fromFloat16, BF16: fromBfloat16 } as const;

/** What other software refuses to read, so it is refused here as well. */
const longestHeader = 100_000_000;

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** What a safetensors file holds. */
export interface SafetensorsFile {
  tensors: Tensors;
  /** Words about them. */
  metadata: Record<string, string>;
}

/**
 * Tensors and a few words about them as the bytes of a safetensors file, which PyTorch reads with
 * `safetensors.torch.load_file`. Throws for element types that the format or PyTorch lacks, such as text.
 *
 * ```ts
 * await writeFile("model.safetensors", writeSafetensors(tensors, { format: "pt" }));
 * ```
 */
export function writeSafetensors(
  tensors: Tensors,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const parts = Object.entries(tensors)
    .map(([name, tensor]) => ({ name, tensor, code: codeOf(name, tensor), bytes: bytesOf(tensor) }))
    // PyTorch looks at the numbers where they lie, so the wider types stand first and all are aligned.
    .sort((a, b) => elementSize(b.code) - elementSize(a.code));
  let size = 0;
  const laidOut = parts.map(({ name, tensor: { shape }, code, bytes }) => {
    const begin = size;
    size += bytes.length;
    const entry: Entry = { dtype: code, shape: [...shape], data_offsets: [begin, size] };
    return { name, entry, bytes };
  });
  const entries = laidOut.map(({ name, entry }) => [name, entry] as const);
  const json = new TextEncoder().encode(
    JSON.stringify(Object.fromEntries([["__metadata__", metadata], ...entries])),
  );
  // The format wants the data aligned, and allows spaces after the header for it.
  const start = 8 + Math.ceil(json.length / 8) * 8;
  const file = new Uint8Array(start + size).fill(" ".charCodeAt(0), 8, start);
  new DataView(file.buffer).setBigUint64(0, BigInt(start - 8), true);
  file.set(json, 8);
  for (const { entry, bytes } of laidOut) file.set(bytes, start + entry.data_offsets[0]);
  return file;
}

/**
 * The tensors of a safetensors file, copied out of it; float16 and bfloat16 become float32, which holds all of their
 * numbers. Throws `UserError` naming `file` when it is damaged or lies, or holds a type that is not read (float8).
 *
 * ```ts
 * const { tensors, metadata } = readSafetensors(await readFile("model.safetensors"), "model.safetensors");
 * ```
 */
export function readSafetensors(bytes: Uint8Array, file: string): SafetensorsFile {
  const damaged = (reason: string) => new UserError(`${file} is damaged: ${reason}`);
  const { __metadata__: metadata = {}, ...entries } = readHeader(bytes, damaged);
  if (!isObject(metadata) || Object.values(metadata).some((value) => typeof value !== "string")) {
    throw damaged("its metadata is no object of texts");
  }
  const dataStart = 8 + headerLength(bytes);
  const size = bytes.length - dataStart;
  const checked = Object.entries(entries).map(([name, entry]) => ({
    name,
    entry: checkEntry(entry, size, (reason) => damaged(`tensor "${name}" ${reason}`), file, name),
  }));
  requireNoGaps(checked, size, damaged);
  return {
    tensors: Object.fromEntries(
      checked.map(({ name, entry }) => [name, readTensor(entry, bytes, bytes.byteOffset + dataStart)]),
    ),
    metadata: metadata as Record<string, string>,
  };
}

type Damaged = (reason: string) => UserError;

function headerLength(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return bytes.length < 8 ? -1 : Number(view.getBigUint64(0, true));
}

function readHeader(bytes: Uint8Array, damaged: Damaged): Record<string, unknown> {
  const length = headerLength(bytes);
  if (length > longestHeader) {
    throw damaged(`it claims a header of ${length} bytes, and no more than ${longestHeader} are read`);
  }
  if (length < 2 || length > bytes.length - 8) throw damaged(`${bytes.length} bytes do not hold its header`);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(8, 8 + length)));
  } catch {
    throw damaged("its header is not JSON");
  }
  if (!isObject(header)) throw damaged("its header is no JSON object");
  return header;
}

function checkEntry(entry: unknown, size: number, damaged: Damaged, file: string, name: string): Entry {
  const { dtype, shape, data_offsets: offsets } = isObject(entry) ? (entry as Partial<Entry>) : {};
  if (typeof dtype !== "string" || !areSizes(shape) || !areSizes(offsets) || offsets.length !== 2) {
    throw damaged("lacks a type, a shape or its place");
  }
  if (!isCode(dtype)) {
    throw new UserError(
      `${file}: tensor "${name}" is of type ${dtype}, which is not read; save it as one of ${[...Object.keys(plainTypes), ...Object.keys(halfTypes)].join(", ")}`,
    );
  }
  const [begin, end] = offsets;
  if (begin > end || end > size) {
    throw damaged(`lies at bytes ${begin} to ${end} of the data, which has ${size}`);
  }
  const wanted = shape.reduce((product, length) => product * length, elementSize(dtype));
  if (end - begin !== wanted) {
    throw damaged(`has ${end - begin} bytes, ${dtype} of shape [${shape.join(", ")}] wants ${wanted}`);
  }
  return { dtype, shape, data_offsets: [begin, end] };
}

/** The format allows no byte that belongs to two tensors or to none. */
function requireNoGaps(checked: { name: string; entry: Entry }[], size: number, damaged: Damaged): void {
  const placed = checked.toSorted(
    (a, b) =>
      a.entry.data_offsets[0] - b.entry.data_offsets[0] || a.entry.data_offsets[1] - b.entry.data_offsets[1],
  );
  let at = 0;
  for (const { name, entry } of placed) {
    const [begin, end] = entry.data_offsets;
    if (begin < at)
      throw damaged(`tensor "${name}" begins at byte ${begin} of the data, inside another tensor`);
    if (begin > at) throw damaged(`bytes ${at} to ${begin} of the data belong to no tensor`);
    at = end;
  }
  if (at !== size) throw damaged(`bytes ${at} to ${size} of the data belong to no tensor`);
}

/** `dataStart`: where the data begins in the buffer behind `bytes`. */
function readTensor({ dtype, shape, data_offsets }: Entry, bytes: Uint8Array, dataStart: number): TensorData {
  const [begin, end] = data_offsets.map((offset) => dataStart + offset);
  // A copy of its own, since a typed array cannot begin at just any byte.
  const copy = bytes.buffer.slice(begin, end) as ArrayBuffer;
  if (isHalf(dtype)) return { type: "float32", shape, data: halfTypes[dtype](new Uint16Array(copy)) };
  const { type, array } = plainTypes[dtype as keyof typeof plainTypes];
  return { type, shape, data: new array(copy) };
}

function codeOf(name: string, { type }: TensorData): string {
  const found = Object.entries(plainTypes).find(([, plain]) => plain.type === (type as DataType));
  if (!found) throw new UserError(`tensor "${name}" is of type ${type}, which is not written to safetensors`);
  return found[0];
}

function bytesOf({ data }: TensorData): Uint8Array {
  const { buffer, byteOffset, byteLength } = data as ArrayBufferView;
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function elementSize(code: string): number {
  return isHalf(code) ? 2 : plainTypes[code as keyof typeof plainTypes].array.BYTES_PER_ELEMENT;
}

function isHalf(code: string): code is keyof typeof halfTypes {
  return Object.hasOwn(halfTypes, code);
}

function isCode(code: string): boolean {
  return isHalf(code) || Object.hasOwn(plainTypes, code);
}

function areSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}
