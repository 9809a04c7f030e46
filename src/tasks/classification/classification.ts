import { z } from "zod";
import { UserError } from "../../common/errors.ts";
import { flags } from "../../common/flags.ts";
import { type Random, randomStream } from "../../common/random.ts";
import { type Augmentation, checkAugmentation, drawMove, moved } from "../../data/augmentation.ts";
import { balanced } from "../../data/rows.ts";
import { type ClassSample, type DataSource, type ImageClasses, isImageClasses } from "../../data/source.ts";
import { validateDatasets } from "../../data/validate.ts";
import type { Value } from "../../graph/graph.ts";
import { tensorData } from "../../onnx/tensor-data.ts";
import { equal } from "../../ops/comparison.ts";
import { cast } from "../../ops/elementwise.ts";
import { gather } from "../../ops/indexing.ts";
import { softmaxCrossEntropy, type WeightedCrossEntropyOptions } from "../../ops/losses.ts";
import { argMax, reduceMax, reduceMean, reduceSum } from "../../ops/reduction.ts";
import { softmax } from "../../ops/softmax.ts";
import { pixelRow, storedImages } from "../image-input.ts";
import type { OpenedTask, Task, TaskKind } from "../task.ts";
import { classEvaluation, memorized } from "./class-evaluation.ts";
import { statedWeights, weightOfClasses } from "./class-weights.ts";
import { withLabelNoise } from "./label-noise.ts";

// Which of several classes an image is of: logits, softmax cross entropy, accuracy.

const fraction = z.number().min(0).max(1);

const settings = {
  labelNoise: fraction
    .default(0)
    .describe("Probability that a training label is replaced by a class drawn at random.")
    .register(flags, { group: "Data" }),
  labelSmoothing: z
    .number()
    .min(0)
    .lt(1)
    .default(0.1)
    .describe("Share of a label's mass that is spread over the classes.")
    .register(flags, { group: "Training step" }),
  labelSmoothingKind: z
    .enum(["uniform", "kl"])
    .default("uniform")
    .describe(
      "`uniform`: over all classes, cross entropy (PyTorch); `kl`: over the other classes, Kullback–Leibler divergence (the paper).",
    )
    .register(flags, { group: "Training step" }),
  classWeights: z
    .union([z.enum(["none", "balanced"]), z.record(z.string(), z.number().min(0))])
    .default("none")
    .describe(
      "How much each class counts in the training loss: `balanced`: n/(k·n_c) (scikit-learn); or weights by class name, 1 for classes that are not named. A batch's loss is the weighted mean (PyTorch). The test loss has no weights.",
    )
    .register(flags, { group: "Training step" }),
  sampler: z
    .enum(["shuffle", "balanced"])
    .default("shuffle")
    .describe(
      "`shuffle`: every image once an epoch; `balanced`: every class equally often, images of rare classes several times.",
    )
    .register(flags, { group: "Data" }),
  augmentation: z
    .strictObject({
      crop: z
        .number()
        .int()
        .min(0)
        .optional()
        .describe("Pixels of padding around a training image before a random crop of its size.")
        .register(flags, { value: "<pixels>" }),
      flip: z.boolean().optional().describe("Mirror training images at random."),
      cutout: z
        .strictObject({
          size: z
            .number()
            .int()
            .positive()
            .describe("Side of a square that is blanked at a random place.")
            .register(flags, { name: "cutout" }),
          probability: fraction.default(0.5).describe("Share of the images it is blanked in."),
        })
        .optional(),
    })
    .default({})
    .register(flags, { group: "Data", prefix: "" }),
};

export type ClassificationSettings = z.infer<z.ZodObject<typeof settings>>;

export const classification: TaskKind<typeof settings, ClassSample> = {
  name: "classification",
  settings,
  examples: "images",
  loss: { name: "cross entropy", unit: "nats" },
  metrics: [
    {
      name: "accuracy",
      label: "test accuracy",
      unit: "%",
      better: "higher",
      meaning: "share of right answers on the whole test set",
    },
    {
      name: "balancedAccuracy",
      label: "test balanced accuracy",
      unit: "%",
      better: "higher",
      meaning: "mean over the classes of the share of right answers, where test classes are of uneven sizes",
    },
    {
      name: "wrongLabelAccuracy",
      label: "wrong labels learned",
      unit: "%",
      better: "lower",
      meaning: "share of the wrongly labeled training images that get their wrong label: memorized noise",
    },
  ],
  open(own, { train, test }, seed): OpenedTask<ClassSample> {
    const [given, held] = [imagesOf(train), imagesOf(test)];
    validateDatasets({ train: given, test: held });
    const noisy =
      own.labelNoise > 0
        ? withLabelNoise(given, own.labelNoise, randomStream(seed, "label noise"))
        : undefined;
    const source = noisy ?? given;
    const testing = classEvaluation(held);
    const task = classificationTask(source, {
      ...own,
      classWeights: weightOfClasses(own.classWeights, source),
    });
    return {
      task: { ...task, lossSettings: { ...task.lossSettings, ...statedWeights(own.classWeights) } },
      train: source,
      ...(own.sampler === "balanced" && { order: balanced(source.labels) }),
      evaluations: noisy && noisy.wrongCount > 0 ? [testing, memorized(noisy)] : [testing],
    };
  },
};

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

function imagesOf(source: DataSource): ImageClasses {
  if (isImageClasses(source)) return source;
  throw new UserError(`${source.name} has no classes: classification needs images with a class each`);
}
