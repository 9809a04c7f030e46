import { type Augmentation, checkAugmentation, drawMove, moved } from "../../data/augmentation.ts";
import { type ImageMasks, ignoredClass, type MaskSample } from "../../data/masks.ts";
import { mul } from "../../ops/arithmetic.ts";
import { equal } from "../../ops/comparison.ts";
import { cast } from "../../ops/elementwise.ts";
import { argMax, reduceSum } from "../../ops/reduction.ts";
import { pixelRow, storedImages } from "../image-input.ts";
import type { Task } from "../task.ts";
import { meanOfKept, type PixelLossOptions, pixelLoss, pixelWeights } from "./pixel-loss.ts";

/** Segmentation of images like these. */
export function segmentationTask(
  data: ImageMasks,
  augmentation: Pick<Augmentation, "crop" | "flip"> = {},
  lossOptions: PixelLossOptions = {},
): Task<MaskSample> {
  checkAugmentation(augmentation);
  const { channels, height, width, classNames, classShare } = data;
  const form = { channels, height, width, fill: [] };
  const stored = storedImages(data);
  const { loss = "crossEntropy", dice, classWeights } = lossOptions;
  return {
    ...stored,
    output: { name: "logits", shape: [classNames.length, height, width], holds: "logits" },
    targets: { target: { type: "int32", shape: [height, width] } },
    metadata: { classes: classNames, ...stored.metadata },
    lossSettings: { pixelLoss: loss },
    row: ({ image, mask }, random) => {
      const move = random && drawMove(augmentation, form, random());
      const seen = move ? moved(image.data, form, move) : image.data;
      const maskForm = { ...form, channels: 1, padding: ignoredClass };
      const classes = move ? moved(mask.data, maskForm, move) : mask.data;
      return {
        input: pixelRow({ ...image, data: seen }),
        target: { type: "int32", shape: mask.shape, data: Int32Array.from(classes) },
      };
    },
    loss: (output, { target }, purpose) =>
      pixelLoss(output, target, purpose === "training" ? lossOptions : { loss, dice }),
    // Each pixel with a class counts alike, or by the weight of its class, whichever image it is of.
    weight: ({ target }, purpose) => {
      const weights = pixelWeights(target, purpose === "training" ? classWeights : undefined);
      return mul(reduceSum(weights), 1 / (height * width * Math.max(classShare, 1e-6)));
    },
    remark: ({ target }) => {
      if ((target.data as Int32Array).some((value) => value !== ignoredClass)) return undefined;
      return "a batch has no pixel with a class: its loss and its gradient are 0";
    },
    predict: (output) => ({ class: cast(argMax(output, 1), "int32") }),
    batchMetrics: (output, { target }) => ({
      pixelAccuracy: meanOfKept(cast(equal(cast(argMax(output, 1), "int32"), target), output.type), target),
    }),
  };
}
