import { buildModel, type Model } from "../nn/module.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { type Objective, type TrainingStepOptions, trainingStep } from "../optim/training-step.ts";
import type { Tensors } from "../runtime/engine.ts";
import type { OpenedTask } from "../tasks/task.ts";
import {
  frozenNetwork,
  microBatchCount,
  type Network,
  preparedNetwork,
  taskObjective,
} from "../tasks/task-network.ts";
import { type FeaturePlan, planFeatures } from "./features.ts";
import { type GivenWeights, readWeights, startingTensors } from "./initial-weights.ts";
import { networkOf } from "./network.ts";
import { openTask } from "./open-task.ts";
import { createOptimizer } from "./optimizers.ts";
import type { RunRequest } from "./run-request.ts";
import { trainedPart } from "./trained-part.ts";

// What a request comes to before anything is written: data, network, optimizer, what trains.

/** Everything about a run that is settled before it begins. */
export interface RunSetup {
  opened: OpenedTask;
  network: Network;
  optimizer: Optimizer;
  objective: Objective;
  model: Model;
  /** How every step treats the parameters and the mini-batch. */
  options: TrainingStepOptions;
  stepsPerEpoch: number;
  /** Parts that a mini-batch is computed in. */
  microBatches: number;
  /** Parameters and buffers to start from. */
  weights: Tensors;
  /** What frozen stages give, where they do. */
  features: FeaturePlan | undefined;
  /** What a person should know of the network and of what trains. */
  notes: readonly string[];
}

/** The data, network and optimizer that a request comes to. */
export async function prepare(request: RunRequest): Promise<RunSetup> {
  const { configuration, data, task: kind, layer, optimizer } = request;
  const { batchSize, seed, parameters, clipNorm, perturbationPer, averaging } = configuration;
  const opened = await openTask(configuration, data, kind);
  const { task, train } = opened;
  const given = await givenWeights(request);
  const whole = layer
    ? preparedNetwork(layer, task)
    : await networkOf(configuration, opened, { given: given?.tensors, file: request.modelFile });
  const microBatches = microBatchCount(configuration, whole.ownBatch);
  const built = { batchSize: batchSize / microBatches, training: true };
  const wholeModel = buildModel(whole.layer, { ...built, inputShape: whole.inputShape });
  const part = trainedPart(wholeModel, parameters);
  const network = frozenNetwork(whole, part.frozen);
  const { objective, model } = taskObjective(network, task, { ...built, purpose: "training" });
  // The head of a file is re-initialized in the file.
  const isNew = parameters.newHead === true && typeof configuration.model === "string";
  const { tensors, note } = startingTensors(model, seed, given, { stage: part.head, isNew });
  const features = parameters.features === "compute" ? undefined : await planFeatures(objective, opened);
  return {
    opened,
    network,
    optimizer: optimizer ?? createOptimizer(configuration.optimizer),
    stepsPerEpoch: Math.floor(train.count / batchSize),
    microBatches,
    objective,
    model,
    features,
    weights: tensors,
    notes: [
      ...(opened.notes ?? []),
      ...(network.notes ?? []),
      ...(note === undefined ? [] : [note]),
      ...part.notes,
      ...(features ? [features.note] : []),
    ],
    options: {
      settings: part.settings,
      clipNorm,
      microBatches,
      perturbationPer,
      averageDecay: averaging?.name === "exponential" ? averaging.decay : undefined,
    },
  };
}

/** Every kind of the optimizer's steps as a graph. */
export function stepsOf({
  objective,
  optimizer,
  options,
}: Pick<RunSetup, "objective" | "optimizer" | "options">) {
  return Object.keys(optimizer.steps).map((step) => ({
    step,
    graph: trainingStep(objective, optimizer, { ...options, step }),
  }));
}

/** The weights a request names, if any. */
async function givenWeights({ weights, configuration }: RunRequest): Promise<GivenWeights | undefined> {
  if (weights) return { ...weights, source: "the tensors given" };
  if (!configuration.weights) return undefined;
  const { file, except, otherHead } = configuration.weights;
  return { tensors: await readWeights(file), source: file, except, otherHead };
}
