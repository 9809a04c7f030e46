import { openEngine } from "#platform";
import { randomStream } from "../common/random.ts";
import { compile } from "../lower/compile.ts";
import { drawRandomInputs, initialTensors } from "../nn/module.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { scalarInputs, scalarsAt } from "../optim/scalars.ts";
import { initialState } from "../optim/state.ts";
import { trainingStep } from "../optim/training-step.ts";
import type { Tensors } from "../runtime/engine.ts";
import type { Task } from "../tasks/task.ts";
import { type Network, taskObjective } from "../tasks/task-network.ts";
import { type OptimizerIdentity, optimizerIdentity, optimizerLabel } from "./optimizer-label.ts";

/** What one optimizer costs on one network. */
export interface StepCost extends OptimizerIdentity {
  id: string;
  /** The optimizer as a reader would name it. */
  label: string;
  /** Mini-batch gradients a step computes; on average, where steps are of several kinds. */
  gradientEvaluations: number;
  /** Median time of a step; on average over the kinds. */
  milliseconds: number;
  /** What the optimizer keeps beside the parameters. */
  stateBytes: number;
}

export interface StepCostOptions {
  network: Network;
  task: Task;
  /** One batch, as rows of the task. */
  inputs: Tensors;
  /** By ids that name their costs. */
  optimizers: Readonly<Record<string, Optimizer>>;
  /** Timed steps of each optimizer. Default 15. */
  rounds?: number;
  threads?: number;
  onProgress?: (done: number, total: number) => void;
  signal?: AbortSignal;
}

/** Steps of a cheaper method over which its cost is averaged. */
const cycle = 4;

/**
 * Times training steps of several optimizers on one batch. They take turns, round by round, so that
 * whatever else the machine does strikes them alike; two rounds to warm up are not counted.
 */
export async function measureStepCosts(options: StepCostOptions): Promise<StepCost[]> {
  const { network, task, inputs, optimizers, rounds = 15, threads, onProgress, signal } = options;
  const { objective, model } = taskObjective(network, task, {
    batchSize: inputs.input.shape[0],
    training: true,
    purpose: "training",
  });
  const weights = initialTensors(model, 1);
  const engine = openEngine({ threads });
  try {
    await engine.write(weights);
    const target = await engine.target();
    const runs = [];
    for (const [id, optimizer] of Object.entries(optimizers)) {
      const state = initialState(objective, optimizer, weights);
      await engine.write(state);
      for (const step of Object.keys(optimizer.steps)) {
        await engine.load(`${id} ${step}`, compile(trainingStep(objective, optimizer, { step }), { target }));
      }
      runs.push({ id, optimizer, stateBytes: bytesOf(state), times: [] as number[] });
    }
    const random = randomStream(1, "step cost");
    for (let round = -2; round < rounds; round++) {
      for (const { id, optimizer, times } of runs) {
        if (signal?.aborted) return [];
        let total = 0;
        for (let step = 0; step < cycle; step++) {
          const place = placeAt(step);
          const feeds = {
            ...copied(inputs),
            ...drawRandomInputs(model, random),
            ...scalarInputs(scalarsAt(optimizer, place)),
          };
          const started = performance.now();
          // Nothing is advanced, so every step is timed on the same weights.
          await engine.run(`${id} ${optimizer.stepAt(place)}`, feeds);
          total += performance.now() - started;
        }
        if (round >= 0) times.push(total / cycle);
      }
      onProgress?.(round + 3, rounds + 2);
    }
    return runs.map(({ id, optimizer, stateBytes, times }) => ({
      id,
      ...optimizerIdentity(optimizer.config),
      label: optimizerLabel(optimizer.config),
      gradientEvaluations: meanOverCycle(
        (step) => optimizer.steps[optimizer.stepAt(placeAt(step))].gradientEvaluations,
      ),
      milliseconds: times.sort((a, b) => a - b)[Math.floor(times.length / 2)],
      stateBytes,
    }));
  } finally {
    await engine.close();
  }
}

function placeAt(step: number) {
  return { step, totalSteps: cycle, stepsPerEpoch: cycle, learningRate: { now: 0.01, high: 0.01, low: 0 } };
}

function meanOverCycle(value: (step: number) => number): number {
  return Array.from({ length: cycle }, (_, step) => value(step)).reduce((a, b) => a + b) / cycle;
}

function bytesOf(tensors: Tensors): number {
  return Object.values(tensors).reduce((sum, { data }) => sum + (data as Float32Array).byteLength, 0);
}

/** In memory of their own: inputs are handed over. */
function copied(tensors: Tensors): Tensors {
  const copies = Object.entries(tensors).map(([name, tensor]) => [
    name,
    { ...tensor, data: tensor.data.slice() },
  ]);
  return Object.fromEntries(copies);
}
