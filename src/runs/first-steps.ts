import { UserError } from "../common/errors.ts";
import { compile } from "../lower/compile.ts";
import { buildModel, type Model } from "../nn/module.ts";
import type { TensorData, Tensors } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { abs } from "../ops/elementwise.ts";
import { reduceMean } from "../ops/reduction.ts";
import { openDevice } from "../platform/open-device.ts";
import { outputAxis } from "../quantization/layers.ts";
import { type Observed, observing } from "../quantization/learned.ts";
import { weightStepName } from "../quantization/learned-sites.ts";
import { firstSteps as firstStepsOf, integerRange, weightRange } from "../quantization/lsq.ts";
import type { Engine } from "../runtime/engine.ts";
import type { OpenedTask } from "../tasks/task.ts";
import { trainingFeeds } from "../tasks/task-network.ts";
import type { QuantizedNetwork } from "./quantized-network.ts";

// What learned steps start from: weights, and what the float network computes on training examples.

export interface FirstSteps {
  steps: Tensors;
  notes: readonly string[];
}

/** The least share of its first value that a step keeps. */
const leastShare = 1e-6;

/**
 * The first step of every layer and tensor: 2·mean|x|/√high. Of what is 0 everywhere it is 1, and a note says so.
 * @param weights what the network starts from
 * @throws UserError for tensors that are not finite
 */
export async function firstSteps(
  { float, quantization }: Pick<QuantizedNetwork, "float" | "quantization">,
  opened: Pick<OpenedTask, "task" | "train" | "order">,
  weights: Tensors,
  settings: { batchSize: number; seed: number; examples: number; threads: number | undefined },
): Promise<FirstSteps> {
  const { batchSize, threads } = settings;
  let observed: Observed | undefined;
  const layer = observing(float.layer, quantization, (found) => {
    observed = found;
  });
  const model = buildModel(layer, { inputShape: float.inputShape, batchSize, training: true });
  if (!observed) throw new Error("the network was built without its layer");
  const { layers, sites } = observed;
  const steps: Tensors = {};
  const silent: string[] = [];
  const put = (name: string, values: readonly number[], shape: readonly number[]) => {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    if (mean === 0) silent.push(name);
    // One channel of zeros is exact with any step.
    steps[name] = tensorData(
      values.map((value) => value || mean || 1),
      shape,
      "float32",
    );
  };
  for (const { name, node, bits } of layers) {
    const axis = quantization.perChannel ? outputAxis(node) : undefined;
    const weight = weights[node.input[1]];
    const values = firstStepsOf(
      { data: weight.data as Float32Array, shape: weight.shape },
      weightRange(bits.weights),
      axis,
    );
    put(weightStepName(name), values, axis === undefined ? [] : [values.length]);
  }
  for (const { step, tensor } of sites) model.graph.output(step, reduceMean(abs(tensor)));
  const engine = await openDevice("cpu", { threads });
  try {
    const means = await meansOf(engine, model, {
      weights,
      opened,
      names: sites.map(({ step }) => step),
      settings,
    });
    for (const { step, bits, isUnsigned } of sites) {
      const mean = means.get(step)!;
      if (!Number.isFinite(mean))
        throw new UserError(`${step}: the tensor is not finite on training examples; it cannot be quantized`);
      put(step, [(2 * mean) / Math.sqrt(integerRange(bits, !isUnsigned).high)], []);
    }
  } finally {
    await engine.close();
  }
  const notes =
    silent.length === 0
      ? []
      : [`0 on all training examples that were measured, so the step starts at 1: ${silent.join(", ")}`];
  return { steps, notes };
}

/** What steps do not fall below, by their names. */
export function leastSteps(steps: Tensors): Map<string, TensorData> {
  return new Map(
    Object.entries(steps).map(([name, { data, shape, type }]) => [
      name,
      tensorData(
        Array.from(data as Float32Array, (value) => value * leastShare),
        shape,
        type,
      ),
    ]),
  );
}

/** The mean of each output over the first batches of the first epoch. */
async function meansOf(
  engine: Engine,
  model: Model,
  {
    weights,
    opened,
    names,
    settings: { batchSize, seed, examples },
  }: {
    weights: Tensors;
    opened: Pick<OpenedTask, "task" | "train" | "order">;
    names: readonly string[];
    settings: { batchSize: number; seed: number; examples: number };
  },
): Promise<Map<string, number>> {
  const program = "first steps";
  await engine.write(weights);
  await engine.load(program, compile(model.graph, { target: await engine.target() }));
  const sums = new Map(names.map((name) => [name, 0]));
  let batches = 0;
  for await (const feeds of trainingFeeds(opened, model, { batchSize, seed, epoch: 1, microBatches: 1 })) {
    const read = Object.entries(feeds).filter(([name]) => model.graph.inputs.has(name));
    const { outputs } = await engine.run(program, Object.fromEntries(read));
    for (const name of names) sums.set(name, sums.get(name)! + Number(outputs[name].data[0]));
    batches++;
    if (batches * batchSize >= examples) break;
  }
  return new Map(Array.from(sums, ([name, sum]) => [name, sum / batches]));
}
