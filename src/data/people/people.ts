import { UserError } from "../../common/errors.ts";
import { readNamedOptions } from "../../common/named-options.ts";
import { KeptPersons, measuredPersonsOf, type PersonSample, type Persons } from "../persons.ts";
import { clippedBox } from "../sets/coco-keypoints.ts";
import { jointNames } from "./figure.ts";
import { drawScene } from "./scene.ts";

// Pictures of jointed figures, generated: as many as one wants, with the exact truth, and nothing to download.

/** What may follow the name: `people:train=100000,seed=2`. */
export interface PeopleOptions {
  /** Training pictures. Default 20,000. */
  train?: number;
  /** Test pictures. Default 2,000. */
  test?: number;
  /** Height and width of a picture in pixels. Default 96. */
  size?: number;
  /** Other numbers are other pictures. Default 1. */
  seed?: number;
}

const peopleDefaults = { train: 20_000, test: 2_000, size: 96, seed: 1 } as const;

/** The connections of COCO's skeleton. */
const limbs = [
  [15, 13],
  [13, 11],
  [16, 14],
  [14, 12],
  [11, 12],
  [5, 11],
  [6, 12],
  [5, 6],
  [5, 7],
  [6, 8],
  [7, 9],
  [8, 10],
  [1, 2],
  [0, 1],
  [0, 2],
  [1, 3],
  [2, 4],
  [3, 5],
  [4, 6],
] as const;

/**
 * Whether a text names the set, with options or without.
 * @throws UserError for an option that is not there or no number that fits
 */
export function readPeople(text: string): PeopleOptions | undefined {
  const { name, options } = readNamedOptions(text);
  if (name !== "people") return undefined;
  const known = Object.keys(peopleDefaults);
  const read = ([option, value]: [string, string]) => {
    if (!known.includes(option))
      throw new UserError(`people has no option "${option}"; it has ${known.join(", ")}`);
    const number = Number(value);
    const least = option === "seed" ? 0 : option === "size" ? 32 : 1;
    if (value.trim() === "" || !Number.isSafeInteger(number) || number < least)
      throw new UserError(
        `people: ${option} is ${value === "" ? "missing its value" : value}; it has to be a whole number of at least ${least}`,
      );
    return [option, number];
  };
  return Object.fromEntries(Object.entries(options).map(read));
}

/**
 * The training and the test part. The same options give the same pictures; the parts share none, and with another
 * number of pictures the first ones stay the same.
 * @param name what messages call the set
 */
export async function loadPeople(
  options: PeopleOptions = {},
  name = "people",
): Promise<Record<"train" | "test", Persons>> {
  const { train, test, size, seed } = { ...peopleDefaults, ...options };
  const draw = (index: number) => personOf(seed, index, size);
  // Test pictures have the odd numbers, so that a larger training part never reaches them.
  const training = drawnOnce((index) => draw(2 * index));
  const testing = drawnOnce((index) => draw(2 * index + 1));
  const statistics = await measuredPersonsOf({ count: train, read: training });
  const part = (kind: "train" | "test", count: number, read: Persons["read"]): Persons => ({
    ...{ name, count, size, limbs, read },
    fingerprint: `people 1 ${kind} seed ${seed} size ${size} count ${count}`,
    joints: jointNames,
    ...statistics,
  });
  return { train: part("train", train, training), test: part("test", test, testing) };
}

/** A person as the readers of annotations have it. */
function personOf(seed: number, index: number, size: number): PersonSample {
  const scene = drawScene(seed, index, size);
  // From corners of pixels to their centers; a joint beyond the centers of the outer pixels is outside.
  const keypoints = scene.keypoints.slice();
  for (let at = 0; at < keypoints.length; at += 3) {
    const [x, y] = [keypoints[at] - 0.5, keypoints[at + 1] - 0.5];
    const isInside = keypoints[at + 2] > 0 && x >= 0 && y >= 0 && x <= size - 1 && y <= size - 1;
    keypoints.set(isInside ? [x, y] : [0, 0, 0], at);
  }
  const box = clippedBox(scene.box, { width: size, height: size }) ?? [0, 0, 0, 0];
  return {
    image: { type: "uint8", shape: [3, size, size], data: scene.image },
    keypoints: { type: "float32", shape: [jointNames.length, 3], data: keypoints },
    box: { type: "float32", shape: [4], data: Float32Array.from(box) },
    area: { type: "float32", shape: [], data: Float32Array.of(scene.area) },
    place: { type: "float32", shape: [3], data: Float32Array.of(0, 0, 1) },
    picture: { type: "int32", shape: [], data: Int32Array.of(index) },
  };
}

/** Pictures are drawn when they are first read; those for which there is no room are drawn again. */
function drawnOnce(draw: (index: number) => PersonSample): (index: number) => PersonSample {
  const kept = new KeptPersons();
  return (index) => {
    const earlier = kept.get(index);
    if (earlier) return earlier;
    const sample = draw(index);
    kept.keep(index, sample);
    return sample;
  };
}
