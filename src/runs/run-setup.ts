import { buildModel, type Model } from "../nn/module.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { type Objective, type TrainingStepOptions, trainingStep } from "../optim/training-step.ts";
import type { Tensors } from "../runtime/engine.ts";
import type { OpenedTask, Task } from "../tasks/task.ts";
import {
  frozenNetwork,
  microBatchCount,
  type Network,
  preparedNetwork,
  taskObjective,
} from "../tasks/task-network.ts";
import type { FeaturePlan } from "./features.ts";
import type { FirstSteps } from "./first-steps.ts";
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
  const { configuration, data, task: kind, optimizer } = request;
  const { batchSize, seed, clipNorm, perturbationPer, recompute, averaging } = configuration;
  const { quantization, threads } = configuration;
  const opened = await openTask(configuration, data, kind);
  const { task, train } = opened;
  const given = await givenWeights(request);
  const { network, quantized, part, microBatches } = await trainedNetwork(request, opened, given);
  const built = { batchSize: batchSize / microBatches, training: true };
  const { objective, model } = taskObjective(network, task, { ...built, purpose: "training" });
  // The head of a file is re-initialized in the file.
  const isNew = configuration.parameters.newHead === true && typeof configuration.model === "string";
  const { tensors, note } = startingTensors(model, seed, given, { stage: part.head, isNew });
  const measured = quantized && quantization && (await import("./first-steps.ts"));
  const first = await measured?.firstSteps(quantized!, opened, tensors, {
    ...{ batchSize: built.batchSize, seed, threads },
    ...{ examples: quantization!.examples, firstSteps: quantization!.firstSteps },
  });
  // Steps that were trained before go on from there.
  const steps = { ...first?.steps, ...stepsIn(given, first) };
  // Of a network by its name only what is frozen can be fixed.
  const mayBeFixed = part.frozen.size > 0 || typeof configuration.model !== "string";
  const features =
    mayBeFixed && configuration.parameters.features !== "compute"
      ? await (await import("./features.ts")).planFeatures(objective, opened)
      : undefined;
  return {
    opened,
    network,
    optimizer: optimizer ?? createOptimizer(configuration.optimizer),
    stepsPerEpoch: Math.floor(train.count / batchSize),
    microBatches,
    objective,
    model,
    features,
    weights: { ...tensors, ...steps },
    notes: [
      ...(opened.notes ?? []),
      ...(network.notes ?? []),
      ...(note === undefined ? [] : [note]),
      ...part.notes,
      ...(first?.notes ?? []),
      ...(features ? [features.note] : []),
    ],
    options: {
      settings: part.settings,
      clipNorm,
      microBatches,
      perturbationPer,
      recompute,
      ...(first && { lowerBounds: measured!.leastSteps(first.steps) }),
      averageDecay: averaging?.name === "exponential" ? averaging.decay : undefined,
    },
  };
}

/**
 * The network that a run trains, with learned steps where the run says so, and what of it is frozen.
 * @throws UserError for settings that do not fit it
 */
export async function trainedNetwork(
  { configuration, layer, modelFile }: Pick<RunRequest, "configuration" | "layer" | "modelFile">,
  opened: OpenedTask,
  given: GivenWeights | undefined,
) {
  const { batchSize, quantization } = configuration;
  const { task } = opened;
  const float = layer
    ? preparedNetwork(layer, task)
    : await networkOf(configuration, opened, { given: given?.tensors, file: modelFile });
  const small = quantization && (await smallNetwork(float, task, configuration));
  const whole = small ?? float;
  const microBatches = microBatchCount(configuration, whole.ownBatch);
  const built = { batchSize: batchSize / microBatches, training: true, inputShape: whole.inputShape };
  const part = trainedPart(buildModel(whole.layer, built), withSteps(configuration));
  const quantized = part.frozen.size > 0 ? small?.freezing(part.frozen) : small;
  return { network: quantized ?? frozenNetwork(float, part.frozen), quantized, part, microBatches };
}

/** Settings of parameters, with those of quantizers' steps before what the run says of them. */
function withSteps({ parameters, quantization }: RunRequest["configuration"]) {
  if (!quantization) return parameters;
  const { stepLearningRate: learningRate, perturbSteps: perturbed } = quantization;
  return {
    ...parameters,
    groups: [{ kinds: "step" as const, learningRate, perturbed }, ...parameters.groups],
  };
}

/** A network as one of small integers; loaded with its first use, like the importer that it needs. */
async function smallNetwork(
  float: Network,
  task: Task,
  { model, quantization }: RunRequest["configuration"],
) {
  const { quantizedNetwork } = await import("./quantized-network.ts");
  const dimensions = typeof model === "string" ? undefined : model.dimensions;
  return quantizedNetwork(float, task, quantization!, dimensions);
}

/** The steps among given weights. */
function stepsIn(given: GivenWeights | undefined, first: FirstSteps | undefined): Tensors {
  const names = Object.keys(first?.steps ?? {}).filter((name) => Object.hasOwn(given?.tensors ?? {}, name));
  return Object.fromEntries(names.map((name) => [name, given!.tensors[name]]));
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
