import type { Box, Keypoints } from "../../data/sets/coco-keypoints.ts";
import type { JointPair } from "./skeleton.ts";

// The percentage of correct keypoints: how many labelled joints are found within a share of a reference length.

/** Labelled joints and those of them that were found. */
export interface CorrectKeypoints {
  /** The share found, by joint; undefined for a joint that is labelled nowhere. */
  perJoint: readonly (number | undefined)[];
  /** The share of all labelled joints; undefined where there is none. */
  pooled: number | undefined;
  /** The mean over joints that are labelled somewhere; undefined where none is. */
  meanOfJoints: number | undefined;
}

/** Counts correct keypoints, person by person. */
export class CorrectKeypointsCounter {
  readonly #threshold: number;
  readonly #labelled: number[];
  readonly #correct: number[];

  /**
   * @param joints how many there are
   * @param threshold the share of the reference length up to which, inclusive, a joint is found
   */
  constructor(joints: number, threshold: number) {
    this.#threshold = threshold;
    this.#labelled = new Array(joints).fill(0);
    this.#correct = new Array(joints).fill(0);
  }

  /**
   * @param person x and y of every joint, true and predicted; visibility, 0 for a joint that is not labelled; the length
   *   that distances are compared with, {@link boxLength} for PCK, {@link headLength} or {@link segmentLength} for PCKh
   */
  add({
    truth,
    predicted,
    visibility,
    length,
  }: {
    truth: ArrayLike<number>;
    predicted: ArrayLike<number>;
    visibility: ArrayLike<number>;
    length: number;
  }): void {
    for (let joint = 0; joint < this.#labelled.length; joint++) {
      if (!(visibility[joint] > 0)) continue;
      const dx = predicted[2 * joint] - truth[2 * joint];
      const dy = predicted[2 * joint + 1] - truth[2 * joint + 1];
      this.#labelled[joint]++;
      if (Math.hypot(dx, dy) <= this.#threshold * length) this.#correct[joint]++;
    }
  }

  result(): CorrectKeypoints {
    const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
    const share = (correct: number, labelled: number) => (labelled > 0 ? correct / labelled : undefined);
    const perJoint = this.#labelled.map((labelled, joint) => share(this.#correct[joint], labelled));
    const known = perJoint.filter((value) => value !== undefined);
    return {
      perJoint,
      pooled: share(sum(this.#correct), sum(this.#labelled)),
      meanOfJoints: share(sum(known), known.length),
    };
  }
}

/** What PCK measures distances by: the longer side of a person's box. */
export function boxLength([, , width, height]: Box): number {
  return Math.max(width, height);
}

/** What PCKh measures distances by: 0.6 of the diagonal of the box around the head, as MPII does. */
export function headLength([, , width, height]: Box): number {
  return 0.6 * Math.hypot(width, height);
}

/** What PCKh measures distances by where no box of the head is annotated: the distance of two joints, if both are labelled. */
export function segmentLength(keypoints: Keypoints, [a, b]: JointPair): number | undefined {
  if (!(keypoints[3 * a + 2] > 0 && keypoints[3 * b + 2] > 0)) return undefined;
  return Math.hypot(keypoints[3 * a] - keypoints[3 * b], keypoints[3 * a + 1] - keypoints[3 * b + 1]);
}
