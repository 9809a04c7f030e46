import { crc32, deflateSync } from "node:zlib";
import { UnreadableImage } from "./image-form.ts";

// PNG files whose pixels are numbers: indices of a palette, or levels of gray. Decoders turn both into colors; what is
// done here to the file's chunks makes these colors the numbers themselves.

interface Chunk {
  type: string;
  data: Uint8Array;
}

const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

/** What the header of a PNG file says of its pixels. */
export interface PngForm {
  /** Bits of a number. */
  depth: number;
  holds: "indices" | "gray" | "colors";
}

/**
 * Reads the header of a PNG file.
 * @throws UnreadableImage for what is no PNG file
 */
export function pngForm(bytes: Uint8Array): PngForm {
  if (bytes.length === 0) throw new UnreadableImage("the file is empty");
  if (signature.some((byte, at) => bytes[at] !== byte))
    throw new UnreadableImage("it is no PNG file; other formats blur or recolor class numbers");
  const colorType = bytes[25];
  return {
    depth: bytes[24],
    holds: colorType === 3 ? "indices" : colorType === 0 || colorType === 4 ? "gray" : "colors",
  };
}

/**
 * The same pixels without what changes their colors: color profiles, gamma, transparency.
 * @param numbered whether a palette becomes one whose color i is the gray of level i, which makes indices readable
 */
export function plainPng(bytes: Uint8Array, { numbered }: { numbered: boolean }): Uint8Array {
  const { depth } = pngForm(bytes);
  const chunks = chunksOf(bytes)
    .filter(({ type }) => ["IHDR", "PLTE", "IDAT", "IEND"].includes(type))
    .map((chunk) =>
      numbered && chunk.type === "PLTE" ? { type: "PLTE", data: grayPalette(2 ** depth) } : chunk,
    );
  return pngOf(chunks);
}

/**
 * Writes numbers as a PNG file with a palette.
 * @param data [height, width]
 * @param palette red, green and blue of each number
 */
export function encodeIndices(
  { height, width, data }: { height: number; width: number; data: Uint8Array },
  palette: Uint8Array,
): Uint8Array {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, 3], 8);
  const rows = new Uint8Array(height * (width + 1));
  for (let row = 0; row < height; row++)
    rows.set(data.subarray(row * width, (row + 1) * width), row * (width + 1) + 1);
  return pngOf([
    { type: "IHDR", data: header },
    { type: "PLTE", data: palette },
    { type: "IDAT", data: deflateSync(rows) },
    { type: "IEND", data: new Uint8Array() },
  ]);
}

function grayPalette(levels: number): Uint8Array {
  return Uint8Array.from({ length: 3 * levels }, (_, at) => Math.floor(at / 3));
}

/** @throws UnreadableImage for a file that is damaged or cut off */
function chunksOf(bytes: Uint8Array): Chunk[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunks: Chunk[] = [];
  for (let at = signature.length; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const end = at + 8 + length;
    const isWhole = end + 4 <= bytes.length && view.getUint32(end) === crc32(bytes.subarray(at + 4, end));
    if (!isWhole) throw new UnreadableImage("it is damaged or cut off");
    chunks.push({ type, data: bytes.subarray(at + 8, end) });
    if (type === "IEND") return chunks;
    at = end + 4;
  }
  throw new UnreadableImage("it is damaged or cut off");
}

function pngOf(chunks: readonly Chunk[]): Uint8Array {
  const parts = chunks.map(({ type, data }) => {
    const part = new Uint8Array(12 + data.length);
    const view = new DataView(part.buffer);
    view.setUint32(0, data.length);
    part.set(new TextEncoder().encode(type), 4);
    part.set(data, 8);
    view.setUint32(8 + data.length, crc32(part.subarray(4, 8 + data.length)));
    return part;
  });
  return Buffer.concat([signature, ...parts]);
}
