import type { MaskSample } from "../../data/masks.ts";
import type { TaskKind } from "../task.ts";
import { segmentationSettings } from "./mask-settings.ts";

// Which class each pixel of an image is of: logits for each pixel, cross entropy or Dice over the pixels that have a
// class, mean IoU.

export const segmentation: TaskKind<typeof segmentationSettings, MaskSample> = {
  name: "segmentation",
  examples: "images",
  samples: "masks",
  settings: segmentationSettings,
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
  async open(own, data) {
    const { openSegmentation } = await import("./opened-masks.ts");
    return openSegmentation(own, data);
  },
};
