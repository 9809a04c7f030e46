import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { randomStream } from "../../common/random.ts";
import { type Box, readCocoKeypoints } from "../../data/sets/coco-keypoints.ts";
import { writeCocoResults } from "../../data/sets/coco-results.ts";
import { type DetectedPose, evaluatePoses } from "./average-precision.ts";
import { keypointSimilarity, personScore, suppressDuplicates } from "./oks.ts";
import { boxLength, CorrectKeypointsCounter, headLength } from "./pck.ts";
import { cocoSkeleton } from "./skeleton.ts";

// Against fixtures/tasks/pose-metrics.json: numbers of COCO's published evaluation.

interface Evaluation {
  name: string;
  groundTruth: { images: { id: number }[]; annotations: { id: number; image_id: number }[] };
  detections: { image_id: number; keypoints: number[]; score: number; bbox?: Box }[];
  stats: Record<string, number>;
  perThreshold: Record<string, unknown>;
  matches: {
    image: number;
    detections: number[];
    annotationAt50: number[];
    annotationAt75: number[];
    ignoredAt50: boolean[];
  }[];
  sigmas?: number[];
}
interface Shares {
  perJoint: (number | null)[];
  pooled: number | null;
  meanOfJoints: number | null;
}
interface Tensor {
  shape: number[];
  data: number[];
}

const vectors = JSON.parse(
  readFileSync(new URL("../../../fixtures/tasks/pose-metrics.json", import.meta.url), "utf8"),
);

describe("similarity", () => {
  for (const { name, truth, area, bbox, detection, oks } of vectors.oks) {
    test(name, () => {
      const found = keypointSimilarity({ keypoints: truth, area, box: bbox }, detection, cocoSkeleton.sigmas);
      assert.ok(Math.abs(found - oks) <= 1e-12, `${found} instead of ${oks}`);
    });
  }
});

/** A file and its results through Lowland's own reader. */
function evaluated({ groundTruth, detections, sigmas = [...cocoSkeleton.sigmas] }: Evaluation) {
  const { pictures, persons } = readCocoKeypoints(JSON.stringify(groundTruth), "truth.json");
  return evaluatePoses({
    images: pictures.map((picture) => picture.id),
    truth: persons,
    detections: detections.map(({ image_id, bbox, ...rest }) => {
      return { image: image_id, ...(bbox && { box: bbox }), ...rest };
    }),
    sigmas,
  });
}

describe("average precision and recall, to the last bit", () => {
  for (const expected of vectors.evaluation as Evaluation[]) {
    // There the published code loses a match, since it takes an annotation's id of 0 for "nobody".
    if (expected.name === "annotation-id-0") continue;
    test(expected.name, () => {
      const { statistics, ranges, matches } = evaluated(expected);
      assert.deepEqual(statistics, expected.stats);
      assert.deepEqual(ranges, expected.perThreshold);
      const ids = [0, ...expected.groundTruth.annotations.map(({ id }) => id)];
      for (const wanted of expected.matches) {
        const match = matches.find(({ image }) => image === wanted.image);
        assert.ok(match);
        assert.deepEqual(match.detections, wanted.detections);
        const found = [0, 5].map((threshold) => match.found[threshold].map((person) => ids[person + 1]));
        assert.deepEqual(found, [wanted.annotationAt50, wanted.annotationAt75]);
        assert.deepEqual(match.ignored[0], wanted.ignoredAt50);
      }
    });
  }

  test("an annotation whose id is 0 counts like any other", () => {
    const file = (vectors.evaluation as Evaluation[]).find(({ name }) => name === "annotation-id-0")!;
    assert.equal(file.groundTruth.annotations[0].id, 0);
    const { AP, AR } = evaluated(file).statistics;
    assert.ok(AP > 1 - 1e-9 && AR === 1 && file.stats.AR === 0.5, `${AP} ${AR}`);
  });
});

describe("a set in another form is the same set", () => {
  const file = (vectors.evaluation as Evaluation[])[0];
  const { statistics } = evaluated(file);

  test("images in another order", () => {
    const images = file.groundTruth.images.toReversed();
    const turned = { ...file, groundTruth: { ...file.groundTruth, images } };
    assert.deepEqual(evaluated(turned).statistics, statistics);
  });

  test("ids of images that are texts", () => {
    const named = <T extends { image_id: number }>(row: T) => ({ ...row, image_id: text(row.image_id) });
    const text = (id: number) => `image ${String(id).padStart(4, "0")}` as unknown as number;
    const renamed = {
      ...file,
      groundTruth: {
        ...file.groundTruth,
        images: file.groundTruth.images.map((image) => ({ ...image, id: text(image.id) })),
        annotations: file.groundTruth.annotations.map(named),
      },
      detections: file.detections.map(named),
    };
    assert.deepEqual(evaluated(renamed).statistics, statistics);
  });

  test("results as they are written", () => {
    const { category } = readCocoKeypoints(JSON.stringify(file.groundTruth), "truth.json");
    const found = file.detections.map(({ image_id, ...rest }) => ({ image: image_id, ...rest }));
    const detections = JSON.parse(writeCocoResults(found, { category }));
    assert.deepEqual(evaluated({ ...file, detections }).statistics, statistics);
  });
});

test("a detection in an image that is not there, and boxes for some detections only, are refused", () => {
  const keypoints = new Array(51).fill(1);
  const evaluate = (detections: DetectedPose[]) =>
    evaluatePoses({ images: [1, 2], truth: [], detections, sigmas: cocoSkeleton.sigmas });
  assert.throws(
    () => evaluate([{ image: "2", keypoints, score: 1 }]),
    /a detection belongs to image "2", which is not among the 2 images of the set/,
  );
  const box: Box = [0, 0, 1, 1];
  assert.throws(
    () =>
      evaluate([
        { image: 1, keypoints, score: 1, box },
        { image: 1, keypoints, score: 1 },
      ]),
    /1 of 2 detections have a box; give all of them one, or none/,
  );
});

describe("correct keypoints", () => {
  const rows = ({ shape, data }: Tensor) => {
    const width = data.length / shape[0];
    return Array.from({ length: shape[0] }, (_, row) => data.slice(row * width, (row + 1) * width));
  };
  for (const { name, truth, visible, predicted, boxes, headBoxes, ...expected } of vectors.pck) {
    const thresholds = Object.keys(expected).filter((key) => key.startsWith("pck"));
    for (const key of thresholds) {
      test(`${name}, ${key}`, () => {
        const [kind, threshold] = key.split("@");
        const counter = new CorrectKeypointsCounter(truth.shape[1], Number(threshold));
        const lengths = rows(kind === "pckh" ? headBoxes : boxes).map((box) =>
          (kind === "pckh" ? headLength : boxLength)(box as unknown as Box),
        );
        const predictions = rows(predicted);
        for (const [person, points] of rows(truth).entries())
          counter.add({
            truth: points,
            predicted: predictions[person],
            visibility: visible[person],
            length: lengths[person],
          });
        const found = counter.result();
        const { perJoint, pooled, meanOfJoints } = expected[key] as Shares;
        const same = (actual: number | undefined, wanted: number | null) =>
          wanted === null ? assert.equal(actual, undefined) : assert.ok(Math.abs(actual! - wanted) <= 1e-12);
        same(found.pooled, pooled);
        same(found.meanOfJoints, meanOfJoints);
        assert.equal(found.perJoint.length, perJoint.length);
        for (const [joint, share] of perJoint.entries()) same(found.perJoint[joint], share);
      });
    }
  }
});

describe("persons that resemble each other", () => {
  const { sigmas } = cocoSkeleton;
  const random = randomStream(1, "poses");
  const pose = (score: number, shift: number, area = 5000) => ({
    keypoints: sigmas.flatMap((_, joint) => [20 * joint + shift, 7 * joint, joint % 2]),
    score,
    area,
  });

  // All joints moved by d: the similarity is the mean of exp(−d² / (2·area·(2σ)²)).
  const similarity = (d: number, area: number) =>
    sigmas.reduce((sum, sigma) => sum + Math.exp(-(d ** 2) / (2 * area * (2 * sigma) ** 2)), 0) / 17;
  const [near, far] = [2, 4];

  test("the one with the better score is kept, by the closed form of their similarity", () => {
    assert.ok(similarity(near, 5000) > 0.9 && similarity(far, 5000) < 0.9);
    assert.deepEqual(
      suppressDuplicates([pose(0.3, 0), pose(0.8, near), pose(0.5, near + far)], sigmas),
      [1, 2],
    );
    // The mean of both areas counts: the same distance is near for large persons.
    assert.ok(similarity(far, 55_000) > 0.9);
    assert.deepEqual(suppressDuplicates([pose(0.3, 0), pose(0.8, far, 105_000)], sigmas), [1]);
  });

  test("one that resembles only a person that was dropped is kept", () => {
    const chain = [pose(0.9, 0), pose(0.8, near), pose(0.7, far)];
    assert.deepEqual(suppressDuplicates(chain, sigmas), [0, 2]);
  });

  test("at equal scores the earlier one is kept, and without persons none", () => {
    assert.deepEqual(suppressDuplicates([pose(0.5, 0), pose(0.5, 0)], sigmas), [0]);
    assert.deepEqual(suppressDuplicates([], sigmas), []);
    const many = Array.from({ length: 30 }, () => pose(random.uniform(), 40 * random.integer(8)));
    const kept = suppressDuplicates(many, sigmas);
    assert.ok(kept.every((index, at) => at === 0 || many[kept[at - 1]].score >= many[index].score));
    assert.equal(new Set(kept.map((index) => many[index].keypoints[0])).size, kept.length);
  });

  test("a person's score is that of the box times the mean of joint scores above 0.2", () => {
    assert.equal(personScore(0.5, [0.2, 0.4, 0.1, 0.8]), 0.5 * ((0.4 + 0.8) / 2));
    assert.equal(personScore(0.9, Float32Array.of(0.1, 0)), 0);
    assert.equal(personScore(1, [0.1, 0.3], 0), 0.2);
  });
});
