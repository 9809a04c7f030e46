import { UserError } from "../../common/errors.ts";
import { cocoJoints, cocoLimbs } from "../../data/coco-joints.ts";
import type { SkeletonSettings } from "./pose-settings.ts";

/** Which joints there are, and what belongs together. Joints are named by their index from 0. */
export interface Skeleton {
  joints: readonly string[];
  /** Joints that change places in a mirrored picture, each pair once. */
  pairs: readonly JointPair[];
  /** Joints that a drawing connects. */
  limbs: readonly JointPair[];
  /** How far people disagree on a joint, as a share of the square root of a person's area: COCO's κ is twice that. */
  sigmas: readonly number[];
  /** Joints above the waist: what half-body crops separate from the rest. */
  upperBody: readonly number[];
  /** The ends of the head, whose distance PCKh measures by. */
  head?: JointPair;
}

export type JointPair = readonly [number, number];

/** The joints of COCO's persons with their published sigmas. */
export const cocoSkeleton: Skeleton = {
  joints: cocoJoints,
  pairs: [
    [1, 2],
    [3, 4],
    [5, 6],
    [7, 8],
    [9, 10],
    [11, 12],
    [13, 14],
    [15, 16],
  ],
  limbs: cocoLimbs,
  sigmas: [
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087,
    0.089, 0.089,
  ],
  upperBody: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
};

/** The sigma of a joint that COCO does not have. */
const otherSigma = 0.05;

/**
 * The skeleton that a document describes.
 * @param warn is called at most once, where sigmas are guessed
 * @throws UserError for a joint that is named twice, a name that is no joint, and a joint in two pairs
 */
export function skeletonOf(settings: SkeletonSettings, warn: (sentence: string) => void): Skeleton {
  const { joints, limbs = [], sigmas = {}, upperBody } = settings;
  const twice = joints.find((joint, index) => joints.indexOf(joint) !== index);
  if (twice !== undefined) throw new UserError(`the skeleton names the joint "${twice}" twice; rename one`);
  const at = (joint: string, where: string) => {
    const index = joints.indexOf(joint);
    if (index >= 0) return index;
    throw new UserError(
      `the skeleton has no joint "${joint}", which ${where} names; its joints are ${joints.join(", ")}`,
    );
  };
  const indexed = (given: readonly (readonly [string, string])[], where: string): JointPair[] =>
    given.map(([a, b]) => [at(a, where), at(b, where)]);
  for (const joint of Object.keys(sigmas)) at(joint, "sigmas");
  const [head] = settings.head ? indexed([settings.head], "head") : [headByName(joints)];
  if (head && head[0] === head[1])
    throw new UserError(`the skeleton's head is from ${joints[head[0]]} to itself; name two joints`);
  const coco = new Map(cocoSkeleton.joints.map((joint, index) => [joint, index]));
  const cocoSigma = (joint: string) => cocoSkeleton.sigmas[coco.get(joint) ?? -1];
  const guessed = joints.filter((joint) => sigmas[joint] === undefined && cocoSigma(joint) === undefined);
  if (guessed.length > 0)
    warn(
      `no sigma is known for ${guessed.join(", ")}: OKS and AP take ${otherSigma}; name sigmas in the skeleton to change it`,
    );
  return {
    joints,
    pairs: checkedPairs(settings.pairs ? indexed(settings.pairs, "pairs") : pairsByName(joints), joints),
    limbs: indexed(limbs, "limbs"),
    sigmas: joints.map((joint) => sigmas[joint] ?? cocoSigma(joint) ?? otherSigma),
    upperBody: upperBody
      ? upperBody.map((joint) => at(joint, "upperBody"))
      : joints.flatMap((joint, index) =>
          cocoSkeleton.upperBody.includes(coco.get(joint) ?? -1) ? [index] : [],
        ),
    ...(head && { head }),
  };
}

/** Where each joint's map is found in a mirrored picture: the other joint of its pair, or itself. */
export function mirroredJoints({ joints, pairs }: Pick<Skeleton, "joints" | "pairs">): number[] {
  const places = joints.map((_, index) => index);
  for (const [a, b] of pairs) [places[a], places[b]] = [b, a];
  return places;
}

/** MPII's names. */
function headByName(joints: readonly string[]): JointPair | undefined {
  const [top, neck] = [["head_top"], ["upper_neck", "neck"]].map((names) =>
    names.map((joint) => joints.indexOf(joint)).find((index) => index >= 0),
  );
  return top === undefined || neck === undefined ? undefined : [top, neck];
}

function pairsByName(joints: readonly string[]): JointPair[] {
  return joints.flatMap((joint, index) => {
    const other = joint.replace(/left|Left|LEFT/, (side) => opposite[side]);
    const place = other === joint ? -1 : joints.indexOf(other);
    return place < 0 ? [] : [[index, place] as const];
  });
}

const opposite: Record<string, string> = { left: "right", Left: "Right", LEFT: "RIGHT" };

function checkedPairs(pairs: readonly JointPair[], joints: readonly string[]): readonly JointPair[] {
  const paired = pairs.flat();
  const twice = paired.find((joint, index) => paired.indexOf(joint) !== index);
  if (twice === undefined) return pairs;
  throw new UserError(`the skeleton pairs the joint "${joints[twice]}" twice; a joint has one mirror image`);
}
