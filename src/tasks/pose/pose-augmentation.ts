import { UserError } from "../../common/errors.ts";
import type { Random } from "../../common/random.ts";
import type { Keypoints } from "../../data/sets/coco-keypoints.ts";
import type { Placement, Region, Size } from "./region.ts";
import type { Skeleton } from "./skeleton.ts";

/** What is done at random to the region of a training person. What is left out is not done. */
export interface PoseAugmentation {
  /** Probability that left and right are exchanged. */
  flip?: number;
  /** s: the region grows by a factor from a normal distribution with mean 1 and deviation s, within 1 − s … 1 + s. */
  scale?: number;
  /** r in degrees: the region turns by an angle with deviation r, within ±2r, with probability 0.6. */
  rotation?: number;
  /** Probability that only the upper or the lower half of a person with more than 8 labelled joints is shown (HRNet). */
  halfBody?: number;
}

/** SimpleBaseline's, with COCO. */
export const referenceAugmentation: PoseAugmentation = { flip: 0.5, scale: 0.3, rotation: 40 };

const turnedShare = 0.6;
const halfBodyPadding = 1.5;

/**
 * Draws how a person is shown. The number of draws depends on nothing that is drawn.
 * @param person its region, and its joints in the same coordinates
 * @param input size of the network's input
 */
export function drawPlacement(
  person: { region: Region; keypoints: Keypoints },
  skeleton: Pick<Skeleton, "upperBody">,
  { flip = 0, scale = 0, rotation = 0, halfBody = 0 }: PoseAugmentation,
  input: Size,
  random: Random,
): Placement {
  const isHalf = random.uniform() < halfBody;
  // HRNet compares a normal number with 0.5, so that the upper half comes up in 69 % of the cases.
  const upperFirst = random.normal() < 0.5;
  const factor = clamped(1 + scale * random.normal(), 1 - scale, 1 + scale);
  const angle = clamped(rotation * random.normal(), -2 * rotation, 2 * rotation);
  const isTurned = random.uniform() < turnedShare;
  const mirrored = random.uniform() < flip;
  const half = isHalf ? halfBodyRegion(person.keypoints, skeleton.upperBody, upperFirst, input) : undefined;
  const { center, size } = half ?? person.region;
  return {
    center,
    size: [size[0] * factor, size[1] * factor],
    rotation: isTurned && rotation > 0 ? angle : 0,
    mirrored,
  };
}

/**
 * The region of the labelled joints of one half, as HRNet cuts it; undefined where there are too few.
 * @param upperFirst the upper half, where it has three labelled joints
 */
export function halfBodyRegion(
  keypoints: Keypoints,
  upperBody: readonly number[],
  upperFirst: boolean,
  input: Size,
): Region | undefined {
  const labelled = keypoints.flatMap((visibility, at) =>
    at % 3 === 2 && visibility > 0
      ? [{ joint: (at - 2) / 3, x: keypoints[at - 2], y: keypoints[at - 1] }]
      : [],
  );
  if (labelled.length <= 8) return undefined;
  const upper = labelled.filter(({ joint }) => upperBody.includes(joint));
  const lower = labelled.filter(({ joint }) => !upperBody.includes(joint));
  const chosen = (upperFirst && upper.length > 2) || lower.length <= 2 ? upper : lower;
  if (chosen.length < 2) return undefined;
  const [xs, ys] = [chosen.map(({ x }) => x), chosen.map(({ y }) => y)];
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const extent = (values: readonly number[]) => Math.max(...values) - Math.min(...values);
  const aspect = input[0] / input[1];
  const [width, height] = [extent(xs), extent(ys)];
  const size: Size = width > aspect * height ? [width, width / aspect] : [height * aspect, height];
  if (size[0] === 0) return undefined;
  return { center: [mean(xs), mean(ys)], size: [size[0] * halfBodyPadding, size[1] * halfBodyPadding] };
}

/** @throws UserError naming the setting that is out of range, and for half bodies of a skeleton without an upper one */
export function checkPoseAugmentation(
  { flip, scale, rotation, halfBody }: PoseAugmentation,
  { upperBody }: Pick<Skeleton, "upperBody">,
): void {
  const require = (
    name: string,
    given: number | undefined,
    isRight: (value: number) => boolean,
    range: string,
  ) => {
    if (given === undefined || isRight(given)) return;
    throw new UserError(`augmentation: ${name} is ${given}; choose ${range}`);
  };
  const isShare = (value: number) => value >= 0 && value <= 1;
  require("flip", flip, isShare, "a probability from 0 to 1");
  require("halfBody", halfBody, isShare, "a probability from 0 to 1");
  require("scale", scale, (value) => value >= 0 && value < 1, "a number of at least 0 and less than 1");
  require("rotation", rotation, (value) => value >= 0 && value <= 180, "degrees from 0 to 180");
  if (halfBody !== undefined && halfBody > 0 && upperBody.length === 0)
    throw new UserError(
      "augmentation: halfBody needs to know which joints are above the waist; name them in the skeleton's upperBody",
    );
}

function clamped(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}
