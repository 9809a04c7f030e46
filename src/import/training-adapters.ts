import { UserError } from "../common/errors.ts";
import type { Value } from "../graph/graph.ts";
import { dropNumbers, nextRunningStatistics } from "../nn/layers.ts";
import { batchNormInference, batchNormTraining } from "../ops/normalization.ts";
import { floatAttribute, intAttribute } from "../ops/operator.ts";
import type { Adapter } from "./adapter.ts";

// Operators that do something else in training than in inference.

const batchNormalization: Adapter = (node) => {
  const [x, scale, bias, mean, variance] = [0, 1, 2, 3, 4].map((index) => node.input(index));
  const epsilon = floatAttribute(node.attributes, "epsilon", 1e-5);
  const { training } = node;
  if (training?.mode.batchNormalization !== "batch") {
    if (!training && intAttribute(node.attributes, "training_mode", 0) === 1) {
      return [batchNormTraining(x, scale, bias, epsilon).y];
    }
    return [batchNormInference(x, scale, bias, mean, variance, epsilon)];
  }
  const statistics = batchNormTraining(x, scale, bias, epsilon);
  // ONNX's momentum is the share of the old statistics.
  const share = training.mode.batchNormMomentum ?? 1 - floatAttribute(node.attributes, "momentum", 0.9);
  const next = nextRunningStatistics(x, statistics, { mean, variance }, share);
  for (const [running, value] of [
    [mean, next.mean],
    [variance, next.variance],
  ] as const) {
    const name = inputName(running);
    if (name !== undefined) training.bufferUpdates.set(name, value);
  }
  return [statistics.y];
};

const dropout: Adapter = (node) => {
  const x = node.input(0);
  const { training } = node;
  if (!training?.mode.dropout) return [x];
  const share = node.numbers(1, "ratios")?.[0] ?? 0.5;
  if (!(share >= 0 && share < 1))
    throw new UserError(`Dropout: the ratio is ${share}; it has to be at least 0 and below 1`);
  if (share === 0) return [x];
  const uniform = node.graph.input(`${node.name}.uniform`, x.type, x.shape);
  training.randomInputs.push(uniform);
  return [dropNumbers(x, uniform, share)];
};

function inputName({ origin }: Value): string | undefined {
  return origin.kind === "input" ? origin.name : undefined;
}

export const trainingAdapters: Readonly<Record<string, Adapter>> = {
  BatchNormalization: batchNormalization,
  Dropout: dropout,
};
