import { UserError } from "../common/errors.ts";
import type { Value } from "../graph/graph.ts";
import { dropNumbers, nextRunningStatistics } from "../nn/layers.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { greaterOrEqual } from "../ops/comparison.ts";
import { expand } from "../ops/movement.ts";
import { batchNormInference, batchNormTraining } from "../ops/normalization.ts";
import { floatAttribute, intAttribute } from "../ops/operator.ts";
import type { Adapter } from "./adapter.ts";

// Operators that do something else in training than in inference.

const batchNormalization: Adapter = (node) => {
  const [x, scale, bias, mean, variance] = [0, 1, 2, 3, 4].map((index) => node.input(index));
  const epsilon = floatAttribute(node.attributes, "epsilon", 1e-5);
  // ONNX's momentum is the share of the old statistics.
  const share = 1 - floatAttribute(node.attributes, "momentum", 0.9);
  const { training } = node;
  const trains = [scale, bias].some(({ origin }) => origin.kind !== "constant");
  if (training?.mode.batchNormalization !== "batch" || !trains) {
    if (training || intAttribute(node.attributes, "training_mode", 0) === 0) {
      return [batchNormInference(x, scale, bias, mean, variance, epsilon)];
    }
    // As ONNX defines it, where the variance is the population's.
    const batch = batchNormTraining(x, scale, bias, epsilon);
    const blend = (old: Value, next: Value) => add(mul(old, 1 - share), mul(next, share));
    return [batch.y, blend(mean, batch.mean), blend(variance, batch.variance)];
  }
  const statistics = batchNormTraining(x, scale, bias, epsilon);
  const moved = training.mode.statisticsMomentum ?? share;
  const next = nextRunningStatistics(x, statistics, { mean, variance }, moved);
  for (const [running, value] of [
    [mean, next.mean],
    [variance, next.variance],
  ] as const) {
    const name = inputName(running);
    if (name !== undefined) training.bufferUpdates.set(name, value);
  }
  return [statistics.y, next.mean, next.variance];
};

/** The second output says which numbers stay: all of them, unless some are dropped. */
const dropout: Adapter = (node) => {
  const x = node.input(0);
  const { training, graph } = node;
  const share = training?.mode.dropout ? (node.numbers(1, "ratios")?.[0] ?? 0.5) : 0;
  if (!(share >= 0 && share < 1))
    throw new UserError(`Dropout: the ratio is ${share}; it has to be at least 0 and below 1`);
  if (!training || share === 0) return [x, expand(graph.scalar(1, "bool"), x.shape)];
  const uniform = graph.input(`${node.name}.uniform`, x.type, x.shape);
  training.randomInputs.push(uniform);
  return [dropNumbers(x, uniform, share), greaterOrEqual(uniform, share)];
};

function inputName({ origin }: Value): string | undefined {
  return origin.kind === "input" ? origin.name : undefined;
}

export const trainingAdapters: Readonly<Record<string, Adapter>> = {
  BatchNormalization: batchNormalization,
  Dropout: dropout,
};
