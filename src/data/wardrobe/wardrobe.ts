import { UserError } from "../../common/errors.ts";
import { randomStream } from "../../common/random.ts";
import { type GeneratedOptions, withDefaults } from "../generated-options.ts";
import { drawnOnce } from "../kept-samples.ts";
import { classPixels, type ImageMasks, type MaskSample } from "../masks.ts";
import { loadMnist } from "../sets/mnist-set.ts";
import { ChannelSums, type ImageClasses } from "../source.ts";
import type { LoadOptions } from "../sources.ts";
import { drawScene, type SceneOptions } from "./scene.ts";

// Scenes of Fashion-MNIST's garments with exact masks, generated: as many as one wants.

/** Options of scenes of garments. */
export interface WardrobeOptions extends GeneratedOptions, Partial<SceneOptions> {}

const wardrobeDefaults = {
  ...{ train: 6_000, test: 1_000, size: 64, seed: 1 },
  ...{ garments: 3, turn: 30, smallest: 45, largest: 85 },
} as const;

/** How many scenes the mean and the deviation of pixels, and the sizes of classes, are measured on, at most. */
const measuredScenes = 500;

/**
 * The training and the test part: scenes of Fashion-MNIST's training garments, and scenes of its test garments.
 * @param options default: 6,000 and 1,000 scenes of 64×64, seed 1, of up to three garments that are turned by up to 30°, their
 * images 45 to 85 % of the scene's side
 * @param name what messages call the set
 * @throws DatasetUnavailable when Fashion-MNIST is available nowhere
 */
export async function loadWardrobe(
  options: WardrobeOptions = {},
  name = "wardrobe",
  places: LoadOptions = {},
): Promise<Record<"train" | "test", ImageMasks>> {
  return wardrobeOf(await loadMnist("fashion-mnist", places), options, name);
}

/**
 * Scenes of given garments, square gray images. The same options give the same scenes; with another number of scenes the
 * first ones stay the same.
 */
export function wardrobeOf(
  garments: Record<"train" | "test", ImageClasses>,
  options: WardrobeOptions,
  name: string,
): Record<"train" | "test", ImageMasks> {
  const { train, test, seed, ...scene } = withDefaults(options, wardrobeDefaults);
  const { size, garments: most, turn, smallest, largest } = scene;
  if (smallest > largest)
    throw new UserError(
      `${name}: smallest is ${smallest} and largest ${largest}; the largest garment cannot be smaller than the smallest`,
    );
  const reader = (kind: "train" | "test") =>
    drawnOnce((index) => sampleOf(garments[kind], randomStream(seed, `wardrobe ${kind}`, index), scene));
  const [training, testing] = [reader("train"), reader("test")];
  const sums = new ChannelSums(3);
  const measured = Array.from({ length: Math.min(train, measuredScenes) }, (_, index) => training(index));
  for (const { image } of measured) sums.add(image.data);
  const normalization = sums.normalization(255);
  const classNames = ["background", ...garments.train.classNames];
  const masks = measured.map(({ mask }) => mask.data);
  const part = (kind: "train" | "test", count: number, read: ImageMasks["read"]): ImageMasks => ({
    ...{ name, count, read, channels: 3, height: size, width: size, maximum: 255, classShare: 1 },
    ...{ classNames, classPixels: classPixels(masks, classNames.length) },
    fingerprint: `wardrobe 2 ${kind} seed ${seed} size ${size} garments ${most} turn ${turn} sides ${smallest} to ${largest} count ${count} of ${garments[kind].fingerprint}`,
    ...normalization,
  });
  return { train: part("train", train, training), test: part("test", test, testing) };
}

function sampleOf(...scene: Parameters<typeof drawScene>): MaskSample {
  const { image, mask } = drawScene(...scene);
  const [, , { size }] = scene;
  return {
    image: { type: "uint8", shape: [3, size, size], data: image },
    mask: { type: "uint8", shape: [size, size], data: mask },
  };
}
