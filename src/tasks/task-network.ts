import { UserError } from "../common/errors.ts";
import { randomStream } from "../common/random.ts";
import { type TrainingBatchOptions, trainingBatches } from "../data/rows.ts";
import { elementCount, type Graph, type Value } from "../graph/graph.ts";
import { nodesOf } from "../graph/walk.ts";
import { compile } from "../lower/compile.ts";
import { buildModel, drawRandomInputs, freezing, type Layer, type Model } from "../nn/module.ts";
import type { Tensors } from "../onnx/tensor.ts";
import { mul } from "../ops/arithmetic.ts";
import type { Objective } from "../optim/training-step.ts";
import { forAnyBatch } from "./any-batch.ts";
import { writtenMetadata } from "./model-metadata.ts";
import type { LossPurpose, OpenedTask, Task } from "./task.ts";

// A network on a task: what is minimized, in which batches, and how it is written.

/** A network from a task's stored input to its output. */
export interface Network {
  layer: Layer;
  /** Of one example: [C, H, W]. */
  inputShape: readonly number[];
  /** Examples that it takes at a time, where it takes no other number. */
  ownBatch?: number;
  /** How it is written with trained weights and metadata. Default: built for inference. */
  write?: (tensors: Tensors, metadata: Readonly<Record<string, string>>) => Uint8Array;
  /** What a person should know of how it is used, once it was built. */
  notes?: readonly string[];
  /** The same with things frozen by their full names. Default: its layer, so frozen. */
  freezing?: (names: ReadonlySet<string>) => Network;
  /** The parameters that are frozen in training, by their names in the written file. */
  frozen?: readonly string[];
}

/** A layer on prepared input as a network on stored input. */
export function preparedNetwork(layer: Layer, { input, prepare }: Pick<Task, "input" | "prepare">): Network {
  return { layer: (stored, scope) => layer(prepare(stored), scope), inputShape: input };
}

/**
 * A network of which parts keep their values and are as in inference.
 * @param names full names of parameters, running statistics and random inputs
 */
export function frozenNetwork(network: Network, names: ReadonlySet<string>): Network {
  if (names.size === 0) return network;
  if (network.freezing) return network.freezing(names);
  return { ...network, layer: freezing(network.layer, names), frozen: [...names] };
}

/**
 * The loss of one batch: in training mode or, to look at its flatness, inference.
 * @throws UserError when the network gives what the task does not read
 */
export function taskObjective(
  { layer, inputShape }: Pick<Network, "layer" | "inputShape">,
  task: Pick<Task, "targets" | "loss" | "weight" | "output" | "images" | "batchMetrics">,
  { batchSize, training, purpose }: { batchSize: number; training: boolean; purpose: LossPurpose },
): { objective: Objective; model: Model } {
  const model = buildModel(layer, { inputShape, batchSize, training, offsets: training });
  requireOutput(model.logits.shape, task, task.images?.name ?? "the data");
  const targets = targetInputs(model.graph, task, batchSize);
  const input = (name: string) => model.graph.inputs.get(name)!;
  const trained = model.parameters.filter(({ name }) => !model.frozen.has(name));
  // In inference mode all of them.
  const kept = model.buffers.filter(({ name }) => !model.bufferUpdates.has(name));
  return {
    model,
    objective: {
      loss: task.loss(model.logits, targets, purpose),
      weight: task.weight?.(targets, purpose),
      parameters: new Map(trained.map(({ name }) => [name, input(name)])),
      buffers: model.bufferUpdates,
      offsets: model.offsets,
      integers: model.integers,
      constants: new Set([...model.frozen, ...kept.map(({ name }) => name)]),
      output: model.logits,
      metrics: new Map(Object.entries(task.batchMetrics(model.logits, targets))),
    },
  };
}

/**
 * A loss whose mean over batches, by their sizes, is the same however samples are put into batches: of a weighted mean
 * its weighted sum over the size of the batch.
 */
export function additiveLoss({ loss, weight }: Pick<Objective, "loss" | "weight">, batchSize: number): Value {
  return weight ? mul(loss, mul(weight, 1 / batchSize)) : loss;
}

/** The targets of a batch as inputs of a graph. */
export function targetInputs(
  graph: Graph,
  { targets }: Pick<Task, "targets">,
  batchSize: number,
): Record<string, Value> {
  return Object.fromEntries(
    Object.entries(targets).map(([name, { type, shape }]) => [
      name,
      graph.input(name, type, [batchSize, ...shape]),
    ]),
  );
}

/**
 * Checks that a network gives what a task reads: its shape; of logits there may be more classes than the data name.
 * @throws UserError when it does not
 */
export function requireOutput(
  [batch, ...given]: readonly number[],
  { output }: Pick<Task, "output">,
  data: string,
): void {
  const { shape, holds } = output;
  const [first, ...rest] = shape;
  const hasFirst = holds === "logits" ? given[0] >= first : given[0] === first;
  if (hasFirst && given.slice(1).join() === rest.join()) return;
  const expected = ["batch", ...shape].join(", ");
  const reason =
    holds === "logits" && given.length === shape.length && given[0] < first
      ? `, but ${data} has ${first} classes`
      : "";
  throw new UserError(
    `the network gives [${[batch, ...given].join(", ")}] for a batch of ${batch}${reason}; for ${data} it has to give [${expected}]`,
  );
}

/**
 * The micro-batches of a mini-batch: as many as asked for, or each as large as the only batch that the network takes.
 * @throws UserError for a batch size that they do not divide
 */
export function microBatchCount(
  { batchSize, microBatches }: { batchSize: number; microBatches: number },
  ownBatch: number | undefined,
): number {
  if (ownBatch === undefined && batchSize % microBatches !== 0) {
    throw new UserError(
      `microBatches is ${microBatches}; it has to divide the batch size, which is ${batchSize}`,
    );
  }
  if (ownBatch === undefined) return microBatches;
  const count = batchSize / ownBatch;
  if (!Number.isInteger(count)) {
    throw new UserError(
      `the model takes ${ownBatch} examples at a time, which does not divide the batch size ${batchSize}; choose a multiple of ${ownBatch}, or export the model with a dynamic batch`,
    );
  }
  if (microBatches !== 1 && microBatches !== count) {
    throw new UserError(
      `microBatches is ${microBatches}; the model takes ${ownBatch} examples at a time, so a batch of ${batchSize} has ${count} micro-batches`,
    );
  }
  return count;
}

export interface TrainingFeedOptions extends Omit<TrainingBatchOptions<never>, "row" | "order"> {
  microBatches: number;
  /** Is given what the task remarks on batches. */
  onRemark?: (remark: string) => void;
}

/** The feeds of each training step of an epoch: rows, and what the network wants drawn at random. */
export async function* trainingFeeds(
  { task, train, order }: Pick<OpenedTask, "task" | "train" | "order">,
  model: Model,
  { microBatches, onRemark, ...options }: TrainingFeedOptions,
): AsyncGenerator<Tensors> {
  const random = randomStream(options.seed, "network", options.epoch);
  for await (const { inputs } of trainingBatches(train, { ...options, row: task.row, order })) {
    const remark = onRemark && task.remark?.(inputs);
    if (remark !== undefined) onRemark?.(remark);
    yield { ...inputs, ...drawRandomInputs(model, random, microBatches) };
  }
}

/** Examples that are evaluated at a time, at most, and the bytes that they and all results of all layers may have then. */
const evaluationBatch = { examples: 250, inputBytes: 2 ** 26, bytes: 2 ** 30 };

/**
 * How many examples to evaluate at a time: the network's own batch; or as many as there are up to 250, or for a large
 * network, whose gradient keeps the results of all layers, an equal part of 250 that fits in memory.
 */
export function evaluationBatchSize(
  { layer, inputShape, ownBatch }: Pick<Network, "layer" | "inputShape" | "ownBatch">,
  available: number,
): number {
  if (ownBatch !== undefined) return ownBatch;
  // Several batches are in memory: one in the network, one on its way there, one that is prepared.
  const fitting = Math.max(1, Math.floor(evaluationBatch.inputBytes / (4 * elementCount(inputShape))));
  const most = Math.min(evaluationBatch.examples, fitting, available);
  const { logits } = buildModel(layer, { inputShape, batchSize: most, training: false });
  const results = nodesOf([logits]).flatMap((node) => node.outputs);
  const bytes = results.reduce((sum, { shape }) => sum + 4 * elementCount(shape), 0);
  return Math.max(1, Math.floor(most / Math.ceil(bytes / evaluationBatch.bytes)));
}

/**
 * The trained network as an ONNX file for inference: input `input` [batch, …] as its metadata say, the task's output
 * [batch, …] under its name, no softmax, BatchNorm with its running statistics, weights inside under their own names. A
 * network that came as a file is that file with its new weights.
 */
export function inferenceModel(
  { layer, inputShape, write, frozen = [] }: Network,
  tensors: Tensors,
  { metadata: own, output: { name } }: Pick<Task, "metadata" | "output">,
): Uint8Array {
  const metadata = writtenMetadata({ ...own, ...(frozen.length > 0 && { frozen }) });
  if (write) return write(tensors, metadata);
  const build = (batchSize: number) => {
    const { graph, logits } = buildModel(layer, { inputShape, batchSize, training: false });
    graph.output(name, logits);
    return graph;
  };
  return compileForBatches(build, tensors, metadata);
}

/** A network as an ONNX file for batches of any size, unless it is another network for each. */
export function compileForBatches(
  build: (batchSize: number) => Graph,
  tensors: Tensors,
  metadata: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const weights = new Map(Object.entries(tensors));
  const one = build(1);
  const any = forAnyBatch(one, build(2));
  const symbolicBatch = any && "batch";
  return compile(any ?? one, { weights, symbolicBatch, name: "network", metadata });
}
