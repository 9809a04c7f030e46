import { UserError } from "../common/errors.ts";
import { elementCount, type Value } from "../graph/graph.ts";
import { madeBy } from "../graph/walk.ts";
import { dropNumbers, nextRunningStatistics } from "../nn/layers.ts";
import { add, mul, reciprocal } from "../ops/arithmetic.ts";
import { greaterOrEqual } from "../ops/comparison.ts";
import { cast, sqrt } from "../ops/elementwise.ts";
import { expand, reshape } from "../ops/movement.ts";
import { batchNormInference, batchNormTraining } from "../ops/normalization.ts";
import { floatAttribute, intAttribute } from "../ops/operator.ts";
import type { Adapter, ImportedNode } from "./adapter.ts";

// Operators that do something else in training than in inference.

/** Each channel by its statistics; with `spatial` 0 (before opset 9) each element of an example by its own. */
const batchNormalization: Adapter = (node) => {
  if (intAttribute(node.attributes, "spatial", 1) === 1) return normalizeChannels(node, (vector) => vector);
  const x = node.input(0);
  const elements = elementCount(x.shape.slice(1));
  const flat = node.inputs.map(
    (value, index) => value && reshape(value, index === 0 ? [x.shape[0], elements] : [elements]),
  );
  const shapes = [0, 3, 4, 3, 4].map((index) => node.input(index).shape);
  return normalizeChannels(
    node.with({ inputs: flat }),
    (value, index) => reshape(value, shapes[index]),
    node,
  );
};

/**
 * Normalizes channels.
 * @param restored an output in the shape that the file has it in
 * @param stated the node with the inputs of the file: names of running statistics
 */
function normalizeChannels(
  node: ImportedNode,
  restored: (output: Value, index: number) => Value,
  stated = node,
): readonly Value[] {
  const [x, scale, bias, mean, variance] = [0, 1, 2, 3, 4].map((index) => node.input(index));
  const epsilon = floatAttribute(node.attributes, "epsilon", 1e-5);
  // ONNX's momentum is the share of the old statistics.
  const share = 1 - floatAttribute(node.attributes, "momentum", 0.9);
  const { training } = node;
  const isInTrainingMode = intAttribute(node.attributes, "training_mode", 0) === 1;
  const trains = [1, 2].some((index) => stated.input(index).origin.kind !== "constant");
  // Running statistics that are computed cannot follow the batches', so that inference would be another function.
  const follows = isInTrainingMode || [3, 4].every((index) => inputName(stated.input(index)) !== undefined);
  if (training?.mode.batchNormalization !== "batch" || !trains || !follows) {
    if (training || !isInTrainingMode) {
      return [restored(batchNormInference(x, scale, bias, mean, variance, epsilon), 0)];
    }
    // As ONNX defines it, where the variance is the population's.
    const batch = batchNormTraining(x, scale, bias, epsilon);
    const blend = (old: Value, next: Value) => add(mul(old, 1 - share), mul(next, share));
    const running = [blend(mean, batch.mean), blend(variance, batch.variance)];
    // Before opset 14 the batch's own statistics were outputs too.
    const saved = [batch.mean, reciprocal(sqrt(add(batch.variance, epsilon)))];
    return [batch.y, ...running, ...(node.opset < 14 ? saved : [])].map(restored);
  }
  const statistics = batchNormTraining(x, scale, bias, epsilon);
  const moved = training.mode.statisticsMomentum ?? share;
  const next = nextRunningStatistics(x, statistics, { mean, variance }, moved);
  const outputs = [statistics.y, next.mean, next.variance].map(restored);
  for (const index of [1, 2]) {
    const name = inputName(stated.input(index + 2));
    if (name !== undefined) training.bufferUpdates.set(name, outputs[index]);
  }
  return outputs;
}

/** The second output says which numbers stay: all of them, unless some are dropped. */
const dropout: Adapter = (node) => {
  const x = node.input(0);
  const { training, graph } = node;
  const random = `${node.name}.uniform`;
  const drops = training?.mode.dropout && !training.mode.frozenDropout?.has(random);
  const share = drops ? (node.numbers(1, "ratios")?.[0] ?? 0.5) : 0;
  if (!(share >= 0 && share < 1))
    throw new UserError(`Dropout: the ratio is ${share}; it has to be at least 0 and below 1`);
  // Before opset 10 the mask had the type of the input, and before opset 12 inference left it at 0.
  const maskType = node.opset < 10 ? x.type : "bool";
  const kept = node.opset < 12 && !training?.mode.dropout ? 0 : 1;
  if (!training || share === 0) return [x, expand(graph.scalar(kept, maskType), x.shape)];
  const uniform = graph.input(random, x.type, x.shape);
  training.randomInputs.push(uniform);
  return [dropNumbers(x, uniform, share), cast(greaterOrEqual(uniform, share), maskType)];
};

function inputName(value: Value): string | undefined {
  const copied = madeBy(value, "Identity")?.node.inputs[0];
  if (copied) return inputName(copied);
  return value.origin.kind === "input" ? value.origin.name : undefined;
}

export const trainingAdapters: Readonly<Record<string, Adapter>> = {
  BatchNormalization: batchNormalization,
  Dropout: dropout,
};
