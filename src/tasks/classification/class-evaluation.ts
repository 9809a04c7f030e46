import type { ClassSample, ImageClasses } from "../../data/source.ts";
import type { Tensors } from "../../onnx/tensor.ts";
import type { Evaluation, Metric } from "../task.ts";
import { type Answers, classDetails } from "./class-details.ts";
import { classCounts } from "./class-weights.ts";
import type { NoisyClasses } from "./label-noise.ts";

/** How good the predictions on some images are: accuracy, what was taken for what, the worst images. */
export function classEvaluation(source: ImageClasses): Evaluation<ClassSample> {
  return { source, metric: () => new ClassMetric(source) };
}

/** Ratio of the most frequent class to the rarest from which classes count as uneven. */
const uneven = 3;

class ClassMetric implements Metric<ClassSample> {
  private readonly source: ImageClasses;
  private readonly answers: Answers = { given: [], predicted: [], losses: [], probabilities: [] };

  constructor(source: ImageClasses) {
    this.source = source;
  }

  add(predictions: Tensors, samples: readonly ClassSample[]): void {
    const { given, predicted, losses, probabilities } = this.answers;
    for (const [index, { class: target }] of samples.entries()) {
      given.push(target.data[0]);
      predicted.push(numberAt(predictions.class, index));
      losses.push(numberAt(predictions.loss, index));
      probabilities.push(numberAt(predictions.probability, index));
    }
  }

  /** Accuracy and, where classes are uneven, balanced accuracy: the mean recall of the classes that have samples. */
  result(): Record<string, number> {
    const { given, predicted } = this.answers;
    const right = given.filter((target, index) => target === predicted[index]);
    const accuracy = right.length / given.length;
    const classes = this.source.classNames.length;
    const [counts, rightCounts] = [classCounts(given, classes), classCounts(right, classes)];
    const present = counts.filter((count) => count > 0);
    if (Math.max(...present) < uneven * Math.min(...present)) return { accuracy };
    const recalls = counts.map((count, index) => (count > 0 ? rightCounts[index] / count : 0));
    return { accuracy, balancedAccuracy: recalls.reduce((sum, recall) => sum + recall, 0) / present.length };
  }

  details() {
    return classDetails(this.source, this.answers);
  }
}

/** Share of the wrongly labeled training images that get their wrong label: memorized noise. */
export function memorized(source: NoisyClasses): Evaluation<ClassSample> {
  return {
    source,
    ofTraining: true,
    metric: () => {
      let [learned, wrong] = [0, 0];
      return {
        add: (predicted, samples) => {
          for (const [index, sample] of samples.entries()) {
            const { class: target, trueClass } = sample as ReturnType<NoisyClasses["read"]>;
            if (target.data[0] === trueClass.data[0]) continue;
            wrong++;
            if (numberAt(predicted.class, index) === target.data[0]) learned++;
          }
        },
        result: () => ({ wrongLabelAccuracy: learned / wrong }),
      };
    },
  };
}

function numberAt({ data }: Tensors[string], index: number): number {
  return Number(data[index]);
}
