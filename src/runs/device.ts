import { compile } from "../lower/compile.ts";
import type { Model } from "../nn/module.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { scalarInputs, scalarsAt } from "../optim/scalars.ts";
import type { Engine, Tensors } from "../runtime/engine.ts";
import type { Trial } from "../runtime/proof.ts";
import { copied, type DeviceRecord, isProving } from "../runtime/proving-engine.ts";
import type { OpenedTask } from "../tasks/task.ts";
import { trainingFeeds } from "../tasks/task-network.ts";
import { progressAt } from "../train/loop.ts";
import type { RunConfiguration } from "./configuration.ts";
import { createSchedule } from "./optimizers.ts";

// Training steps on the device that a run asks for.

interface StepsToLoad {
  steps: Trial["steps"];
  /** What the store holds. */
  tensors: Tensors;
  /** What the first step is given. */
  feeds: () => Promise<Tensors>;
  onNote?: (note: string) => void;
}

/**
 * Loads the training steps into an engine. A device has to prove itself with them; where it cannot, the engine goes on with
 * the CPU and `onNote` gets the reason.
 * @returns where the steps run
 */
export async function loadSteps(
  engine: Engine,
  { steps, tensors, feeds, onNote }: StepsToLoad,
): Promise<DeviceRecord> {
  if (isProving(engine)) {
    const inputs = await feeds();
    const fault = await engine.prove({ steps, tensors, feeds: () => copied(inputs) });
    if (fault === undefined) return engine.where;
    onNote?.(`${fault}: training runs on the CPU`);
    await engine.fallBack(fault, tensors);
  }
  const target = await engine.target();
  for (const { step, graph } of steps) await engine.load(step, compile(graph, { target }));
  return isProving(engine) ? engine.where : { name: "cpu" };
}

/** The inputs of a run's next step: a batch and the optimizer's scalars. */
export async function firstFeeds(
  opened: Pick<OpenedTask, "task" | "train" | "order">,
  model: Model,
  optimizer: Optimizer,
  {
    configuration,
    stepsPerEpoch,
    finishedEpochs,
    microBatches,
  }: { configuration: RunConfiguration; stepsPerEpoch: number; finishedEpochs: number; microBatches: number },
): Promise<Tensors> {
  const { batchSize, seed, schedule, learningRate, epochs } = configuration;
  const epoch = Math.min(finishedEpochs + 1, epochs);
  const batches = trainingFeeds(opened, model, { batchSize, seed, epoch, microBatches });
  const first = await batches.next();
  await batches.return(undefined);
  if (first.done) throw new Error("an epoch without batches was not refused");
  const settings = { learningRate, epochs, stepsPerEpoch, schedule: createSchedule(schedule) };
  const progress = progressAt(settings, (epoch - 1) * stepsPerEpoch);
  return { ...first.value, ...scalarInputs(scalarsAt(optimizer, progress)) };
}
