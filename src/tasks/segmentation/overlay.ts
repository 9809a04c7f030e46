import { ignoredClass } from "../../data/masks.ts";
import type { Picture } from "../details.ts";
import type { Color } from "./class-colors.ts";

// Classes painted over pictures.

/** How much of a picture is left under a color. */
const visible = 0.45;

/**
 * A picture in gray with the color of each pixel's class over it, enlarged by a whole factor, so that every color is that
 * of a class. At its border a class covers the picture. Pixels of no class are striped.
 * @param classes [height, width]
 */
export function withClasses(
  picture: Picture,
  classes: ArrayLike<number>,
  colors: readonly (Color | undefined)[],
  factor = 1,
): Picture {
  const { height, width } = picture;
  const [rows, columns] = [height * factor, width * factor];
  const plane = rows * columns;
  const pixels = new Uint8Array(3 * plane);
  const gray = grayOf(picture);
  const inside = (value: number, count: number) =>
    Math.min(count - 1, Math.max(0, Math.floor(value / factor)));
  const classAt = (x: number, y: number) => classes[inside(y, height) * width + inside(x, width)];
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < columns; x++) {
      const own = classAt(x, y);
      const below = gray[inside(y, height) * width + inside(x, width)];
      const color = own === ignoredClass ? stripe(x, y) : colors[own];
      const isBorder =
        classAt(x - 1, y) !== own ||
        classAt(x + 1, y) !== own ||
        classAt(x, y - 1) !== own ||
        classAt(x, y + 1) !== own;
      const left = isBorder ? 0 : visible;
      for (let channel = 0; channel < 3; channel++)
        pixels[channel * plane + y * columns + x] = color
          ? Math.round(left * below + (1 - left) * color[channel])
          : below;
    }
  return { channels: 3, height: rows, width: columns, data: pixels };
}

/** ITU-R BT.601 luminance. */
function grayOf({ channels, height, width, data }: Picture): Uint8Array {
  if (channels === 1) return data;
  const plane = height * width;
  return Uint8Array.from({ length: plane }, (_, at) =>
    Math.round(0.299 * data[at] + 0.587 * data[plane + at] + 0.114 * data[2 * plane + at]),
  );
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
