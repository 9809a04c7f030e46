import type { PersonSample, Persons } from "../../data/persons.ts";
import type { Keypoints } from "../../data/sets/coco-keypoints.ts";
import type { Tensors } from "../../onnx/tensor.ts";
import type { Evaluation, Metric } from "../task.ts";
import { type DetectedPose, evaluatePoses, type TruePose } from "./average-precision.ts";
import { decodeHeatMaps, jointsInPicture, tapsFor } from "./decoding.ts";
import { personScore } from "./oks.ts";
import { boxLength, CorrectKeypointsCounter } from "./pck.ts";
import { type FoundPerson, poseDetails } from "./pose-details.ts";
import { type PoseForm, personRegion } from "./pose-form.ts";
import { mapToPicture } from "./region.ts";

/** How well the joints of some persons are found: PCK, COCO's AP and AR, each joint, the best and the worst persons. */
export function poseEvaluation(source: Persons, form: PoseForm): Evaluation<PersonSample> {
  return { source, metric: () => new PoseMetric(source, form) };
}

class PoseMetric implements Metric<PersonSample> {
  private readonly source: Persons;
  private readonly form: PoseForm;
  private readonly counters: { tenth: CorrectKeypointsCounter; fifth: CorrectKeypointsCounter };
  private readonly found: FoundPerson[] = [];
  private readonly truth: TruePose[] = [];
  private readonly detections: DetectedPose[] = [];

  constructor(source: Persons, form: PoseForm) {
    this.source = source;
    this.form = form;
    const counter = (threshold: number) => new CorrectKeypointsCounter(source.joints.length, threshold);
    this.counters = { tenth: counter(0.1), fifth: counter(0.2) };
  }

  add({ maps }: Tensors, samples: readonly PersonSample[]): void {
    const { map, alignment, refinement, sigma } = this.form;
    const size = this.source.joints.length * map[0] * map[1];
    const data = maps.data as Float32Array;
    for (const [index, sample] of samples.entries()) {
      const decoded = decodeHeatMaps(data.subarray(index * size, (index + 1) * size), map, {
        refinement,
        taps: tapsFor(sigma),
      });
      const region = personRegion(sample, this.form);
      this.gather(sample, jointsInPicture(decoded, mapToPicture(region, map, alignment)));
    }
  }

  /** @param joints x, y and score, joint after joint, in pixels of the sample */
  private gather({ keypoints, box, area, place, picture }: PersonSample, joints: Keypoints): void {
    const [first, above, factor] = place.data;
    const given = Array.from(keypoints.data);
    const parts = (values: Keypoints) => values.filter((_, at) => at % 3 !== 2);
    const visibility = given.filter((_, at) => at % 3 === 2);
    const [left, top, width, height] = box.data;
    const length = boxLength([left, top, width, height]);
    const person = { truth: parts(given), predicted: parts(joints), visibility, length };
    this.counters.tenth.add(person);
    this.counters.fifth.add(person);
    this.found.push({ joints, error: meanDistance(person) / Math.max(length, 1) });
    // In pixels of the picture, which a detection may share with other persons.
    const inPicture = (value: number, axis: number) => (value + 0.5) * factor - 0.5 + [first, above][axis];
    const placed = (values: Keypoints) =>
      values.map((value, at) => (at % 3 === 2 ? value : inPicture(value, at % 3)));
    const image = picture.data[0];
    this.truth.push({
      image,
      keypoints: placed(given),
      area: area.data[0] * factor ** 2,
      box: [inPicture(left, 0), inPicture(top, 1), width * factor, height * factor],
      isCrowd: false,
      labelled: visibility.filter((value) => value > 0).length,
    });
    const scores = joints.filter((_, at) => at % 3 === 2);
    this.detections.push({ image, keypoints: placed(joints), score: personScore(1, scores) });
  }

  result(): Record<string, number> {
    const { tenth, fifth } = this.counters;
    const [pck, pck02] = [tenth.result().pooled, fifth.result().pooled];
    const { truth, detections } = this;
    const { statistics } = evaluatePoses({
      images: [...new Set(truth.map(({ image }) => image))],
      ...{ truth, detections },
      sigmas: this.form.skeleton.sigmas,
    });
    return {
      ...(pck !== undefined && { pck }),
      ...(pck02 !== undefined && { pck02 }),
      ...(statistics.AP >= 0 && { averagePrecision: statistics.AP }),
      ...(statistics.AR >= 0 && { averageRecall: statistics.AR }),
    };
  }

  details() {
    const { tenth, fifth } = this.counters;
    return poseDetails(this.source, this.form, {
      found: this.found,
      tenth: tenth.result(),
      fifth: fifth.result(),
    });
  }
}

/** Over labelled joints; 0 where there is none. */
function meanDistance({
  truth,
  predicted,
  visibility,
}: Record<"truth" | "predicted" | "visibility", readonly number[]>): number {
  const distances = visibility.flatMap((value, joint) =>
    value > 0
      ? [Math.hypot(predicted[2 * joint] - truth[2 * joint], predicted[2 * joint + 1] - truth[2 * joint + 1])]
      : [],
  );
  return distances.length === 0 ? 0 : distances.reduce((sum, value) => sum + value, 0) / distances.length;
}
