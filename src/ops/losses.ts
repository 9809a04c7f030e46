import { type OptionKinds, readOptions } from "../common/options.ts";
import { describe, type Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, divideOrZero, mul, neg } from "./arithmetic.ts";
import { equal, where } from "./comparison.ts";
import { reshape } from "./movement.ts";
import { operatorError } from "./operator.ts";
import { reduceMean, reduceSum } from "./reduction.ts";
import { logSoftmax } from "./softmax.ts";

/**
 * How a label's probability mass is smoothed by s over C classes.
 * - `"uniform"` (PyTorch's `label_smoothing`): s/C on every class, 1 − s more on the right one; the loss is the cross
 *   entropy.
 * - `"kl"` (the sharpness-aware line of work): 1 − s on the right class and s/(C − 1) on each other one; the loss is
 *   KL(q‖p), which is the cross entropy less the constant entropy of q, so that its minimum is 0.
 */
export type LabelSmoothingKind = "uniform" | "kl";

export interface CrossEntropyOptions {
  /** s, in [0, 1). Default 0. */
  labelSmoothing?: number;
  labelSmoothingKind?: LabelSmoothingKind;
  /** `"mean"` over the batch (default), or `"none"`: one loss per example. */
  reduction?: "mean" | "none";
}

export interface WeightedCrossEntropyOptions extends CrossEntropyOptions {
  /**
   * A factor for each class, as PyTorch's `weight`. The mean divides by the sum of the factors of the right classes.
   * With `"kl"` an example's divergence is multiplied by the factor of its class. Default: 1 for all.
   */
  classWeights?: readonly number[];
}

/** How labels are smoothed, for functions that take these options beside their own. */
export const smoothingOptions: OptionKinds<Omit<CrossEntropyOptions, "reduction">> = {
  labelSmoothing: "number",
  labelSmoothingKind: ["uniform", "kl"],
};

/**
 * Softmax cross entropy of logits [N, C] and class numbers [N] (int32 or int64).
 * Throws when the shapes do not belong together.
 */
export function softmaxCrossEntropy(
  logits: Value,
  target: Value,
  options: WeightedCrossEntropyOptions = {},
): Value {
  readOptions("softmaxCrossEntropy", options, {
    ...smoothingOptions,
    classWeights: "list",
    reduction: ["mean", "none"],
  });
  const { labelSmoothing = 0, labelSmoothingKind = "uniform", classWeights, reduction = "mean" } = options;
  const [count, classes] = logits.shape;
  if (logits.shape.length !== 2 || target.shape.length !== 1 || target.shape[0] !== count) {
    throw operatorError(
      "softmaxCrossEntropy",
      logits,
      `logits have to be [N, classes] and the target [N], got ${describe(logits)} and ${describe(target)}`,
    );
  }
  if (target.type !== "int32" && target.type !== "int64") {
    throw operatorError(
      "softmaxCrossEntropy",
      logits,
      `the target has to be int32 or int64, got ${target.type}`,
    );
  }
  if (!(labelSmoothing >= 0 && labelSmoothing < 1)) {
    throw operatorError(
      "softmaxCrossEntropy",
      logits,
      `labelSmoothing is ${labelSmoothing}; it has to be at least 0 and below 1`,
    );
  }
  if (classes < 2)
    throw operatorError(
      "softmaxCrossEntropy",
      logits,
      `two classes or more are needed, got ${describe(logits)}`,
    );
  if (
    classWeights &&
    !(classWeights.length === classes && classWeights.every((weight) => weight >= 0 && weight < Infinity))
  )
    throw operatorError(
      "softmaxCrossEntropy",
      logits,
      `classWeights is [${classWeights.join(", ")}]; it has to be ${classes} finite numbers of 0 or more`,
    );
  const { right, other } = classMass(classes, labelSmoothing, labelSmoothingKind);
  const classNumbers = logits.graph.constant(
    tensorData(
      Array.from({ length: classes }, (_, index) => index),
      [1, classes],
      target.type,
    ),
  );
  const isRight = equal(reshape(target, [count, 1]), classNumbers);
  const logProbabilities = logSoftmax(logits);
  // A class without mass counts for nothing, even where its logarithm is −∞.
  const weighted =
    other === 0
      ? where(isRight, logProbabilities, 0)
      : mul(where(isRight, logits.graph.scalar(right, logits.type), other), logProbabilities);
  const isDivergence = labelSmoothingKind === "kl";
  const factors =
    classWeights && logits.graph.constant(tensorData(classWeights, [1, classes], logits.type as "float32"));
  const own = factors && reduceSum(where(isRight, factors, 0), [1]);
  const crossEntropy = neg(reduceSum(factors && !isDivergence ? mul(weighted, factors) : weighted, [1]));
  const entropy = -(massEntropy(right) + (classes - 1) * massEntropy(other));
  const divergence = isDivergence && labelSmoothing > 0 ? add(crossEntropy, -entropy) : crossEntropy;
  const perExample = own && isDivergence ? mul(divergence, own) : divergence;
  if (reduction === "none") return perExample;
  return own ? divideOrZero(reduceSum(perExample), reduceSum(own)) : reduceMean(perExample);
}

function classMass(classes: number, smoothing: number, kind: LabelSmoothingKind) {
  return kind === "uniform"
    ? { right: 1 - smoothing + smoothing / classes, other: smoothing / classes }
    : { right: 1 - smoothing, other: smoothing / (classes - 1) };
}

function massEntropy(mass: number): number {
  return mass > 0 ? mass * Math.log(mass) : 0;
}
