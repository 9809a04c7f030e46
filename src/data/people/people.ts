import { cocoJoints, cocoLimbs } from "../coco-joints.ts";
import { type GeneratedOptions, withDefaults } from "../generated-options.ts";
import { drawnOnce } from "../kept-samples.ts";
import { measuredPersonsOf, type PersonSample, type Persons } from "../persons.ts";
import { clippedBox } from "../sets/coco-keypoints.ts";
import { drawScene } from "./scene.ts";

// Pictures of jointed figures, generated: as many as one wants, with the exact truth, and nothing to download.

const peopleDefaults = { train: 20_000, test: 2_000, size: 96, seed: 1 } as const;

/**
 * The training and the test part. The same options give the same pictures; the parts share none, and with another
 * number of pictures the first ones stay the same.
 * @param options default: 20,000 and 2,000 pictures of 96×96, seed 1
 * @param name what messages call the set
 */
export async function loadPeople(
  options: GeneratedOptions = {},
  name = "people",
): Promise<Record<"train" | "test", Persons>> {
  const { train, test, size, seed } = withDefaults(options, peopleDefaults);
  // Test pictures have the odd numbers, so that a larger training part never reaches them.
  const training = drawnOnce((index) => personOf(seed, { picture: index, scene: 2 * index }, size));
  const testing = drawnOnce((index) => personOf(seed, { picture: index, scene: 2 * index + 1 }, size));
  const statistics = await measuredPersonsOf({ count: train, read: training });
  const part = (kind: "train" | "test", count: number, read: Persons["read"]): Persons => ({
    ...{ name, count, size, limbs: cocoLimbs, read },
    fingerprint: `people 1 ${kind} seed ${seed} size ${size} count ${count}`,
    joints: cocoJoints,
    ...statistics,
  });
  return { train: part("train", train, training), test: part("test", test, testing) };
}

/** A person as the readers of annotations have it. */
function personOf(seed: number, number: { picture: number; scene: number }, size: number): PersonSample {
  const scene = drawScene(seed, number.scene, size);
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
    keypoints: { type: "float32", shape: [cocoJoints.length, 3], data: keypoints },
    box: { type: "float32", shape: [4], data: Float32Array.from(box) },
    area: { type: "float32", shape: [], data: Float32Array.of(scene.area) },
    place: { type: "float32", shape: [3], data: Float32Array.of(0, 0, 1) },
    picture: { type: "int32", shape: [], data: Int32Array.of(number.picture) },
  };
}
