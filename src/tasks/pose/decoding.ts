import { type Affine, type Point, transformed } from "./affine.ts";

// From heat maps to joints.

/**
 * How the place of a maximum is refined.
 * - `argmax`: not at all.
 * - `quarter`: a quarter pixel toward the larger neighbor, along each axis (SimpleBaseline). For `rounded` targets.
 * - `dark`: a Newton step on the logarithm of the smoothed map (Zhang et al. 2020). For `exact` and `udp` targets.
 */
export type Refinement = "argmax" | "quarter" | "dark";

export interface DecodingOptions {
  refinement: Refinement;
  /** Taps of the Gaussian that `dark` smooths a map by: an odd number, 1 for none. Default 11, DarkPose's for σ = 2. */
  taps?: number;
}

type Numbers = Float32Array | Float64Array;

/** Joints in pixels of the heat maps. */
export interface DecodedJoints {
  points: readonly Point[];
  /** The maximum of each map. */
  scores: readonly number[];
}

/**
 * The place and the height of each map's maximum: the first of equal ones in the order of rows. A map whose maximum is
 * not above 0 gives [0, 0].
 * @param maps [joints, height, width]
 */
export function decodeHeatMaps(
  maps: Numbers,
  [width, height]: readonly [number, number],
  { refinement, taps = 11 }: DecodingOptions,
): DecodedJoints {
  const pixels = width * height;
  const joints = Array.from({ length: maps.length / pixels }, (_, joint) => {
    const map = maps.subarray(joint * pixels, (joint + 1) * pixels);
    let best = 0;
    for (let at = 1; at < pixels; at++) if (map[at] > map[best]) best = at;
    const score = map[best];
    if (!(score > 0)) return { point: [0, 0] as const, score };
    const peak: Peak = { map, width, height, x: best % width, y: Math.floor(best / width) };
    return { point: refined(peak, refinement, taps), score };
  });
  return { points: joints.map(({ point }) => point), scores: joints.map(({ score }) => score) };
}

/**
 * Decoded joints in coordinates of the picture, as COCO's results have them: x, y, score, joint after joint.
 * @param matrix from the heat maps to the picture
 */
export function jointsInPicture({ points, scores }: DecodedJoints, matrix: Affine): number[] {
  return points.flatMap((point, joint) => [...transformed(matrix, point), scores[joint]]);
}

/** The taps that suit targets of another σ: the 11 of σ = 2 and mmpose's 17 of σ = 3 on one line. */
export function tapsFor(sigma: number): number {
  return Math.max(1, 2 * Math.round(3 * sigma) - 1);
}

/**
 * The mean of the maps of an image and of its mirror image: these are mirrored back, and the maps of paired joints change
 * places.
 * @param maps [joints, height, width], of the image
 * @param mirrored the same of its mirror image
 * @param places where each joint is found in a mirror image (`mirroredJoints`)
 * @param shift whether the mirrored maps move a column to the right: wanted with `plain` alignment, where the crop of a
 *   mirrored picture is not quite the mirrored crop. Column 0 keeps its value
 */
export function mergedFlip<Maps extends Numbers>(
  maps: Maps,
  mirrored: Maps,
  [width, height]: readonly [number, number],
  places: readonly number[],
  shift: boolean,
): Maps {
  const merged = maps.slice() as Maps;
  for (const [joint, place] of places.entries()) {
    for (let row = 0; row < height; row++) {
      const own = (joint * height + row) * width;
      const other = (place * height + row) * width;
      for (let column = 0; column < width; column++) {
        const from = shift ? Math.max(0, column - 1) : column;
        merged[own + column] = (maps[own + column] + mirrored[other + width - 1 - from]) / 2;
      }
    }
  }
  return merged;
}

interface Peak {
  map: Numbers;
  width: number;
  height: number;
  x: number;
  y: number;
}

function refined(peak: Peak, refinement: Refinement, taps: number): Point {
  switch (refinement) {
    case "argmax":
      return [peak.x, peak.y];
    case "quarter":
      return quarterStep(peak);
    case "dark":
      return newtonStep(peak, taps);
    default:
      return refinement satisfies never;
  }
}

/** Not in the first two columns and rows and not in the last: the published rule. */
function quarterStep({ map, width, height, x, y }: Peak): Point {
  if (!(x > 1 && x < width - 1 && y > 1 && y < height - 1)) return [x, y];
  const at = y * width + x;
  return [
    x + 0.25 * Math.sign(map[at + 1] - map[at - 1]),
    y + 0.25 * Math.sign(map[at + width] - map[at - width]),
  ];
}

/**
 * DarkPose's step from the maximum to that of the parabola through the logarithms around it, with second derivatives over
 * two pixels. The published step has no limit, and leaves the map where it is flat; this one is taken only where the
 * parabola has a maximum, and it is cut to a pixel along each axis.
 */
function newtonStep(peak: Peak, taps: number): Point {
  const { map, width, height, x, y } = peak;
  if (!(x > 1 && x < width - 2 && y > 1 && y < height - 2)) return [x, y];
  const smooth = smoothed(map, [width, height], taps);
  const factor = map[y * width + x] / smooth.reduce((most, value) => Math.max(most, value), 0);
  const log = (dx: number, dy: number) =>
    Math.log(Math.max(smooth[(y + dy) * width + x + dx] * factor, 1e-10));
  const here = log(0, 0);
  const [dx, dy] = [(log(1, 0) - log(-1, 0)) / 2, (log(0, 1) - log(0, -1)) / 2];
  const dxx = (log(2, 0) - 2 * here + log(-2, 0)) / 4;
  const dyy = (log(0, 2) - 2 * here + log(0, -2)) / 4;
  const dxy = (log(1, 1) - log(1, -1) - log(-1, 1) + log(-1, -1)) / 4;
  const determinant = dxx * dyy - dxy ** 2;
  if (!(determinant > 0 && dxx < 0)) return [x, y];
  const limited = (step: number) => Math.min(1, Math.max(-1, step));
  return [x + limited((dxy * dy - dyy * dx) / determinant), y + limited((dxy * dx - dxx * dy) / determinant)];
}

/** A map under a Gaussian of `taps` × `taps` pixels, with zeros outside. σ follows from the taps as in OpenCV. */
function smoothed(map: Numbers, [width, height]: readonly [number, number], taps: number): Float64Array {
  const radius = (taps - 1) / 2;
  const sigma = 0.3 * (radius - 1) + 0.8;
  const raw = Float64Array.from({ length: taps }, (_, tap) =>
    Math.exp(-((tap - radius) ** 2) / (2 * sigma ** 2)),
  );
  const total = raw.reduce((sum, value) => sum + value, 0);
  const kernel = raw.map((value) => value / total);
  const turned = smoothedRows(map, width, height, kernel);
  return smoothedRows(turned, height, width, kernel);
}

/** Smooths each row of a map [height, width], and returns it as [width, height]. */
function smoothedRows(map: Numbers, width: number, height: number, kernel: Float64Array): Float64Array {
  const radius = (kernel.length - 1) / 2;
  const result = new Float64Array(map.length);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const first = Math.max(0, column - radius);
      const last = Math.min(width - 1, column + radius);
      let sum = 0;
      for (let at = first; at <= last; at++) sum += kernel[at - column + radius] * map[row * width + at];
      result[column * height + row] = sum;
    }
  }
  return result;
}
