import { UserError } from "../../common/errors.ts";
import type { Random } from "../../common/random.ts";
import { type ClassSample, classAt, type ImageClasses } from "../../data/source.ts";
import type { TensorData } from "../../onnx/tensor.ts";

/** A sample that still knows its class from before the noise. */
export interface NoisySample extends ClassSample {
  /** [] */
  trueClass: TensorData<"int32">;
}

export interface NoisyClasses extends ImageClasses {
  /** How many labels are wrong. */
  readonly wrongCount: number;
  read(index: number): NoisySample;
}

/**
 * Replaces each label, with the given probability, by a class drawn uniformly from all C. The drawn class may be the true
 * one, so about probability · (C − 1) / C of the labels end up wrong ("symmetric" noise, as the papers on
 * sharpness-aware minimization use it).
 *
 * @throws UserError when the probability is not between 0 and 1
 */
export function withLabelNoise(source: ImageClasses, probability: number, random: Random): NoisyClasses {
  if (!(probability >= 0 && probability <= 1)) {
    throw new UserError(`the share of noisy labels is ${probability}; choose a number from 0 to 1`);
  }
  const labels = source.labels.slice();
  let wrongCount = 0;
  for (const [index, label] of source.labels.entries()) {
    if (random.uniform() >= probability) continue;
    labels[index] = random.integer(source.classNames.length);
    if (labels[index] !== label) wrongCount++;
  }
  return {
    ...source,
    labels,
    wrongCount,
    fingerprint: `${source.fingerprint} with labels ${labels.join()}`,
    read: (index) => {
      const { image, class: trueClass } = source.read(index);
      return { image, class: classAt(labels, index), trueClass };
    },
  };
}
