import { unzipSync } from "fflate";
import { UserError } from "../../common/errors.ts";
import { elementCount } from "../../graph/graph.ts";

// NumPy's array files (.npy, format 1 to 3) and archives of them (.npz).

/** An array in row-major order. */
export interface NpyArray {
  shape: readonly number[];
  data:
    | Uint8Array
    | Int8Array
    | Uint16Array
    | Int16Array
    | Uint32Array
    | Int32Array
    | BigInt64Array
    | BigUint64Array
    | Float32Array
    | Float64Array;
}

const arrays = {
  b1: Uint8Array,
  u1: Uint8Array,
  i1: Int8Array,
  u2: Uint16Array,
  i2: Int16Array,
  u4: Uint32Array,
  i4: Int32Array,
  u8: BigUint64Array,
  i8: BigInt64Array,
  f4: Float32Array,
  f8: Float64Array,
} as const;

/**
 * Reads an array that `numpy.save` wrote: little-endian or one-byte elements in C or Fortran order.
 * @param file how messages name it
 * @throws UserError for what is no such file, objects and complex numbers, big-endian elements, a length that is not the
 *   shape's
 */
export function parseNpy(bytes: Uint8Array, file: string): NpyArray {
  const text = (from: number, to: number) => new TextDecoder("latin1").decode(bytes.subarray(from, to));
  if (bytes.length < 10 || text(0, 6) !== "\x93NUMPY")
    throw new UserError(`${file} is no .npy file: it does not start with \\x93NUMPY`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isShort = bytes[6] === 1;
  const start = isShort ? 10 : 12;
  const end = start + (isShort ? view.getUint16(8, true) : view.getUint32(8, true));
  const header = text(start, Math.min(end, bytes.length));
  const type = /'descr':\s*'([<>|=])([a-zA-Z]\d+)'/.exec(header);
  const order = /'fortran_order':\s*(True|False)/.exec(header)?.[1];
  const sizes = /'shape':\s*\(([^)]*)\)/.exec(header)?.[1];
  if (!type || order === undefined || sizes === undefined) {
    const stated = /'descr':\s*'([^']*)'/.exec(header)?.[1] ?? "records";
    throw new UserError(`${file} holds ${stated}; an array of plain numbers was expected`);
  }
  const [, endian, kind] = type;
  if (!Object.hasOwn(arrays, kind) || (endian === ">" && !kind.endsWith("1")))
    throw new UserError(`${file} holds ${endian}${kind}; little-endian integers or floats were expected`);
  const shape = sizes.split(",").flatMap((size) => (size.trim() === "" ? [] : [Number(size)]));
  const ArrayOf = arrays[kind as keyof typeof arrays];
  const count = elementCount(shape);
  // A copy, as its elements have to be aligned.
  const content = new Uint8Array(bytes.subarray(end));
  if (content.length !== count * ArrayOf.BYTES_PER_ELEMENT)
    throw new UserError(
      `${file} has ${content.length} bytes behind its header; ${endian}${kind} of shape (${shape.join(", ")}) takes ${count * ArrayOf.BYTES_PER_ELEMENT}`,
    );
  const data = new ArrayOf(content.buffer);
  return { shape, data: order === "True" ? inRows(data, shape) : data };
}

/**
 * Reads an archive that `numpy.savez` or `savez_compressed` wrote: its arrays by name.
 * @throws UserError for what is no such archive
 */
export function parseNpz(bytes: Uint8Array, file: string): Map<string, NpyArray> {
  let entries: Record<string, Uint8Array>;
  try {
    entries = unzipSync(bytes);
  } catch (error) {
    throw new UserError(`${file} is no .npz archive: ${(error as Error).message}`);
  }
  return new Map(
    Object.entries(entries).map(([name, content]) => [
      name.replace(/\.npy$/, ""),
      parseNpy(content, `${file}, ${name}`),
    ]),
  );
}

/** Fortran order, first axis fastest, to rows. */
function inRows<T extends NpyArray["data"]>(data: T, shape: readonly number[]): T {
  const result = data.slice() as T;
  const strides = shape.map((_, axis) => elementCount(shape.slice(0, axis)));
  for (let index = 0; index < data.length; index++) {
    let [rest, place] = [index, 0];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      place += (rest % shape[axis]) * strides[axis];
      rest = Math.floor(rest / shape[axis]);
    }
    result[index] = data[place];
  }
  return result;
}
