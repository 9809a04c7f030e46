import { randomStream } from "../common/random.ts";
import { type ImageDataset, type NoisyDataset, subset, withLabelNoise } from "../data/dataset.ts";
import type { RunConfiguration } from "./configuration.ts";

export interface TrainingImages {
  /** What is trained on: the subset and the labels that the configuration makes. */
  dataset: ImageDataset;
  /** Which labels are wrong, where the configuration asks for noise. */
  noise?: NoisyDataset;
}

/** The images a run trains on: drawn from the training set and their labels replaced, by the seed alone. */
export function trainingImages(
  train: ImageDataset,
  { seed, limit, labelNoise }: Pick<RunConfiguration, "seed" | "limit" | "labelNoise">,
): TrainingImages {
  const drawn = limit === undefined ? train : subset(train, limit, randomStream(seed, "subset"));
  if (labelNoise === 0) return { dataset: drawn };
  const noise = withLabelNoise(drawn, labelNoise, randomStream(seed, "label noise"));
  return { dataset: noise.dataset, noise };
}
