import { z } from "zod";
import { UserError } from "../../common/errors.ts";
import { type Augmentation, checkAugmentation, drawMove, moved } from "../../data/augmentation.ts";
import { type ImageMasks, ignoredClass, type MaskSample, masksOf } from "../../data/masks.ts";
import type { Value } from "../../graph/graph.ts";
import { tensorData } from "../../onnx/tensor-data.ts";
import { divideOrZero, mul, neg } from "../../ops/arithmetic.ts";
import { equal, less, where } from "../../ops/comparison.ts";
import { cast } from "../../ops/elementwise.ts";
import { reshape } from "../../ops/movement.ts";
import { argMax, reduceSum } from "../../ops/reduction.ts";
import { logSoftmax } from "../../ops/softmax.ts";
import { pixelRow, storedImages } from "../image-input.ts";
import type { Task, TaskKind } from "../task.ts";
import { overlap } from "./overlap.ts";

// Which class each pixel of an image is of: logits for each pixel, cross entropy over the pixels that have a class,
// mean IoU.

const settings = {
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
  loss: { name: "cross entropy of pixels", unit: "nats" },
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
  ],
  open({ augmentation }, data) {
    const [train, test] = [masksOf(data.train), masksOf(data.test)];
    requireAlike(train, test);
    return {
      task: segmentationTask(train, augmentation),
      train,
      evaluations: [{ source: test, metric: () => overlap(train.classNames.length) }],
    };
  },
};

/** Segmentation of images like these. */
export function segmentationTask(
  data: ImageMasks,
  augmentation: Pick<Augmentation, "crop" | "flip"> = {},
): Task<MaskSample> {
  checkAugmentation(augmentation);
  const { channels, height, width, classNames, classShare } = data;
  const form = { channels, height, width, fill: [] };
  const stored = storedImages(data);
  return {
    ...stored,
    output: { name: "logits", shape: [classNames.length, height, width], holds: "logits" },
    targets: { target: { type: "int32", shape: [height, width] } },
    metadata: { classes: classNames, ...stored.metadata },
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
    loss: (output, { target }) => pixelCrossEntropy(output, target),
    // Each pixel with a class counts alike, whichever image it is of.
    weight: ({ target }) => mul(reduceSum(keptOf(target)), 1 / (height * width * Math.max(classShare, 1e-6))),
    predict: (output) => ({ class: cast(argMax(output, 1), "int32") }),
    batchMetrics: (output, { target }) => ({
      pixelAccuracy: meanOfKept(cast(equal(cast(argMax(output, 1), "int32"), target), output.type), target),
    }),
  };
}

/**
 * The mean of −ln p over the pixels whose class is not ignored; 0 where there are none.
 * @param logits [N, classes, H, W]
 * @param target [N, H, W], int32
 */
export function pixelCrossEntropy(logits: Value, target: Value): Value {
  const [count, classes, height, width] = logits.shape;
  const numbers = Array.from({ length: classes }, (_, index) => index);
  const isRight = equal(
    reshape(target, [count, 1, height, width]),
    logits.graph.constant(tensorData(numbers, [1, classes, 1, 1], "int32")),
  );
  // No class is the ignored one, so that such a pixel's sum is 0.
  const losses = neg(reduceSum(where(isRight, logSoftmax(logits, 1), 0), [1]));
  return meanOfKept(losses, target);
}

/** The mean of values [N, H, W] over the pixels that have a class. */
function meanOfKept(values: Value, target: Value): Value {
  const kept = keptOf(target, values.type);
  return divideOrZero(reduceSum(where(less(target, ignoredClass), values, 0)), reduceSum(kept));
}

/** 1 for pixels that have a class, 0 for the others. */
function keptOf(target: Value, type: Value["type"] = "float32"): Value {
  return cast(less(target, ignoredClass), type);
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
