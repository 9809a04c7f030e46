import { type OptionKinds, readOptions } from "../common/options.ts";
import { type ImageArrays, sourceOf } from "../data/image-arrays.ts";
import type { ImageClasses } from "../data/source.ts";
import { validateDataset } from "../data/validate.ts";
import type { LossSurface } from "../flatness/surface.ts";
import type { Layer } from "../nn/module.ts";
import type { Tensors } from "../onnx/tensor.ts";
import { type CrossEntropyOptions, smoothingOptions } from "../ops/losses.ts";
import { classificationTask } from "./classification/class-task.ts";
import { preparedNetwork } from "./task-network.ts";
import { type TaskSurfaceOptions, taskSurface } from "./task-surface.ts";

export interface ClassificationSurfaceOptions
  extends Omit<CrossEntropyOptions, "reduction">,
    Pick<TaskSurfaceOptions, "batchSize" | "batchNorm"> {
  /** How many images, from the front of the data set; all when left out. */
  images?: number;
}

const surfaceOptions: OptionKinds<ClassificationSurfaceOptions> = {
  ...smoothingOptions,
  images: "number",
  batchSize: "number",
  batchNorm: ["evaluation", "batch"],
};

/**
 * A classifier's mean cross entropy over a data set, with the metric `accuracy`, as something flatness is measured of.
 * The layer takes normalized images, as in `train`. A classifier that takes one number of images only (`ownBatch`) is
 * measured in batches of that size; images that fill none are left out.
 * @throws UserError when `images` is no whole number from 1 to what the data set has, or fewer than such a batch
 */
export function classificationSurface(
  { layer, ownBatch }: { layer: Layer; ownBatch?: number },
  tensors: Tensors,
  dataset: ImageClasses | ImageArrays,
  options: ClassificationSurfaceOptions = {},
): LossSurface {
  readOptions("classificationSurface", options, surfaceOptions);
  const { labelSmoothing, labelSmoothingKind, images, ...settings } = options;
  const loss = { labelSmoothing, labelSmoothingKind };
  const source = sourceOf(dataset);
  validateDataset(source);
  const task = classificationTask(source, loss);
  const surface = taskSurface(
    { ...preparedNetwork(layer, task), ownBatch },
    tensors,
    { task, source },
    { ...settings, examples: images },
  );
  return { ...surface, description: { ...surface.description, ...task.lossSettings } };
}
