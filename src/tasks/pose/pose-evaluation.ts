import { UserError } from "../../common/errors.ts";
import type { PersonSample, Persons } from "../../data/persons.ts";
import type { Keypoints } from "../../data/sets/coco-keypoints.ts";
import type { TensorData, Tensors } from "../../onnx/tensor.ts";
import type { Evaluation, Metric } from "../task.ts";
import { decodeHeatMaps, jointsInPicture, mergedFlip, tapsFor } from "./decoding.ts";
import { FoundPoses } from "./found-poses.ts";
import { boxLength, CorrectKeypointsCounter, segmentLength } from "./pck.ts";
import { type FoundPerson, poseDetails } from "./pose-details.ts";
import { type PoseForm, personRegion } from "./pose-form.ts";
import { mapToPicture, type Region } from "./region.ts";
import { mirroredJoints } from "./skeleton.ts";

/**
 * How well the joints of some persons are found: PCK, COCO's AP and AR, each joint, the best and the worst persons.
 * @param boxes a file of boxes that a detector found: AP and AR are measured with them as well
 * @throws UserError for boxes that do not belong to the persons' pictures
 */
export function poseEvaluations(
  source: Persons,
  form: PoseForm,
  boxes?: string,
): [Evaluation<PersonSample>, ...Evaluation<PersonSample>[]] {
  const views = form.flipTest && { secondView: mirroredInput };
  const own = { source, metric: () => new PoseMetric(source, form), ...views };
  if (boxes === undefined) return [own];
  const given = source.withBoxes?.(boxes);
  if (!given)
    throw new UserError(
      `pose.boxes names ${boxes}, and ${source.name} is no folder in COCO's format, whose pictures it could belong to; leave it out`,
    );
  return [own, { source: given, metric: () => new GivenBoxesMetric(given, form), ...views }];
}

/** Mirror images of a batch [N, channels, height, width]. */
function mirroredInput({ type, shape, data }: TensorData): TensorData {
  const width = shape[3];
  const pixels = data as Float32Array<ArrayBuffer>;
  const mirrored = pixels.map((_, at) => pixels[at - (at % width) + width - 1 - (at % width)]);
  return { type, shape, data: mirrored } as TensorData;
}

/** With annotated boxes. */
class PoseMetric implements Metric<PersonSample> {
  readonly #source: Persons;
  readonly #form: PoseForm;
  readonly #tenth: CorrectKeypointsCounter;
  readonly #fifth: CorrectKeypointsCounter;
  readonly #halfHead: CorrectKeypointsCounter;
  readonly #found: FoundPerson[] = [];
  readonly #poses: FoundPoses;

  constructor(source: Persons, form: PoseForm) {
    this.#source = source;
    this.#form = form;
    const counter = (threshold: number) => new CorrectKeypointsCounter(source.joints.length, threshold);
    [this.#tenth, this.#fifth, this.#halfHead] = [counter(0.1), counter(0.2), counter(0.5)];
    this.#poses = new FoundPoses(source, form.skeleton.sigmas);
  }

  add(predicted: Tensors, samples: readonly PersonSample[], mirrored?: Tensors): void {
    for (const [index, sample] of samples.entries()) {
      const { joints, region } = jointsOf(sample, { predicted, mirrored, index }, this.#form);
      this.#poses.add(sample, region, joints, 1);
      this.#count(sample, joints);
    }
  }

  #count({ keypoints, box }: PersonSample, joints: Keypoints): void {
    const given = Array.from(keypoints.data);
    const parts = (values: Keypoints) => values.filter((_, at) => at % 3 !== 2);
    const visibility = given.filter((_, at) => at % 3 === 2);
    const [left, top, width, height] = box.data;
    const length = boxLength([left, top, width, height]);
    const person = { truth: parts(given), predicted: parts(joints), visibility, length };
    this.#tenth.add(person);
    this.#fifth.add(person);
    const head = this.#form.skeleton.head && segmentLength(given, this.#form.skeleton.head);
    if (head !== undefined) this.#halfHead.add({ ...person, length: head });
    this.#found.push({ joints, error: meanDistance(person) / Math.max(length, 1) });
  }

  result(): Record<string, number> {
    const [pck, pck02, pckh] = [this.#tenth, this.#fifth, this.#halfHead].map(
      (counter) => counter.result().pooled,
    );
    const { AP, AR } = this.#poses.statistics();
    return {
      ...(pck !== undefined && { pck }),
      ...(pck02 !== undefined && { pck02 }),
      ...(pckh !== undefined && { pckh }),
      ...(AP >= 0 && { averagePrecision: AP }),
      ...(AR >= 0 && { averageRecall: AR }),
    };
  }

  details() {
    return poseDetails(this.#source, this.#form, {
      found: this.#found,
      tenth: this.#tenth.result(),
      fifth: this.#fifth.result(),
      halfHead: this.#halfHead.result(),
    });
  }

  predictions(): string {
    return this.#poses.results();
  }
}

/** With the boxes of a detector, which nothing but AP and AR can be measured with. */
class GivenBoxesMetric implements Metric<PersonSample> {
  readonly #scores: readonly number[];
  readonly #form: PoseForm;
  readonly #poses: FoundPoses;
  #added = 0;

  constructor(source: Persons, form: PoseForm) {
    this.#scores = source.scores ?? [];
    this.#form = form;
    this.#poses = new FoundPoses(source, form.skeleton.sigmas);
  }

  add(predicted: Tensors, samples: readonly PersonSample[], mirrored?: Tensors): void {
    for (const [index, sample] of samples.entries()) {
      const { joints, region } = jointsOf(sample, { predicted, mirrored, index }, this.#form);
      this.#poses.add(sample, region, joints, this.#scores[this.#added++]);
    }
  }

  result(): Record<string, number> {
    const { AP, AR } = this.#poses.statistics();
    return {
      ...(AP >= 0 && { givenBoxesPrecision: AP }),
      ...(AR >= 0 && { givenBoxesRecall: AR }),
    };
  }

  predictions(): string {
    return this.#poses.results();
  }
}

/** The joints of a person of a batch, in pixels of its sample, and the region that the network saw. */
function jointsOf(
  sample: PersonSample,
  { predicted, mirrored, index }: { predicted: Tensors; mirrored: Tensors | undefined; index: number },
  form: PoseForm,
): { joints: Keypoints; region: Region } {
  const { map, alignment, refinement, sigma, skeleton, flipTest } = form;
  const size = skeleton.joints.length * map[0] * map[1];
  const mapsOf = ({ maps }: Tensors) =>
    (maps.data as Float32Array).subarray(index * size, (index + 1) * size);
  const maps =
    flipTest && mirrored
      ? mergedFlip(mapsOf(predicted), mapsOf(mirrored), map, mirroredJoints(skeleton), flipTest.shift)
      : mapsOf(predicted);
  const decoded = decodeHeatMaps(maps, map, { refinement, taps: tapsFor(sigma) });
  const region = personRegion(sample, form);
  return { joints: jointsInPicture(decoded, mapToPicture(region, map, alignment)), region };
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
