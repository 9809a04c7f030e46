import type { Random } from "../../common/random.ts";
import { cocoJoints } from "../coco-joints.ts";

// A person as a jointed figure in space: proportions, a pose, and where the joints and the parts of the body are. Lengths are in
// heights of the figure; x points to the picture's right, y down, z towards the viewer.

export interface Position {
  readonly x: number;
  readonly y: number;
  readonly z: number;
}

export type JointName = (typeof cocoJoints)[number];
export type Joints = Readonly<Record<JointName, Position>>;

/** A figure in a pose, seen from the front: what is drawn of it. */
export interface Figure {
  readonly joints: Joints;
  readonly neck: Position;
  readonly head: Position;
  readonly pelvis: Position;
  /** Radii of the parts, in heights. */
  readonly radii: Readonly<
    Record<"head" | "torso" | "upperArm" | "forearm" | "thigh" | "shin" | "hand" | "foot", number>
  >;
  /** Whether the face is on the viewer's side. */
  readonly facing: boolean;
}

const sides = { left: 1, right: -1 } as const;
export type Side = keyof typeof sides;
export const sideNames = ["left", "right"] as const satisfies readonly Side[];

/** A turn of space: the images of the three axes. */
type Turn = readonly [Position, Position, Position];

const radians = (degrees: number) => (degrees * Math.PI) / 180;
const between = (random: Random, low: number, high: number) => low + (high - low) * random.uniform();
const limited = (random: Random, deviation: number, limit: number) =>
  Math.max(-limit, Math.min(limit, random.normal() * deviation));

/** Draws a person: build, pose and the direction it faces. */
export function drawFigure(random: Random): Figure {
  const build = between(random, 0.85, 1.2);
  const legs = between(random, 0.46, 0.52);
  const arms = between(random, 0.31, 0.36);
  const torso = between(random, 0.27, 0.31);
  const shoulders = between(random, 0.095, 0.125) * build ** 0.5;
  const hips = between(random, 0.055, 0.08) * build ** 0.5;
  const headRadius = between(random, 0.06, 0.075);

  // The person's own space: x to its left, y down, z forward.
  const lean = turned({ x: radians(limited(random, 10, 25)), z: radians(limited(random, 8, 20)) });
  const pelvis = { x: 0, y: 0, z: 0 };
  const neck = apply(lean, { x: 0, y: -torso, z: 0 });
  const headTurn = compose(
    lean,
    turned({ x: radians(limited(random, 10, 25)), y: radians(limited(random, 25, 55)) }),
  );
  const head = plus(neck, apply(headTurn, { x: 0, y: -0.065 - headRadius, z: 0.01 }));
  const onHead = (x: number, y: number, z: number) =>
    plus(head, apply(headTurn, { x: x * headRadius, y: y * headRadius, z: z * headRadius }));

  const own: Record<string, Position> = { nose: onHead(0, 0.15, 1.05) };
  for (const side of sideNames) {
    const sign = sides[side];
    own[`${side}_eye`] = onHead(sign * 0.4, -0.15, 0.88);
    own[`${side}_ear`] = onHead(sign * 0.97, 0, 0.05);
    const shoulder = apply(lean, { x: sign * shoulders, y: -torso + 0.025, z: 0 });
    const raised = random.uniform() < 0.25 ? between(random, 70, 165) : between(random, 5, 60);
    const swing = limited(random, 35, 80);
    const upper = compose(lean, turned({ z: -sign * radians(raised), x: radians(swing) }));
    const elbow = plus(shoulder, apply(upper, { x: 0, y: arms * 0.53, z: 0 }));
    const bend = radians(random.uniform() < 0.5 ? between(random, 0, 30) : between(random, 30, 130));
    const lower = compose(upper, turned({ y: radians(limited(random, 40, 80)), x: bend }));
    own[`${side}_shoulder`] = shoulder;
    own[`${side}_elbow`] = elbow;
    own[`${side}_wrist`] = plus(elbow, apply(lower, { x: 0, y: arms * 0.47, z: 0 }));

    const hip = { x: sign * hips, y: 0.01, z: 0 };
    const flex = random.uniform() < 0.2 ? between(random, 40, 100) : limited(random, 18, 40);
    const thigh = turned({ z: -sign * radians(between(random, -3, 28)), x: radians(flex) });
    const knee = plus(hip, apply(thigh, { x: 0, y: legs * 0.51, z: 0 }));
    const kneeBend = flex > 40 ? between(random, 30, 110) : Math.abs(limited(random, 22, 70));
    const shin = compose(thigh, turned({ x: -radians(kneeBend) }));
    own[`${side}_hip`] = hip;
    own[`${side}_knee`] = knee;
    own[`${side}_ankle`] = plus(knee, apply(shin, { x: 0, y: legs * 0.49, z: 0 }));
  }

  // Seen from the front the person's left is on the picture's right.
  const facing = random.uniform() < 0.8;
  const yaw = radians(limited(random, 30, 65) + (facing ? 0 : 180));
  const view = turned({ x: radians(limited(random, 5, 12)), y: yaw });
  const seen = (position: Position) => apply(view, position);
  return {
    joints: Object.fromEntries(cocoJoints.map((name) => [name, seen(own[name])])) as Record<
      JointName,
      Position
    >,
    neck: seen(neck),
    head: seen(head),
    pelvis: seen(pelvis),
    facing,
    radii: {
      head: headRadius,
      torso: 0.075 * build,
      upperArm: 0.033 * build,
      forearm: 0.027 * build,
      thigh: 0.05 * build,
      shin: 0.036 * build,
      hand: 0.027,
      foot: 0.034,
    },
  };
}

/** Turns about the axes, x first, then y, then z. */
function turned({ x = 0, y = 0, z = 0 }: Partial<Position>): Turn {
  const about = (angle: number, axis: "x" | "y" | "z"): Turn => {
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    switch (axis) {
      case "x":
        return [
          { x: 1, y: 0, z: 0 },
          { x: 0, y: c, z: s },
          { x: 0, y: -s, z: c },
        ];
      case "y":
        return [
          { x: c, y: 0, z: -s },
          { x: 0, y: 1, z: 0 },
          { x: s, y: 0, z: c },
        ];
      case "z":
        return [
          { x: c, y: s, z: 0 },
          { x: -s, y: c, z: 0 },
          { x: 0, y: 0, z: 1 },
        ];
      default:
        return axis satisfies never;
    }
  };
  return compose(about(z, "z"), compose(about(y, "y"), about(x, "x")));
}

function apply([i, j, k]: Turn, { x, y, z }: Position): Position {
  return {
    x: i.x * x + j.x * y + k.x * z,
    y: i.y * x + j.y * y + k.y * z,
    z: i.z * x + j.z * y + k.z * z,
  };
}

/** First `second`, then `first`. */
function compose(first: Turn, second: Turn): Turn {
  return [apply(first, second[0]), apply(first, second[1]), apply(first, second[2])];
}

function plus(a: Position, b: Position): Position {
  return { x: a.x + b.x, y: a.y + b.y, z: a.z + b.z };
}
