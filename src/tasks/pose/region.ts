import type { Box, Keypoints } from "../../data/sets/coco-keypoints.ts";
import { type Affine, type Point, transformed } from "./affine.ts";
import { mirroredJoints, type Skeleton } from "./skeleton.ts";

// The part of a picture that a network sees of a person, and where its pixels come from.

/**
 * What a pixel's coordinates are relative to.
 * - `plain`: size divides size, as in SimpleBaseline and HRNet.
 * - `udp`: the unit is the distance between the centers of pixels, so that the crop of a mirrored picture is the mirrored
 *   crop (unbiased data processing, Huang et al. 2020).
 */
export type Alignment = "plain" | "udp";

/** [width, height] in pixels. */
export type Size = readonly [number, number];

/** A part of a picture with the proportions of the network's input. */
export interface Region {
  center: Point;
  size: Size;
}

/** How a region is laid onto the network's input. */
export interface Placement extends Region {
  /** Degrees by which the picture turns, clockwise as it is seen with `udp`, counterclockwise with `plain`. */
  rotation: number;
  /** Whether left and right are exchanged, before it turns. */
  mirrored: boolean;
}

/**
 * A person's box extended to the proportions of the network's input, and by the padding.
 * @param input size of the network's input
 */
export function regionOf([left, top, width, height]: Box, input: Size, padding = 1.25): Region {
  const aspect = input[0] / input[1];
  const center: Point = [left + width / 2, top + height / 2];
  const wide = width > aspect * height;
  const size: Size = wide ? [width, width / aspect] : [height * aspect, height];
  return { center, size: [size[0] * padding, size[1] * padding] };
}

/** What {@link personScore} and suppression take as a person's area in SimpleBaseline's runs. */
export function regionArea({ size: [width, height] }: Region): number {
  return width * height;
}

/** From pixels of the picture to pixels of the network's input. */
export function placementMatrix(
  { center, size, rotation, mirrored }: Placement,
  input: Size,
  alignment: Alignment,
): Affine {
  const turn = ((alignment === "udp" ? 1 : -1) * rotation * Math.PI) / 180;
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
  const middle = input.map((length) => (alignment === "udp" ? (length - 1) / 2 : length / 2));
  const across = alignment === "udp" ? (input[0] - 1) / size[0] : input[0] / size[0];
  // The plain form has one factor, since a region has the input's proportions.
  const down = alignment === "udp" ? (input[1] - 1) / size[1] : across;
  const side = mirrored ? -1 : 1;
  const [a, b, c, d] = [across * cos * side, -across * sin, down * sin * side, down * cos];
  return [a, b, middle[0] - a * center[0] - b * center[1], c, d, middle[1] - c * center[0] - d * center[1]];
}

/** From places of the heat maps of a region that lies straight to the picture. */
export function mapToPicture({ center, size }: Region, map: Size, alignment: Alignment): Affine {
  const [across, down] = map.map((length, axis) => size[axis] / (alignment === "udp" ? length - 1 : length));
  return [across, 0, center[0] - size[0] / 2, 0, down, center[1] - size[1] / 2];
}

/**
 * A person's joints under a map. Joints that are not labelled stay at 0, 0.
 * @param matrix from the picture to the network's input
 * @param mirrored whether the map exchanges left and right: then the joints of each pair change places
 */
export function transformedKeypoints(
  keypoints: Keypoints,
  matrix: Affine,
  skeleton: Pick<Skeleton, "joints" | "pairs">,
  mirrored: boolean,
): number[] {
  const places = mirrored ? mirroredJoints(skeleton) : skeleton.joints.map((_, joint) => joint);
  return places.flatMap((joint) => {
    const [x, y, visibility] = keypoints.slice(3 * joint, 3 * joint + 3);
    return visibility > 0 ? [...transformed(matrix, [x, y]), visibility] : [0, 0, 0];
  });
}
