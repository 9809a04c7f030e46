import type { Picture } from "./details.ts";

/** A picture in colors, each of its pixels a square of `factor` pixels, so that what is drawn over it has room. */
export function enlarged(
  { channels, height, width, data }: { channels: number } & Omit<Picture, "channels">,
  factor: number,
): Picture & { channels: 3; data: Uint8Array<ArrayBuffer> } {
  const [rows, columns] = [height * factor, width * factor];
  const pixels = new Uint8Array(3 * rows * columns);
  for (let channel = 0; channel < 3; channel++) {
    const from = (channels === 3 ? channel : 0) * height * width;
    for (let y = 0; y < rows; y++)
      for (let x = 0; x < columns; x++)
        pixels[(channel * rows + y) * columns + x] =
          data[from + Math.floor(y / factor) * width + Math.floor(x / factor)];
  }
  return { channels: 3, height: rows, width: columns, data: pixels };
}
