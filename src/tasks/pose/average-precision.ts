import { UserError } from "../../common/errors.ts";
import type { Box, CocoId, Keypoints } from "../../data/sets/coco-keypoints.ts";
import { keypointSimilarity, type SimilarityTruth } from "./oks.ts";
import { pairwiseMean } from "./pairwise-sum.ts";

// COCO's keypoint evaluation by the rules of its published code (cocoapi, PythonAPI), to the last bit. One rule differs:
// there, an annotation whose id is 0 counts as missed whatever was detected; here ids play no part.

/** An annotated person. */
export interface TruePose extends SimilarityTruth {
  image: CocoId;
  isCrowd: boolean;
  /** Labelled joints, as the annotation counts them; a person with none is ignored. */
  labelled: number;
}

/** A detected person. */
export interface DetectedPose {
  image: CocoId;
  keypoints: Keypoints;
  score: number;
  /** Where results have boxes, the box's area decides about area ranges; else that of the extent of all joints. */
  box?: Box;
}

const areaRanges = { all: [0, 1e10], medium: [32 ** 2, 96 ** 2], large: [96 ** 2, 1e10] } as const;
export type AreaRange = keyof typeof areaRanges;

/** COCO's ten numbers; −1 where no annotation counts. */
export type CocoStatistic = "AP" | "AP50" | "AP75" | "APM" | "APL" | "AR" | "AR50" | "AR75" | "ARM" | "ARL";

export interface PoseEvaluation {
  statistics: Record<CocoStatistic, number>;
  /** For the OKS thresholds 0.50, 0.55, …, 0.95; −1 where no annotation counts. */
  ranges: Record<AreaRange, { averagePrecision: number[]; recall: number[] }>;
  /** Over all areas, of images that have persons or detections, by id. */
  matches: readonly ImageMatches[];
}

/** Which detections of an image found whom. */
export interface ImageMatches {
  image: CocoId;
  /** Indices of the detections that count, best score first. */
  detections: readonly number[];
  /** By threshold, for each of these detections: the index of the person found, −1 for none. */
  found: readonly (readonly number[])[];
  /** By threshold: whether the detection counts neither for nor against. */
  ignored: readonly (readonly boolean[])[];
}

const thresholds = spaced(0.5, 0.95, 10);
const recallPoints = spaced(0, 1, 101);
/** Only the best of an image count. */
const detectionLimit = 20;

/**
 * Evaluates detected persons against annotated ones.
 * @param images ids of all images of the set, with persons or without
 * @throws UserError for a person or detection in an image that is not in the set, and where only some detections have
 *   boxes
 */
export function evaluatePoses({
  images,
  truth,
  detections,
  sigmas,
}: {
  images: readonly CocoId[];
  truth: readonly TruePose[];
  detections: readonly DetectedPose[];
  sigmas: readonly number[];
}): PoseEvaluation {
  const areas = detectedAreas(detections);
  const persons = placesByImage(truth, images, "a person");
  const results = placesByImage(detections, images, "a detection");
  const scenes = [...new Set(images)].toSorted(byId).flatMap((image): Scene[] => {
    const own = persons.get(image) ?? [];
    const best = (results.get(image) ?? [])
      .toSorted((a, b) => detections[b].score - detections[a].score)
      .slice(0, detectionLimit);
    if (own.length === 0 && best.length === 0) return [];
    const similarities = best.map((result) =>
      own.map((person) => keypointSimilarity(truth[person], detections[result].keypoints, sigmas)),
    );
    return [{ image, persons: own, detections: best, similarities }];
  });
  const evaluated = (range: AreaRange) => {
    const matches = scenes.map((scene) => matched(scene, { truth, areas, range: areaRanges[range] }));
    const scores = matches.flatMap((match) => match.detections.map((result) => detections[result].score));
    return { matches, ...accumulated(matches, scores) };
  };
  const [all, medium, large] = (["all", "medium", "large"] as const).map(evaluated);
  const at = (range: Curves, threshold: number) => [range.precisions[threshold]];
  return {
    statistics: {
      AP: meanOf(all.precisions),
      AP50: meanOf(at(all, 0)),
      AP75: meanOf(at(all, 5)),
      APM: meanOf(medium.precisions),
      APL: meanOf(large.precisions),
      AR: meanOf([all.recalls]),
      AR50: all.recalls[0],
      AR75: all.recalls[5],
      ARM: meanOf([medium.recalls]),
      ARL: meanOf([large.recalls]),
    },
    ranges: { all: byThreshold(all), medium: byThreshold(medium), large: byThreshold(large) },
    matches: all.matches,
  };
}

/** The persons and the detections of one image that count, by index. */
interface Scene {
  image: CocoId;
  persons: readonly number[];
  /** Best score first. */
  detections: readonly number[];
  /** [detection][person] */
  similarities: readonly (readonly number[])[];
}

interface SceneMatches extends ImageMatches {
  /** Persons that count. */
  counted: number;
}

/** By threshold; −1 where nothing counts. */
interface Curves {
  /** At the 101 recall points. */
  precisions: readonly (readonly number[])[];
  recalls: readonly number[];
}

/** Numbers from first to last, as NumPy's `linspace` rounds them. */
function spaced(first: number, last: number, count: number): number[] {
  const step = (last - first) / (count - 1);
  return Array.from({ length: count }, (_, index) => (index === count - 1 ? last : index * step + first));
}

function placesByImage(
  poses: readonly { image: CocoId }[],
  images: readonly CocoId[],
  what: string,
): Map<CocoId, number[]> {
  const places = new Map(images.map((image): [CocoId, number[]] => [image, []]));
  for (const [index, { image }] of poses.entries()) {
    const own = places.get(image);
    if (own === undefined)
      throw new UserError(
        `${what} belongs to image ${JSON.stringify(image)}, which is not among the ${images.length} images of the set`,
      );
    own.push(index);
  }
  return places;
}

/** Numbers in their order, then texts in theirs. */
function byId(a: CocoId, b: CocoId): number {
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return a < b ? -1 : Number(a > b);
}

function detectedAreas(detections: readonly DetectedPose[]): number[] {
  const boxed = detections.filter(({ box }) => box !== undefined).length;
  if (boxed > 0 && boxed < detections.length)
    throw new UserError(
      `${boxed} of ${detections.length} detections have a box; give all of them one, or none`,
    );
  return detections.map(({ keypoints, box }) => {
    if (box) return box[2] * box[3];
    const extent = (axis: 0 | 1) => {
      const values = keypoints.filter((_, at) => at % 3 === axis);
      return Math.max(...values) - Math.min(...values);
    };
    return extent(0) * extent(1);
  });
}

/** Who found whom in one image. Detections choose one after the other, the best first. */
function matched(
  { image, persons, detections, similarities }: Scene,
  {
    truth,
    areas,
    range: [least, most],
  }: { truth: readonly TruePose[]; areas: readonly number[]; range: readonly [number, number] },
): SceneMatches {
  const outside = (area: number) => area < least || area > most;
  const isIgnored = persons.map((person) => {
    const { isCrowd, labelled, area } = truth[person];
    return isCrowd || labelled === 0 || outside(area);
  });
  // Persons that count are looked at first.
  const order = persons.map((_, at) => at).sort((a, b) => Number(isIgnored[a]) - Number(isIgnored[b]));
  const rows = thresholds.map((threshold) => {
    const taken = new Set<number>();
    const found: number[] = [];
    const ignored: boolean[] = [];
    for (const [row, result] of detections.entries()) {
      let best = -1;
      let bar = Math.min(threshold, 1 - 1e-10);
      for (const at of order) {
        if (taken.has(at) && !truth[persons[at]].isCrowd) continue;
        // A match that counts is kept, however well an ignored person fits.
        if (best >= 0 && !isIgnored[best] && isIgnored[at]) break;
        if (similarities[row][at] < bar) continue;
        bar = similarities[row][at];
        best = at;
      }
      if (best >= 0) taken.add(best);
      found.push(best < 0 ? -1 : persons[best]);
      ignored.push(best < 0 ? outside(areas[result]) : isIgnored[best]);
    }
    return { found, ignored };
  });
  return {
    image,
    detections,
    found: rows.map(({ found }) => found),
    ignored: rows.map(({ ignored }) => ignored),
    counted: isIgnored.filter((ignored) => !ignored).length,
  };
}

/** @param scores of the detections of all matches, one after the other */
function accumulated(matches: readonly SceneMatches[], scores: readonly number[]): Curves {
  const total = matches.reduce((sum, { counted }) => sum + counted, 0);
  if (total === 0) {
    return {
      precisions: thresholds.map(() => recallPoints.map(() => -1)),
      recalls: thresholds.map(() => -1),
    };
  }
  const order = scores.map((_, index) => index).sort((a, b) => scores[b] - scores[a]);
  const curves = thresholds.map((_, threshold) => {
    const found = matches.flatMap((match) => match.found[threshold]);
    const ignored = matches.flatMap((match) => match.ignored[threshold]);
    let [right, wrong] = [0, 0];
    const recalls: number[] = [];
    const precisions: number[] = [];
    for (const at of order) {
      if (!ignored[at]) found[at] >= 0 ? right++ : wrong++;
      recalls.push(right / total);
      precisions.push(right / (wrong + right + Number.EPSILON));
    }
    for (let at = precisions.length - 1; at > 0; at--)
      precisions[at - 1] = Math.max(precisions[at - 1], precisions[at]);
    return { precisions: readAt(recalls, precisions), recall: recalls.at(-1) ?? 0 };
  });
  return {
    precisions: curves.map(({ precisions }) => precisions),
    recalls: curves.map(({ recall }) => recall),
  };
}

/** The precision where each recall point is first reached; 0 where it is not. */
function readAt(recalls: readonly number[], precisions: readonly number[]): number[] {
  let at = 0;
  return recallPoints.map((point) => {
    while (at < recalls.length && recalls[at] < point) at++;
    return at < recalls.length ? precisions[at] : 0;
  });
}

function byThreshold({ precisions, recalls }: Curves) {
  return { averagePrecision: precisions.map((curve) => meanOf([curve])), recall: [...recalls] };
}

/** The mean of all numbers that are defined, in the order in which the published code adds them. */
function meanOf(rows: readonly (readonly number[])[]): number {
  const defined = rows.flat().filter((value) => value > -1);
  return defined.length === 0 ? -1 : pairwiseMean(defined);
}
