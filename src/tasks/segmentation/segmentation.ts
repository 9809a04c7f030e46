import { z } from "zod";
import { UserError } from "../../common/errors.ts";
import { flags } from "../../common/flags.ts";
import { type ImageMasks, type MaskSample, masksOf } from "../../data/masks.ts";
import { type ClassWeights, statedWeights, weightsByCounts } from "../classification/class-weights.ts";
import { classWeightsSetting } from "../classification/class-weights-setting.ts";
import type { TaskKind } from "../task.ts";
import { maskEvaluation } from "./mask-evaluation.ts";
import { segmentationTask } from "./mask-task.ts";
import { pixelLosses } from "./pixel-loss.ts";

// Which class each pixel of an image is of: logits for each pixel, cross entropy or Dice over the pixels that have a
// class, mean IoU.

const settings = {
  pixelLoss: z
    .enum(pixelLosses)
    .default("crossEntropy")
    .describe(
      "What is minimized, over the pixels that have a class: `crossEntropy`; `dice`: soft Dice of each image; or the sum of both.",
    )
    .register(flags, { group: "Training step" }),
  dice: z
    .strictObject({
      smooth: z
        .number()
        .min(0)
        .default(1)
        .describe("Added to the numerator and the denominator of each class's Dice."),
      squared: z
        .boolean()
        .default(false)
        .describe("The denominator has squares of probabilities (V-Net) in place of probabilities."),
      classes: z
        .enum(["present", "all"])
        .default("present")
        .describe("Classes that the mean is taken over; `present`: those in the image's mask."),
    })
    .prefault({})
    .register(flags, { group: "Training step" }),
  classWeights: classWeightsSetting(" of pixels"),
  augmentation: z
    .strictObject({
      crop: z
        .number()
        .int()
        .min(0)
        .optional()
        .describe(
          "Zeros around the image before a random crop of its size; the mask's padding is of no class.",
        ),
      flip: z.boolean().optional().describe("Mirror images and masks at random."),
    })
    .default({}),
};

export const segmentation: TaskKind<typeof settings, MaskSample> = {
  name: "segmentation",
  examples: "images",
  samples: "masks",
  settings,
  defaults: { model: "unet" },
  loss: { name: "pixel loss", unit: "" },
  metrics: [
    {
      name: "meanIou",
      label: "test mean IoU",
      unit: "%",
      better: "higher",
      meaning:
        "intersection over union of predicted and true pixels, over the whole test set, mean of the classes that are there",
    },
    {
      name: "pixelAccuracy",
      label: "test pixel accuracy",
      unit: "%",
      better: "higher",
      meaning: "share of the pixels with a class that get it",
    },
    {
      name: "meanDice",
      label: "test mean Dice",
      unit: "%",
      better: "higher",
      meaning:
        "twice the intersection of predicted and true pixels over the sum of both, mean of the same classes",
    },
  ],
  open({ augmentation, pixelLoss: loss, dice, classWeights }, data) {
    const [train, test] = [masksOf(data.train), masksOf(data.test)];
    requireAlike(train, test);
    const task = segmentationTask(train, augmentation, {
      loss,
      dice,
      classWeights: weightsOf(classWeights, train),
    });
    return {
      task: { ...task, lossSettings: { ...task.lossSettings, ...statedWeights(classWeights) } },
      train,
      evaluations: [maskEvaluation(test)],
    };
  },
};

/** A weight for each class by its pixels. */
function weightsOf(setting: ClassWeights, { name, classNames, classPixels: counts }: ImageMasks) {
  if (setting === "none") return undefined;
  if (counts) return weightsByCounts(setting, { name, classNames, counts });
  throw new UserError(
    `classWeights needs to know how many pixels each class has, and ${name} does not state its classPixels; add them to the source`,
  );
}

function requireAlike(train: ImageMasks, test: ImageMasks): void {
  const sizes = [train, test].map(({ channels, height, width }) => `${channels}×${height}×${width}`);
  if (sizes[0] !== sizes[1])
    throw new UserError(`the test images are ${sizes[1]}, but the training images are ${sizes[0]}`);
  if (train.classNames.join("\n") === test.classNames.join("\n")) return;
  throw new UserError(
    `the test masks have the classes ${test.classNames.join(", ")}, but the training masks ${train.classNames.join(", ")}; give both the same classNames`,
  );
}
