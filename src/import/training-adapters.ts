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
  const { training } = node;
  if (training?.mode.batchNormalization !== "batch") {
    if (!training && intAttribute(node.attributes, "training_mode", 0) === 1) {
      const batch = batchNormTraining(x, scale, bias, epsilon);
      // ONNX's momentum is the share of the old statistics, and its variance the population one.
      const kept = floatAttribute(node.attributes, "momentum", 0.9);
      const blend = (old: Value, value: Value) => add(mul(old, kept), mul(value, 1 - kept));
      return [batch.y, blend(mean, batch.mean), blend(variance, batch.variance)];
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
  return [statistics.y, next.mean, next.variance];
};

/** The second output says which numbers stay: all of them, unless some are dropped. */
const dropout: Adapter = (node) => {
  const x = node.input(0);
  const { training, graph } = node;
  const share = node.numbers(1, "ratios")?.[0] ?? 0.5;
  if (!training?.mode.dropout || share === 0) {
    return [x, expand(graph.constant({ type: "bool", shape: [], data: new Uint8Array([1]) }), x.shape)];
  }
  if (!(share >= 0 && share < 1))
    throw new UserError(`Dropout: the ratio is ${share}; it has to be at least 0 and below 1`);
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
