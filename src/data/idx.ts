import { UserError } from "../common/errors.ts";

/** What an IDX file of bytes holds: an array of that shape, row by row. */
export interface IdxArray {
  shape: readonly number[];
  data: Uint8Array;
}

/**
 * Reads the IDX format of MNIST (LeCun, Cortes and Burges): two zero bytes, the type (8: unsigned byte), the number
 * of dimensions, each dimension as a big-endian 32-bit integer, then the elements. The data is a view, not a copy.
 *
 * @param name what to call the bytes in an error, e.g. the file's name
 * @throws UserError when the header is not that of bytes or the length disagrees with it
 */
export function parseIdx(bytes: Uint8Array, name: string): IdxArray {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = bytes.length >= 4 ? view.getUint32(0) : -1;
  const rank = magic & 0xff;
  if (magic >>> 8 !== 0x000008 || bytes.length < 4 + 4 * rank) {
    const got =
      bytes.length >= 4
        ? `starts with 0x${magic.toString(16).padStart(8, "0")}`
        : `is ${bytes.length} bytes long`;
    throw new UserError(
      `${name} ${got}; an IDX file of unsigned bytes was wanted, which starts with 0x000008 and its rank`,
    );
  }
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  const data = bytes.subarray(4 + 4 * rank);
  const elements = shape.reduce((product, size) => product * size, 1);
  if (data.length !== elements) {
    throw new UserError(
      `${name} holds ${data.length} elements, but its header says ${shape.join(" × ")} = ${elements}`,
    );
  }
  return { shape, data };
}
