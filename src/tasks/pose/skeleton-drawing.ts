import type { Keypoints } from "../../data/sets/coco-keypoints.ts";
import { enlarged } from "../enlarged.ts";
import type { Pixels } from "./affine.ts";
import type { Skeleton } from "./skeleton.ts";

// Skeletons painted over pictures.

type Color = readonly [red: number, green: number, blue: number];

/** Of joints and limbs of the one side, the other, and the middle. */
const colors: Record<"left" | "right" | "middle", Color> = {
  left: [255, 150, 30],
  right: [40, 170, 255],
  middle: [120, 240, 110],
};

/**
 * A picture with a skeleton over it, enlarged by a whole factor so that lines are seen.
 * @param joints x, y and visibility or score, joint after joint, in pixels of the picture
 * @param isShown whether a joint is drawn
 */
export function withSkeleton(
  picture: Pixels,
  joints: Keypoints,
  { limbs, pairs }: Pick<Skeleton, "limbs" | "pairs">,
  { factor, isShown }: { factor: number; isShown: (joint: number) => boolean },
): { channels: 3; height: number; width: number; data: Uint8Array<ArrayBuffer> } {
  const drawn = enlarged(picture, factor);
  const { height: rows, width: columns, data: pixels } = drawn;
  const plane = rows * columns;
  const [left, right] = [new Set(pairs.map(([a]) => a)), new Set(pairs.map(([, b]) => b))];
  const sideOf = (joint: number) => (left.has(joint) ? "left" : right.has(joint) ? "right" : "middle");
  // Centers of pixels are whole numbers.
  const at = (joint: number) =>
    [joints[3 * joint], joints[3 * joint + 1]].map((value) => (value + 0.5) * factor - 0.5);
  for (const [a, b] of limbs) {
    if (!isShown(a) || !isShown(b)) continue;
    const color = colors[sideOf(a) === sideOf(b) ? sideOf(a) : "middle"];
    const [[x0, y0], [x1, y1]] = [at(a), at(b)];
    const steps = Math.ceil(2 * Math.hypot(x1 - x0, y1 - y0)) + 1;
    for (let step = 0; step <= steps; step++)
      dot(x0 + ((x1 - x0) * step) / steps, y0 + ((y1 - y0) * step) / steps, 1, color);
  }
  for (let joint = 0; 3 * joint < joints.length; joint++)
    if (isShown(joint)) {
      const [x, y] = at(joint);
      dot(x, y, 2.2, colors[sideOf(joint)]);
    }
  return drawn;

  function dot(x: number, y: number, radius: number, color: Color): void {
    for (let row = Math.max(0, Math.ceil(y - radius)); row <= Math.min(rows - 1, y + radius); row++)
      for (
        let column = Math.max(0, Math.ceil(x - radius));
        column <= Math.min(columns - 1, x + radius);
        column++
      )
        if ((row - y) ** 2 + (column - x) ** 2 <= radius ** 2)
          for (let channel = 0; channel < 3; channel++)
            pixels[channel * plane + row * columns + column] = color[channel];
  }
}
