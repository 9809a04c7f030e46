import { UserError } from "../common/errors.ts";
import { evaluationBatches } from "../data/batches.ts";
import type { ImageDataset } from "../data/dataset.ts";
import type { LossSurface } from "../flatness/surface.ts";
import { buildModel } from "../nn/module.ts";
import { equal } from "../ops/comparison.ts";
import { cast } from "../ops/elementwise.ts";
import { type CrossEntropyOptions, softmaxCrossEntropy } from "../ops/losses.ts";
import { argMax, reduceMean } from "../ops/reduction.ts";
import type { Tensors } from "../runtime/engine.ts";
import { type Classifier, feedsOf } from "./classification.ts";

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

/**
 * A classifier's mean cross entropy over a data set, with the metric `accuracy`, as something flatness is measured of.
 * Throws `UserError` when `images` is no whole number from 1 to what the data set has.
 */
export function classificationSurface(
  { layer, inputShape }: Classifier,
  tensors: Tensors,
  dataset: ImageDataset,
  {
    images = dataset.count,
    batchSize = 250,
    batchNorm = "evaluation",
    ...loss
  }: ClassificationSurfaceOptions = {},
): LossSurface {
  if (!Number.isInteger(images) || images < 1 || images > dataset.count) {
    throw new UserError(
      `a subset of ${images} images was asked for, but ${dataset.name} has ${dataset.count}; choose from 1 to ${dataset.count}`,
    );
  }
  const batches = [...evaluationBatches(dataset, { batchSize, limit: images })].map(
    ({ input, target, count }) => {
      const values = input.subarray(0, (input.length / batchSize) * count);
      const labels = target.subarray(0, count);
      return { size: count, feeds: () => feedsOf(dataset, values.slice(), labels.slice()) };
    },
  );
  return {
    tensors,
    batches,
    build: (size) => {
      const model = buildModel(layer, { inputShape, batchSize: size, training: batchNorm === "batch" });
      const { graph, logits } = model;
      const target = graph.input("target", "int32", [size]);
      const isRight = equal(cast(argMax(logits, 1), "int32"), target);
      return {
        loss: softmaxCrossEntropy(logits, target, loss),
        parameters: new Map(model.parameters.map(({ name }) => [name, graph.inputs.get(name)!])),
        output: logits,
        metrics: new Map([["accuracy", reduceMean(cast(isRight, logits.type))]]),
      };
    },
    description: { data: dataset.name, batchSize: Math.min(batchSize, images), batchNorm, ...loss },
  };
}
