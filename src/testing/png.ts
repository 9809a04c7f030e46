import { crc32, deflateSync } from "node:zlib";

// PNG files by the letter of their format, of pixels that sharp does not write: indices of a palette and few bits.

export interface PngOfNumbers {
  /** A number for each pixel, row by row; of colors (type 2) three. */
  numbers: ArrayLike<number>;
  width: number;
  /** Bits of a number. */
  depth: 1 | 2 | 4 | 8 | 16;
  type: "gray" | "colors" | "palette";
  /** Red, green and blue of each index. */
  palette?: readonly (readonly [number, number, number])[];
  /** Chunks between the palette and the pixels, such as tRNS. */
  chunks?: Readonly<Record<string, Uint8Array>>;
}

export function pngOfNumbers({ numbers, width, depth, type, palette, chunks = {} }: PngOfNumbers): Buffer {
  const samples = type === "colors" ? 3 : 1;
  const [perRow, height] = [width * samples, numbers.length / (width * samples)];
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header[8] = depth;
  header[9] = { gray: 0, colors: 2, palette: 3 }[type];
  const rows = Array.from({ length: height }, (_, row) => {
    const bytes = Buffer.alloc(1 + Math.ceil((perRow * depth) / 8));
    for (let x = 0; x < perRow; x++) {
      const number = numbers[row * perRow + x];
      if (depth === 16) bytes.writeUInt16BE(number, 1 + 2 * x);
      else bytes[1 + ((x * depth) >> 3)] |= number << (8 - depth - ((x * depth) & 7));
    }
    return bytes;
  });
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk("IHDR", header),
    ...(palette ? [chunk("PLTE", Uint8Array.from(palette.flat()))] : []),
    ...Object.entries(chunks).map(([name, data]) => chunk(name, data)),
    chunk("IDAT", deflateSync(Buffer.concat(rows))),
    chunk("IEND", new Uint8Array()),
  ]);
}

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const bytes = Buffer.alloc(body.length + 8);
  bytes.writeUInt32BE(data.length, 0);
  body.copy(bytes, 4);
  bytes.writeUInt32BE(crc32(body), body.length + 4);
  return bytes;
}
