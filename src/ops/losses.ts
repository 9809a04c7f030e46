import { type OptionKinds, readOptions } from "../common/options.ts";
import { tensorData } from "../graph/constants.ts";
import { describe, type Value } from "../graph/graph.ts";
import { add, mul, neg } from "./arithmetic.ts";
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

/** How labels are smoothed, for functions that take these options beside their own. */
export const smoothingOptions: OptionKinds<Omit<CrossEntropyOptions, "reduction">> = {
  labelSmoothing: "number",
  labelSmoothingKind: ["uniform", "kl"],
};

/**
 * Softmax cross entropy of logits [N, C] and class numbers [N] (int32 or int64).
 * Throws when the shapes do not belong together.
 */
export function softmaxCrossEntropy(logits: Value, target: Value, options: CrossEntropyOptions = {}): Value {
  readOptions("softmaxCrossEntropy", options, {
    ...smoothingOptions,
    reduction: ["mean", "none"],
  });
  const { labelSmoothing = 0, labelSmoothingKind = "uniform", reduction = "mean" } = options;
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
  const crossEntropy = neg(reduceSum(weighted, [1]));
  const entropy = -(massEntropy(right) + (classes - 1) * massEntropy(other));
  const perExample =
    labelSmoothingKind === "kl" && labelSmoothing > 0 ? add(crossEntropy, -entropy) : crossEntropy;
  return reduction === "none" ? perExample : reduceMean(perExample);
}

function classMass(classes: number, smoothing: number, kind: LabelSmoothingKind) {
  return kind === "uniform"
    ? { right: 1 - smoothing + smoothing / classes, other: smoothing / classes }
    : { right: 1 - smoothing, other: smoothing / (classes - 1) };
}

function massEntropy(mass: number): number {
  return mass > 0 ? mass * Math.log(mass) : 0;
}
