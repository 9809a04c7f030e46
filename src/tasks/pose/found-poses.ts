import type { PersonSample, Persons } from "../../data/persons.ts";
import type { CocoId, Keypoints } from "../../data/sets/coco-keypoints.ts";
import { writeCocoResults } from "../../data/sets/coco-results.ts";
import { type CocoStatistic, type DetectedPose, evaluatePoses, type TruePose } from "./average-precision.ts";
import { personScore, suppressDuplicates } from "./oks.ts";
import { type Region, regionArea } from "./region.ts";

/** A person that a network found, in pixels of its picture. */
interface Found extends DetectedPose {
  /** Of the region that the network saw. */
  area: number;
}

/** The category that `writeCocoFolder` gives persons. */
const writtenCategory = 1;

/** Persons that a network found, gathered for COCO's evaluation, as SimpleBaseline's evaluation gives them to it. */
export class FoundPoses {
  readonly #source: Persons;
  readonly #sigmas: readonly number[];
  readonly #found = new Map<CocoId, Found[]>();
  /** Of samples, where nothing else is annotated. */
  readonly #truth: TruePose[] = [];

  constructor(source: Persons, sigmas: readonly number[]) {
    this.#source = source;
    this.#sigmas = sigmas;
  }

  /**
   * @param region what the network saw of the person, in pixels of the sample
   * @param joints x, y and score, joint after joint, in pixels of the sample
   * @param boxScore how sure a detector was of the box
   */
  add(sample: PersonSample, region: Region, joints: Keypoints, boxScore: number): void {
    const number = sample.picture.data[0];
    const { annotated } = this.#source;
    const image = annotated ? annotated.pictures[number] : number + 1;
    const [, , factor] = sample.place.data;
    const own = this.#found.get(image) ?? [];
    own.push({
      image,
      keypoints: placed(joints, sample),
      score: personScore(
        boxScore,
        joints.filter((_, at) => at % 3 === 2),
      ),
      area: regionArea(region) * factor ** 2,
    });
    this.#found.set(image, own);
    if (!annotated) this.#truth.push(trueSample(sample, image));
  }

  /** COCO's numbers of the persons found; −1 where nothing is annotated. */
  statistics(): Record<CocoStatistic, number> {
    const { annotated } = this.#source;
    return evaluatePoses({
      images: annotated?.pictures ?? [...this.#found.keys()],
      truth: annotated?.persons ?? this.#truth,
      detections: this.#kept(),
      sigmas: this.#sigmas,
    }).statistics;
  }

  /** The persons found in COCO's format of results. */
  results(): string {
    const category = { id: this.#source.annotated?.category ?? writtenCategory };
    return writeCocoResults(this.#kept(), { category });
  }

  /** Without those that resemble a better one of the same picture. */
  #kept(): DetectedPose[] {
    return [...this.#found.values()].flatMap((persons) =>
      suppressDuplicates(persons, this.#sigmas).map((index) => {
        const { image, keypoints, score } = persons[index];
        return { image, keypoints, score };
      }),
    );
  }
}

/** In pixels of the picture, which others may share. */
function placed(keypoints: Keypoints, { place }: PersonSample): number[] {
  const [first, above, factor] = place.data;
  return keypoints.map((value, at) =>
    at % 3 === 2 ? value : (value + 0.5) * factor - 0.5 + [first, above][at % 3],
  );
}

function trueSample(sample: PersonSample, image: CocoId): TruePose {
  const { keypoints, box, area, place } = sample;
  const [left, top, width, height] = box.data;
  const [x, y] = placed([left, top], sample);
  const [, , factor] = place.data;
  return {
    image,
    keypoints: placed(Array.from(keypoints.data), sample),
    area: area.data[0] * factor ** 2,
    box: [x, y, width * factor, height * factor],
    isCrowd: false,
    labelled: keypoints.data.filter((value, at) => at % 3 === 2 && value > 0).length,
  };
}
