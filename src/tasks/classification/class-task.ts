import type { Random } from "../../common/random.ts";
import { type Augmentation, checkAugmentation, drawMove, moved } from "../../data/augmentation.ts";
import type { ClassSample, ImageClasses } from "../../data/source.ts";
import type { Value } from "../../graph/graph.ts";
import { tensorData } from "../../onnx/tensor-data.ts";
import { equal } from "../../ops/comparison.ts";
import { cast } from "../../ops/elementwise.ts";
import { gather } from "../../ops/indexing.ts";
import { softmaxCrossEntropy, type WeightedCrossEntropyOptions } from "../../ops/losses.ts";
import { argMax, reduceMax, reduceMean, reduceSum } from "../../ops/reduction.ts";
import { softmax } from "../../ops/softmax.ts";
import { pixelRow, storedImages } from "../image-input.ts";
import type { Task } from "../task.ts";

// Classification of images, without the settings of a run.

export const classificationName = "classification";

/** The class of each example, as an input of a graph. */
const classTarget = { target: { type: "int32", shape: [] } } as const satisfies Task["targets"];

/** How the loss in training differs from the plain cross entropy. */
export type ClassLossOptions = Omit<WeightedCrossEntropyOptions, "reduction">;

/** Softmax cross entropy of logits [batch, classes]. */
export function classLoss(options: ClassLossOptions = {}): Task["loss"] {
  return (output, { target }, purpose) => {
    if (purpose === "test") return softmaxCrossEntropy(output, target);
    return softmaxCrossEntropy(output, target, withOwnClasses(options, output.shape[1]));
  };
}

/** The sum of the weights of the classes of a batch. */
function totalWeight(classWeights: readonly number[], target: Value): Value {
  const weights = target.graph.constant(tensorData(classWeights, [classWeights.length], "float32"));
  return reduceSum(gather(weights, target));
}

/** A network may have more classes than the data: none of its samples is of those. */
function withOwnClasses({ classWeights, ...smoothing }: ClassLossOptions, classes: number): ClassLossOptions {
  if (!classWeights) return smoothing;
  const others = new Array<number>(classes - classWeights.length).fill(1);
  return { ...smoothing, classWeights: [...classWeights, ...others] };
}

/** Classification of images like these. */
export function classificationTask(
  data: ImageClasses,
  {
    augmentation = {},
    labelSmoothing,
    labelSmoothingKind,
    classWeights,
  }: ClassLossOptions & { augmentation?: Augmentation } = {},
): Task<ClassSample> {
  checkAugmentation(augmentation);
  const isAugmented = Object.keys(augmentation).length > 0;
  const { channels, height, width, maximum, mean, classNames } = data;
  const stored = storedImages(data);
  const form = { channels, height, width, fill: mean.map((value) => Math.round(value * maximum)) };
  return {
    ...stored,
    output: { name: "logits", shape: [classNames.length], holds: "logits" },
    targets: classTarget,
    metadata: { classes: classNames, ...stored.metadata },
    lossSettings: {
      ...(labelSmoothing !== undefined && { labelSmoothing }),
      ...(labelSmoothingKind !== undefined && { labelSmoothingKind }),
    },
    row: ({ image, class: target }, random) => ({
      input: pixelRow(random && isAugmented ? { ...image, data: augmented(image.data, random()) } : image),
      target,
    }),
    loss: classLoss({ labelSmoothing, labelSmoothingKind, classWeights }),
    ...(classWeights && {
      weight: ({ target }, purpose) =>
        purpose === "training" ? totalWeight(classWeights, target) : undefined,
    }),
    predict: (output, { target }) => ({
      class: argMax(output, 1),
      probability: reduceMax(softmax(output), [1]),
      loss: softmaxCrossEntropy(output, target, { reduction: "none" }),
    }),
    batchMetrics: (output, { target }) => ({
      accuracy: reduceMean(cast(equal(cast(argMax(output, 1), "int32"), target), output.type)),
    }),
  };

  function augmented(pixels: Uint8Array, random: Random): Uint8Array {
    return moved(pixels, form, drawMove(augmentation, form, random));
  }
}
