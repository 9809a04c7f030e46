import { randomStream } from "../common/random.ts";
import { evaluationBatches } from "../data/batches.ts";
import type { ImageDataset } from "../data/dataset.ts";
import { compile } from "../lower/compile.ts";
import { buildModel, drawRandomInputs, type Model } from "../nn/module.ts";
import { averageName } from "../optim/training-step.ts";
import type { Engine, Tensors } from "../runtime/engine.ts";
import { type Classifier, imageFeed } from "./classification.ts";
import type { RunConfiguration } from "./configuration.ts";

// A second network beside the trained one, whose weights are an average over training.

type Averaging = NonNullable<RunConfiguration["averaging"]>;

/**
 * How much of each step's weights (counted from 0) goes into the average.
 * - `exponential`: 1 − decay at every step, a moving average.
 * - `stochastic` (SWA, Izmailov et al. 2018, arXiv 1803.05407): at the end of each epoch of the last part of training,
 *   in equal shares; the weights before that have none.
 */
export function averageWeightAt(averaging: Averaging, totalSteps: number, stepsPerEpoch: number) {
  if (averaging.name === "exponential") return () => 1 - averaging.decay;
  const first = Math.ceil((averaging.from * totalSteps) / stepsPerEpoch);
  return (step: number) => {
    const epoch = (step + 1) / stepsPerEpoch;
    return Number.isInteger(epoch) && epoch > first ? 1 / (epoch - first) : 0;
  };
}

/**
 * The averaged network's parameters and buffers. BatchNorm's running statistics belong to other weights, so they are
 * measured anew: with the averaged weights, the mean of the statistics of all full batches of the training images.
 */
export async function averagedTensors(
  engine: Engine,
  { layer, inputShape }: Classifier,
  trained: Pick<Model, "parameters" | "buffers">,
  dataset: ImageDataset,
  batchSize: number,
): Promise<Tensors> {
  const names = trained.parameters.map(({ name }) => name);
  const stored = await engine.read();
  const weights = Object.fromEntries(
    names.map((name) => [name, stored[`${name}.${averageName}`] ?? stored[name]]),
  );
  if (trained.buffers.length === 0) return weights;

  // With momentum 1 the running statistics after a pass are the batch's own.
  const model = buildModel(layer, { inputShape, batchSize, training: true, batchNormMomentum: 1 });
  for (const [name, value] of model.bufferUpdates) model.graph.output(`batch.${name}`, value);
  await engine.load("statistics", compile(model.graph, { target: await engine.target() }));
  await engine.write(weights);
  const sums = new Map<string, Float64Array>();
  const random = randomStream(0, "statistics of the averaged network");
  let batches = 0;
  for (const { input, count } of evaluationBatches(dataset, { batchSize })) {
    if (count < batchSize) break;
    batches++;
    const feeds = { ...imageFeed(dataset, input), ...drawRandomInputs(model, random) };
    const { outputs } = await engine.run("statistics", feeds);
    for (const { name } of trained.buffers) {
      const values = outputs[`batch.${name}`].data as Float32Array;
      const sum = sums.get(name) ?? new Float64Array(values.length);
      for (const [index, value] of values.entries()) sum[index] += value;
      sums.set(name, sum);
    }
  }
  const buffers = trained.buffers.map(({ name, shape }) => [
    name,
    { type: "float32", shape, data: Float32Array.from(sums.get(name)!, (sum) => sum / batches) } as const,
  ]);
  return { ...weights, ...Object.fromEntries(buffers) };
}
