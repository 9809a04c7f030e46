import type { Box, Keypoints } from "../../data/sets/coco-keypoints.ts";
import { pairwiseSum } from "./pairwise-sum.ts";

// Object keypoint similarity (COCO), and what is built on it: suppression of doubled persons, and a person's score.

/** What similarity to an annotated person depends on. */
export interface SimilarityTruth {
  keypoints: Keypoints;
  /** Of the person's outline, in pixels. */
  area: number;
  box: Box;
}

/**
 * COCO's similarity of a detection to an annotated person: the mean over labelled joints of exp(−d² / (2·area·(2σ)²)).
 * Where no joint is labelled, d is the distance of each joint to the box, doubled around its center.
 * @returns a number from 0 to 1
 */
export function keypointSimilarity(
  { keypoints, area, box }: SimilarityTruth,
  detected: Keypoints,
  sigmas: readonly number[],
): number {
  const isLabelled = (joint: number) => keypoints[3 * joint + 2] > 0;
  const anyLabelled = sigmas.some((_, joint) => isLabelled(joint));
  const [left, top, width, height] = box;
  const terms: number[] = [];
  for (const [joint, sigma] of sigmas.entries()) {
    if (anyLabelled && !isLabelled(joint)) continue;
    const [x, y] = [detected[3 * joint], detected[3 * joint + 1]];
    const dx = anyLabelled ? x - keypoints[3 * joint] : beyond(x, left - width, left + width * 2);
    const dy = anyLabelled ? y - keypoints[3 * joint + 1] : beyond(y, top - height, top + height * 2);
    terms.push(Math.exp(-((dx ** 2 + dy ** 2) / (sigma * 2) ** 2 / (area + Number.EPSILON) / 2)));
  }
  return pairwiseSum(terms) / terms.length;
}

/** How far a number is outside an interval. */
function beyond(value: number, low: number, high: number): number {
  return Math.max(0, low - value) + Math.max(0, value - high);
}

/** A detected person, as suppression compares them. */
export interface ScoredPose {
  /** With scores, which do not count here: all joints do. */
  keypoints: Keypoints;
  score: number;
  /** In SimpleBaseline's runs that of the region the person was cut out by. */
  area: number;
}

/**
 * Keeps the best of persons that resemble each other: one after the other by score, each unless its similarity to one
 * that was kept is above the threshold. The area is the mean of both, as in SimpleBaseline's evaluation.
 * @returns indices, best score first; of equal scores the earlier one first
 */
export function suppressDuplicates(
  poses: readonly ScoredPose[],
  sigmas: readonly number[],
  threshold = 0.9,
): number[] {
  const kept: number[] = [];
  const order = poses.map((_, index) => index).sort((a, b) => poses[b].score - poses[a].score);
  for (const index of order) {
    const candidate = poses[index];
    const isNew = kept.every((other) => similarity(poses[other], candidate, sigmas) <= threshold);
    if (isNew) kept.push(index);
  }
  return kept;
}

function similarity(a: ScoredPose, b: ScoredPose, sigmas: readonly number[]): number {
  const labelled = a.keypoints.map((value, at) => (at % 3 === 2 ? 1 : value));
  const truth = { keypoints: labelled, area: (a.area + b.area) / 2, box: [0, 0, 0, 0] as const };
  return keypointSimilarity(truth, b.keypoints, sigmas);
}

/**
 * The score of a detected person in SimpleBaseline's COCO runs: that of the box times the mean of the joint scores above
 * the threshold; 0 where none is.
 */
export function personScore(boxScore: number, jointScores: ArrayLike<number>, threshold = 0.2): number {
  const counted = Array.from(jointScores).filter((score) => score > threshold);
  if (counted.length === 0) return 0;
  return boxScore * (counted.reduce((sum, score) => sum + score, 0) / counted.length);
}
