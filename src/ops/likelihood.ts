import { readOptions } from "../common/options.ts";
import { type Attributes, describe, sameShape, type Value } from "../graph/graph.ts";
import { div, mul, neg } from "./arithmetic.ts";
import { equal, not, where } from "./comparison.ts";
import { cast } from "./elementwise.ts";
import { gather, gatherElements } from "./indexing.ts";
import { reshape } from "./movement.ts";
import { composeOperator, intAttribute, operatorError, stringAttribute } from "./operator.ts";
import { reduceMean, reduceSum } from "./reduction.ts";
import { logSoftmax } from "./softmax.ts";

// ONNX's two losses of class numbers, which are PyTorch's nll_loss and cross_entropy: scores [N, C, …], target [N, …].

export interface LikelihoodOptions {
  /** Of each class [C]; 1 when left out. The mean is over the weights of the targets. */
  weights?: Value;
  /** Targets of this number count for nothing. */
  ignoreIndex?: number;
  /** Default `"mean"`. `"none"`: one loss per target. */
  reduction?: "mean" | "sum" | "none";
}

const reductions = ["mean", "sum", "none"] as const;

composeOperator("NegativeLogLikelihoodLoss", {
  since: 13,
  build: ([logProbabilities, target, weights], attributes) => [
    negativeLogLikelihood(logProbabilities!, target!, optionsOf(weights, attributes, logProbabilities!)),
  ],
});

composeOperator("SoftmaxCrossEntropyLoss", {
  since: 13,
  build: ([scores, target, weights], attributes) => {
    const logProbabilities = logSoftmax(scores!, 1);
    return [
      negativeLogLikelihood(logProbabilities, target!, optionsOf(weights, attributes, scores!)),
      logProbabilities,
    ];
  },
});

function optionsOf(weights: Value | undefined, attributes: Attributes, x: Value): LikelihoodOptions {
  const given = stringAttribute(attributes, "reduction", "mean");
  const reduction = reductions.find((one) => one === given);
  if (!reduction) {
    throw operatorError(
      "NegativeLogLikelihoodLoss",
      x,
      `reduction ${given} is not known, ${reductions.join(", ")} are`,
    );
  }
  const ignores = attributes.ignore_index !== undefined;
  return {
    weights,
    reduction,
    ignoreIndex: ignores ? intAttribute(attributes, "ignore_index", 0) : undefined,
  };
}

/**
 * −weight·(log-probability of the target class), for log-probabilities [N, C, …] and class numbers [N, …] (int32 or
 * int64): PyTorch's `nll_loss`, and its `cross_entropy` after a `logSoftmax` over axis 1.
 */
export function negativeLogLikelihood(
  logProbabilities: Value,
  target: Value,
  options: LikelihoodOptions = {},
): Value {
  const kinds = { weights: "object", ignoreIndex: "number", reduction: reductions } as const;
  const { weights, ignoreIndex, reduction = "mean" } = readOptions("negativeLogLikelihood", options, kinds);
  const { graph, type } = logProbabilities;
  const [count, classes, ...places] = logProbabilities.shape;
  const integers = target.type === "int32" || target.type === "int64";
  if (!integers || !sameShape(target.shape, [count, ...places])) {
    throw operatorError(
      "negativeLogLikelihood",
      logProbabilities,
      `the target has to be int32 or int64 [${[count, ...places].join(", ")}], one for each of ${describe(logProbabilities)} [N, C, …]; got ${describe(target)}`,
    );
  }
  if (weights && !sameShape(weights.shape, [classes])) {
    throw operatorError(
      "negativeLogLikelihood",
      logProbabilities,
      `weights are ${describe(weights)}, one for each of ${classes} classes is wanted`,
    );
  }
  const counts =
    ignoreIndex === undefined ? undefined : not(equal(target, graph.scalar(ignoreIndex, target.type)));
  // What does not count may name no class at all.
  const named = counts ? where(counts, target, graph.scalar(0, target.type)) : target;
  const picked = reshape(
    gatherElements(logProbabilities, reshape(named, [count, 1, ...places]), 1),
    target.shape,
  );
  const weight = weights && gather(weights, named);
  const share = counts ? (weight ? where(counts, weight, 0) : cast(counts, type)) : weight;
  const weighted = weight ? mul(weight, picked) : picked;
  const losses = neg(counts ? where(counts, weighted, 0) : weighted);
  if (reduction === "none") return losses;
  if (reduction === "sum") return reduceSum(losses);
  return share ? div(reduceSum(losses), reduceSum(share)) : reduceMean(losses);
}
