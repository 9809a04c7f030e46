import * as z from "zod";
import { UserError } from "../../common/errors.ts";
import { flags } from "../../common/flags.ts";
import { randomStream } from "../../common/random.ts";
import { balanced } from "../../data/rows.ts";
import { type ClassSample, type DataSource, type ImageClasses, isImageClasses } from "../../data/source.ts";
import { validateDatasets } from "../../data/validate.ts";
import type { OpenedTask, TaskKind } from "../task.ts";
import { classEvaluation, memorized } from "./class-evaluation.ts";
import { classificationName, classificationTask } from "./class-task.ts";
import { statedWeights, weightOfClasses } from "./class-weights.ts";
import { classWeightsSetting } from "./class-weights-setting.ts";
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
  classWeights: classWeightsSetting(),
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
  name: classificationName,
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

function imagesOf(source: DataSource): ImageClasses {
  if (isImageClasses(source)) return source;
  throw new UserError(`${source.name} has no classes: classification needs images with a class each`);
}
