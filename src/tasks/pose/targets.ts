import type { Keypoints } from "../../data/sets/coco-keypoints.ts";
import type { Size } from "./region.ts";

// What a network is to say: a heat map per joint, a Gaussian whose maximum is 1.

/**
 * Where a joint's Gaussian has its center.
 * - `rounded`: at a pixel of the map, as in SimpleBaseline and HRNet. Decoding adds a quarter step in return.
 * - `exact`: where the joint is (DarkPose); the Gaussian covers the whole map.
 * - `udp`: where the joint is in units of the distance between the centers of pixels.
 */
export type TargetKind = "rounded" | "exact" | "udp";

export interface TargetForm {
  kind: TargetKind;
  /** [width, height] of the network's input, which joints are given in. */
  input: Size;
  /** [width, height] of the heat maps. */
  map: Size;
  /** Of the Gaussian, in pixels of the map. */
  sigma: number;
}

/** Heat maps of one person. */
export interface HeatMapTargets {
  /** [joints, height, width] */
  maps: Float32Array<ArrayBuffer>;
  /** [joints]: 0 for a joint that is not labelled, or so far outside that nothing of it is seen; else 1. */
  weights: Float32Array<ArrayBuffer>;
}

/**
 * The heat maps that a network is trained to give. With `rounded` and `udp` the Gaussian ends 3σ from the rounded center:
 * 13 × 13 pixels where σ is 2. Rounding is the reference's `int(x + 0.5)`, which cuts toward zero. A joint that is
 * labelled keeps its weight while that square touches the map, even where the joint lies outside.
 * @param keypoints in pixels of the network's input
 */
export function heatMapTargets(keypoints: Keypoints, form: TargetForm): HeatMapTargets {
  const joints = keypoints.length / 3;
  const [width, height] = form.map;
  const maps = new Float32Array(joints * height * width);
  const weights = new Float32Array(joints);
  for (let joint = 0; joint < joints; joint++) {
    const [x, y, visibility] = keypoints.slice(3 * joint, 3 * joint + 3);
    const map = maps.subarray(joint * height * width, (joint + 1) * height * width);
    if (visibility > 0 && drawGaussian(map, [x, y], form)) weights[joint] = 1;
  }
  return { maps, weights };
}

/**
 * Draws a joint's Gaussian into a map of zeros.
 * @param map [height, width]
 * @returns whether its square touches the map
 */
export function drawGaussian(
  map: Float32Array | Float64Array,
  joint: readonly [number, number],
  { kind, input, map: size, sigma }: TargetForm,
): boolean {
  const center = joint.map((value, axis) =>
    kind === "udp" ? (value * (size[axis] - 1)) / (input[axis] - 1) : value / (input[axis] / size[axis]),
  );
  const rounded = center.map((value) => Math.trunc(value + 0.5));
  const radius = Math.floor(3 * sigma);
  const [first, end] = [rounded.map((value) => value - radius), rounded.map((value) => value + radius + 1)];
  // The published comparison: a square that ends right before the map still counts.
  if (first.some((value, axis) => value >= size[axis]) || end.some((value) => value < 0)) return false;
  const isWhole = kind === "exact";
  const from = first.map((value) => (isWhole ? 0 : Math.max(0, value)));
  const to = end.map((value, axis) => (isWhole ? size[axis] : Math.min(value, size[axis])));
  const [x0, y0] = kind === "rounded" ? rounded : center;
  const factor = -1 / (2 * sigma ** 2);
  for (let y = from[1]; y < to[1]; y++) {
    const dy = y - y0;
    for (let x = from[0]; x < to[0]; x++) {
      const dx = x - x0;
      map[y * size[0] + x] = Math.exp((dx * dx + dy * dy) * factor);
    }
  }
  return true;
}
