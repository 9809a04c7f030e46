import { randomStream } from "../common/random.ts";
import { evaluationBatches } from "../data/rows.ts";
import { compile } from "../lower/compile.ts";
import { buildModel, drawRandomInputs, type Model } from "../nn/module.ts";
import { averageName } from "../optim/training-step.ts";
import type { Engine, Tensors } from "../runtime/engine.ts";
import type { OpenedTask } from "../tasks/task.ts";
import type { Network } from "../tasks/task-network.ts";
import type { RunConfiguration } from "./configuration.ts";

// A second network beside the trained one, whose weights are an average over training.

type StochasticAveraging = Extract<RunConfiguration["averaging"], { name: "stochastic" }>;

/**
 * The last epoch whose weights SWA leaves out (Izmailov et al. 2018, arXiv 1803.05407): those after `startingAt` of training
 * are averaged in equal shares, and the last one always is.
 */
export function lastLeftOut({ startingAt }: StochasticAveraging, epochs: number): number {
  // A share such as 0.07 of 100 epochs is 7.000000000000001.
  return Math.min(epochs - 1, Math.ceil(Number((startingAt * epochs).toPrecision(12))));
}

/**
 * The averages of the weights by the names of a run's state, after an epoch with its weights in `tensors`; nothing where
 * the epoch is not averaged or the training step keeps the average. Dropped steps leave the weights of the step before,
 * so an epoch that ends with one counts like any other.
 */
export function averagesAfter(
  { epoch, tensors }: { epoch: number; tensors: Tensors },
  before: Tensors | undefined,
  { averaging, epochs }: Pick<RunConfiguration, "averaging" | "epochs">,
  { parameters }: Pick<Model, "parameters">,
): Tensors {
  if (averaging?.name !== "stochastic") return {};
  const count = epoch - lastLeftOut(averaging, epochs);
  if (count < 1) return {};
  return Object.fromEntries(
    parameters.map(({ name }) => {
      const key = `${name}.${averageName}`;
      const now = tensors[name];
      const average = before?.[key];
      if (count === 1 || !average) return [key, now];
      const data = Float32Array.from(now.data as Float32Array, (value, index) => {
        const mean = Number(average.data[index]);
        return mean + (value - mean) / count;
      });
      return [key, { ...now, data }];
    }),
  );
}

/**
 * The averaged network's parameters and buffers, from a run's state (`stored`). BatchNorm's running statistics belong to other weights, so they are
 * re-measured: with the averaged weights, the mean of the statistics of all full batches of the training data.
 */
export async function averagedTensors(
  engine: Engine,
  stored: Tensors,
  { layer, inputShape }: Network,
  trained: Pick<Model, "parameters" | "buffers">,
  { task, train }: Pick<OpenedTask, "task" | "train">,
  batchSize: number,
): Promise<Tensors> {
  const names = trained.parameters.map(({ name }) => name);
  const weights = Object.fromEntries(
    names.map((name) => [name, stored[`${name}.${averageName}`] ?? stored[name]]),
  );
  const kept = Object.fromEntries(trained.buffers.map(({ name }) => [name, stored[name]]));

  // With momentum 1 the running statistics after a pass are the batch's own. Frozen ones stay.
  const model = buildModel(layer, { inputShape, batchSize, training: true, batchNormMomentum: 1 });
  const moving = trained.buffers.filter(({ name }) => model.bufferUpdates.has(name));
  if (moving.length === 0) return { ...weights, ...kept };
  for (const [name, value] of model.bufferUpdates) model.graph.output(`batch.${name}`, value);
  await engine.load("statistics", compile(model.graph, { target: await engine.target() }));
  await engine.write(weights);
  const sums = new Map<string, Float64Array>();
  const random = randomStream(0, "statistics of the averaged network");
  let batches = 0;
  for await (const { inputs, count } of evaluationBatches(train, { row: task.row, batchSize })) {
    if (count < batchSize) break;
    batches++;
    const feeds = { input: inputs.input, ...drawRandomInputs(model, random) };
    const { outputs } = await engine.run("statistics", feeds);
    for (const { name } of moving) {
      const values = outputs[`batch.${name}`].data as Float32Array;
      const sum = sums.get(name) ?? new Float64Array(values.length);
      for (const [index, value] of values.entries()) sum[index] += value;
      sums.set(name, sum);
    }
  }
  const buffers = moving.map(({ name, shape }) => [
    name,
    { type: "float32", shape, data: Float32Array.from(sums.get(name)!, (sum) => sum / batches) } as const,
  ]);
  return { ...weights, ...kept, ...Object.fromEntries(buffers) };
}
