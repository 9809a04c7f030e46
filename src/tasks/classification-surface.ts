import { UserError } from "../common/errors.ts";
import { type OptionKinds, readOptions } from "../common/options.ts";
import { evaluationBatches } from "../data/batches.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { validateDataset, validateLogits } from "../data/validate.ts";
import type { LossSurface } from "../flatness/surface.ts";
import { buildModel } from "../nn/module.ts";
import { equal } from "../ops/comparison.ts";
import { cast } from "../ops/elementwise.ts";
import { type CrossEntropyOptions, smoothingOptions } from "../ops/losses.ts";
import { argMax, reduceMean } from "../ops/reduction.ts";
import type { Tensors } from "../runtime/engine.ts";
import { type Classifier, classificationObjective, feedsOf } from "./classification.ts";

export interface ClassificationSurfaceOptions extends Omit<CrossEntropyOptions, "reduction"> {
  /** How many images, from the front of the data set; all when left out. */
  images?: number;
  /** Images in one batch; the last one may hold fewer. Default 250. */
  batchSize?: number;
  /**
   * What BatchNorm normalises by: its running statistics (`"evaluation"`, the default), or those of each batch, in
   * which case the loss and its curvature are of batches of `batchSize` and depend on it.
   */
  batchNorm?: "evaluation" | "batch";
}

const surfaceOptions: OptionKinds<ClassificationSurfaceOptions> = {
  ...smoothingOptions,
  images: "number",
  batchSize: "number",
  batchNorm: ["evaluation", "batch"],
};

/**
 * A classifier's mean cross entropy over a data set, with the metric `accuracy`, as something flatness is measured of.
 * A classifier that takes one number of images only is measured in batches of that size; images that fill none are left
 * out.
 * @throws UserError when `images` is no whole number from 1 to what the data set has, or fewer than such a batch
 */
export function classificationSurface(
  { layer, inputShape, ownBatch }: Classifier,
  tensors: Tensors,
  dataset: ImageDataset,
  options: ClassificationSurfaceOptions = {},
): LossSurface {
  readOptions("classificationSurface", options, surfaceOptions);
  const { images: asked, batchSize: wanted = 250, batchNorm = "evaluation", ...loss } = options;
  const available = checkedImages(dataset, asked);
  const batchSize = ownBatch ?? Math.min(wanted, available);
  const images = ownBatch === undefined ? available : available - (available % ownBatch);
  if (images === 0) {
    throw new UserError(
      `the model takes ${batchSize} images at a time, but the subset has ${available}; choose a subset of at least ${batchSize}`,
    );
  }
  const { logits } = buildModel(layer, { inputShape, batchSize, training: false });
  validateLogits(logits.shape, dataset);
  const batches = [...evaluationBatches(dataset, { batchSize, limit: images })].map((batch) => {
    const values = batch.input.subarray(0, (batch.input.length / batchSize) * batch.count);
    const labels = batch.target.subarray(0, batch.count);
    return { size: batch.count, feeds: () => feedsOf(dataset, values.slice(), labels.slice()) };
  });
  return {
    tensors,
    batches,
    build: (size) => {
      const training = batchNorm === "batch";
      const { model, objective } = classificationObjective(
        { layer, inputShape },
        { batchSize: size, training, ...loss },
      );
      const target = model.graph.input("target", "int32", [size]);
      const isRight = equal(cast(argMax(model.logits, 1), "int32"), target);
      return {
        loss: objective.loss,
        parameters: objective.parameters,
        output: model.logits,
        metrics: new Map([["accuracy", reduceMean(cast(isRight, model.logits.type))]]),
      };
    },
    description: { data: dataset.name, batchSize, batchNorm, ...loss },
  };
}

function checkedImages(dataset: ImageDataset, images = dataset.count): number {
  validateDataset(dataset);
  if (Number.isInteger(images) && images >= 1 && images <= dataset.count) return images;
  throw new UserError(
    `a subset of ${images} images was asked for, but ${dataset.name} has ${dataset.count}; choose from 1 to ${dataset.count}`,
  );
}
