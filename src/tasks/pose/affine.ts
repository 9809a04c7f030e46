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
  { channels, height, width, data }: Pixels,
  matrix: Affine,
  [columns, rows]: readonly [number, number],
): Uint8Array<ArrayBuffer> {
  const [a, b, c, d, e, f] = inverse(matrix);
  const result = new Uint8Array(channels * rows * columns);
  const plane = height * width;
  for (let v = 0; v < rows; v++) {
    for (let u = 0; u < columns; u++) {
      const x = a * u + b * v + c;
      const y = d * u + e * v + f;
      if (!(x > -1 && x < width && y > -1 && y < height)) continue;
      const left = Math.floor(x);
      const top = Math.floor(y);
      const [right, lower] = [x - left, y - top];
      // Pixels outside the picture have weight 0, and the index of one inside.
      const w0 = left >= 0 ? 1 - right : 0;
      const w1 = left + 1 < width ? right : 0;
      const h0 = top >= 0 ? 1 - lower : 0;
      const h1 = top + 1 < height ? lower : 0;
      const x0 = Math.max(0, left);
      const x1 = Math.min(left + 1, width - 1);
      const y0 = Math.max(0, top) * width;
      const y1 = Math.min(top + 1, height - 1) * width;
      let target = v * columns + u;
      for (let start = 0; start < channels * plane; start += plane, target += rows * columns) {
        const above = w0 * data[start + y0 + x0] + w1 * data[start + y0 + x1];
        const below = w0 * data[start + y1 + x0] + w1 * data[start + y1 + x1];
        result[target] = h0 * above + h1 * below + 0.5;
      }
    }
  }
  return result;
}
