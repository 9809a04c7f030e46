// Affine maps of the plane, and pictures seen through them.

/** [x, y]; the center of a pixel has whole coordinates. */
export type Point = readonly [number, number];

/** The rows of a 2×3 matrix: x′ = a·x + b·y + c, y′ = d·x + e·y + f. */
export type Affine = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

/** A point under a map. */
export function transformed([a, b, c, d, e, f]: Affine, [x, y]: Point): Point {
  return [a * x + b * y + c, d * x + e * y + f];
}

/** The map back. */
export function inverse([a, b, c, d, e, f]: Affine): Affine {
  const determinant = a * e - b * d;
  const [p, q, r, s] = [e / determinant, -b / determinant, -d / determinant, a / determinant];
  return [p, q, -(p * c + q * f), r, s, -(r * c + s * f)];
}

/** Pixels of a picture. */
export interface Pixels {
  channels: number;
  height: number;
  width: number;
  /** [channels, height, width] */
  data: Uint8Array;
}

/**
 * A picture under a map, cut out at the size of `target`: bilinear between the centers of pixels, 0 outside, rounded to
 * the nearest byte.
 * @param matrix from the picture to the result
 * @param target [width, height] of the result
 */
export function warped(
  source: Pixels,
  matrix: Affine,
  [columns, rows]: readonly [number, number],
): Uint8Array<ArrayBuffer> {
  const { channels, height, width, data } = source;
  const [a, b, c, d, e, f] = inverse(matrix);
  const [size, plane] = [rows * columns, height * width];
  const result = new Uint8Array(channels * size);
  for (let v = 0, at = 0; v < rows; v++) {
    for (let u = 0; u < columns; u++, at++) {
      const x = a * u + b * v + c;
      const y = d * u + e * v + f;
      if (x >= 0 && x < width - 1 && y >= 0 && y < height - 1) {
        const left = Math.floor(x);
        const top = Math.floor(y);
        const across = x - left;
        const down = y - top;
        const both = across * down;
        let from = top * width + left;
        for (let to = at; to < result.length; to += size, from += plane) {
          const upper = (1 - across - down + both) * data[from] + (across - both) * data[from + 1];
          const lower = (down - both) * data[from + width] + both * data[from + width + 1];
          result[to] = Math.floor(upper + lower + 0.5);
        }
      } else if (x > -1 && x < width && y > -1 && y < height) {
        for (let channel = 0; channel < channels; channel++)
          result[channel * size + at] = Math.floor(borderValue(source, channel, x, y) + 0.5);
      }
    }
  }
  return result;
}

/** A channel between pixels of which some lie outside the picture and are 0. */
function borderValue({ height, width, data }: Pixels, channel: number, x: number, y: number): number {
  const [left, top] = [Math.floor(x), Math.floor(y)];
  let sum = 0;
  for (let row = Math.max(0, top); row <= Math.min(top + 1, height - 1); row++)
    for (let column = Math.max(0, left); column <= Math.min(left + 1, width - 1); column++)
      sum +=
        (1 - Math.abs(x - column)) *
        (1 - Math.abs(y - row)) *
        data[(channel * height + row) * width + column];
  return sum;
}
