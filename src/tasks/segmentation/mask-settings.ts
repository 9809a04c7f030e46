import * as z from "zod";
import { flags } from "../../common/flags.ts";
import { classWeightsSetting } from "../classification/class-weights-setting.ts";
import { pixelLosses } from "./pixel-loss.ts";

export const segmentationSettings = {
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

export type SegmentationSettings = z.infer<z.ZodObject<typeof segmentationSettings>>;
