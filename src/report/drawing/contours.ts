import { contours } from "d3-contour";
import type { PlaneChart, Point } from "./chart.ts";
import { colorScale, isDrawable } from "./color-scale.ts";

export interface Contour {
  level: number;
  lines: Point[][];
}

/** Lines of equal value on a plane, at round levels (at most about twelve), in the coordinates of its axes. */
export function contourLines(plane: PlaneChart): Contour[] {
  const { xs, ys, values, value: axis } = plane;
  const drawn = values.filter((value): value is number => isDrawable(value, axis));
  if (drawn.length === 0) return [];
  const { low, high } = colorScale(plane, []);
  const place = (value: number) => (axis.logarithmic ? Math.log10(value) : value);
  const [from, to] = [place(low), place(high)];
  if (!(to > from)) return [];
  const count = 11;
  const levels = Array.from(
    { length: count },
    (_, index) => from + ((index + 1) * (to - from)) / (count + 1),
  );
  // d3-contour goes row by row; what has no value is far above all levels.
  const grid = ys.flatMap((_, j) =>
    xs.map((_, i) => {
      const value = values[i * ys.length + j];
      return isDrawable(value, axis) ? place(value) : to + 10 * (to - from);
    }),
  );
  return contours()
    .size([xs.length, ys.length])
    .thresholds(levels)(grid)
    .map(({ value, coordinates }) => ({
      level: axis.logarithmic ? 10 ** value : value,
      lines: coordinates
        .flatMap((rings) => rings.flatMap((ring) => openLines(ring, xs.length, ys.length)))
        .map((line) => line.map(([i, j]): Point => [along(xs, i), along(ys, j)])),
    }));
}

/** A ring without its ways along the border of the grid, which are no contour. Places count from 0 at the first point. */
function openLines(ring: number[][], columns: number, rows: number): Point[][] {
  const points = ring.map(([i, j]): Point => [i - 0.5, j - 0.5]);
  const outside = ([i, j]: Point) => i <= 0 || j <= 0 || i >= columns - 1 || j >= rows - 1;
  const lines: Point[][] = [];
  let line: Point[] = [];
  for (let at = 1; at < points.length; at++) {
    const [from, to] = [points[at - 1], points[at]];
    if (outside(from) && outside(to)) {
      if (line.length > 1) lines.push(line);
      line = [];
      continue;
    }
    if (line.length === 0) line.push(from);
    line.push(to);
  }
  if (line.length > 1) lines.push(line);
  return lines;
}

/** The coordinate at a place between the points of an axis. */
function along(coordinates: readonly number[], place: number): number {
  const held = Math.min(coordinates.length - 1, Math.max(0, place));
  const below = Math.min(Math.floor(held), coordinates.length - 2);
  const value = coordinates[below] + (held - below) * (coordinates[below + 1] - coordinates[below]);
  return Number(value.toPrecision(6));
}
