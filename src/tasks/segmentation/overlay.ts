import { ignoredClass } from "../../data/masks.ts";
import type { Picture } from "../details.ts";
import type { Color } from "./class-colors.ts";

// Classes painted over pictures.

/** How much of a picture is left under a color. */
const visible = 0.45;

/**
 * A picture with the color of each pixel's class over it, enlarged by a whole factor. Where classes meet, the color
 * covers the picture. Pixels of no class are striped.
 * @param classes [height, width]
 */
export function withClasses(
  { channels, height, width, data }: Picture,
  classes: ArrayLike<number>,
  colors: readonly (Color | undefined)[],
  factor = 1,
): Picture {
  const [rows, columns] = [height * factor, width * factor];
  const plane = rows * columns;
  const pixels = new Uint8Array(3 * plane);
  const classAt = (x: number, y: number) =>
    classes[
      Math.min(height - 1, Math.floor(y / factor)) * width + Math.min(width - 1, Math.floor(x / factor))
    ];
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < columns; x++) {
      const own = classAt(x, y);
      const color = own === ignoredClass ? stripe(x, y) : colors[own];
      const isEdge = own !== ignoredClass && (classAt(x + 1, y) !== own || classAt(x, y + 1) !== own);
      const left = color === undefined ? 1 : isEdge ? 0 : visible;
      const from = Math.floor(y / factor) * width + Math.floor(x / factor);
      for (let channel = 0; channel < 3; channel++) {
        const below = data[(channels === 3 ? channel * height * width : 0) + from];
        pixels[channel * plane + y * columns + x] = Math.round(
          left * below + (1 - left) * (color?.[channel] ?? 0),
        );
      }
    }
  return { channels: 3, height: rows, width: columns, data: pixels };
}

function stripe(x: number, y: number): Color {
  return (x + y) % 8 < 4 ? [30, 30, 30] : [235, 235, 235];
}

/** Pixels between pictures. */
const gap = 4;
const gapLevel = 128;

/** Pictures of one size in color, from left to right. */
export function besideEachOther(pictures: readonly Picture[]): Picture {
  const [{ height, width }] = pictures;
  const columns = pictures.length * width + (pictures.length - 1) * gap;
  const data = new Uint8Array(3 * height * columns).fill(gapLevel);
  for (const [place, picture] of pictures.entries())
    for (let row = 0; row < 3 * height; row++)
      data.set(picture.data.subarray(row * width, (row + 1) * width), row * columns + place * (width + gap));
  return { channels: 3, height, width: columns, data };
}
