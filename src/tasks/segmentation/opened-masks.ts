import { UserError } from "../../common/errors.ts";
import { type ImageMasks, type MaskSample, masksOf } from "../../data/masks.ts";
import { type ClassWeights, statedWeights, weightsByCounts } from "../classification/class-weights.ts";
import type { DataPair, OpenedTask } from "../task.ts";
import { maskEvaluation } from "./mask-evaluation.ts";
import type { SegmentationSettings } from "./mask-settings.ts";
import { segmentationTask } from "./mask-task.ts";

/** @throws UserError for masks of which the task cannot be made, or that differ between training and test */
export function openSegmentation(
  { augmentation, pixelLoss: loss, dice, classWeights }: SegmentationSettings,
  data: Omit<DataPair, "validation">,
): OpenedTask<MaskSample> {
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
}

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
