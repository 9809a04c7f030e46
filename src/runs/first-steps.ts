import { UserError } from "../common/errors.ts";
import { compile } from "../lower/compile.ts";
import { buildModel, type Model } from "../nn/module.ts";
import type { TensorData, Tensors } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { openDevice } from "../platform/open-device.ts";
import { channelsOf } from "../quantization/channels.ts";
import { outputAxis } from "../quantization/layers.ts";
import { type Observed, observing } from "../quantization/learned.ts";
import { weightStepName } from "../quantization/learned-sites.ts";
import { firstStep, integerRange, weightRange } from "../quantization/lsq.ts";
import { Sample } from "../quantization/sample.ts";
import type { Engine } from "../runtime/engine.ts";
import type { OpenedTask } from "../tasks/task.ts";
import { trainingFeeds } from "../tasks/task-network.ts";
import type { QuantizationSettings } from "./quantization-settings.ts";
import type { QuantizedNetwork } from "./quantized-network.ts";

// What learned steps start from: weights, and what the float network computes on training examples.

export interface FirstSteps {
  steps: Tensors;
  notes: readonly string[];
}

/** What of the run's settings matters here. */
interface FirstStepSettings extends Pick<QuantizationSettings, "examples" | "firstSteps"> {
  batchSize: number;
  seed: number;
  threads: number | undefined;
}

/** Values of a tensor that its first step is chosen by; of more, one of every k. */
const sampledValues = 2 ** 16;
/** The least share of its first value that a step keeps. */
const leastShare = 1e-6;

/**
 * The first step of every layer and tensor, by the rule of the settings. Of what is 0 everywhere it is for values up to 1, and a
 * note says so.
 * @param weights what the network starts from
 * @throws UserError for tensors that are not finite
 */
export async function firstSteps(
  { float, quantization }: Pick<QuantizedNetwork, "float" | "quantization">,
  opened: Pick<OpenedTask, "task" | "train" | "order">,
  weights: Tensors,
  settings: FirstStepSettings,
): Promise<FirstSteps> {
  const { batchSize, threads } = settings;
  const stepOf = firstStep[settings.firstSteps];
  let observed: Observed | undefined;
  const layer = observing(float.layer, quantization, (found) => {
    observed = found;
  });
  const model = buildModel(layer, { inputShape: float.inputShape, batchSize, training: true });
  if (!observed) throw new Error("the network was built without its layer");
  const { layers, sites } = observed;
  const steps: Tensors = {};
  const silent: string[] = [];
  const put = (name: string, values: readonly number[], shape: readonly number[], high: number) => {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    if (mean === 0) silent.push(name);
    // Biases are multiples of steps: those of channels and tensors that are 0, which any step suits, must not be coarse or tiny.
    const usual = mean || 1 / high;
    steps[name] = tensorData(
      values.map((value) => (value > leastShare * mean ? value : usual)),
      shape,
      "float32",
    );
  };
  for (const { name, node, bits } of layers) {
    const axis = quantization.perChannel ? outputAxis(node) : undefined;
    const range = weightRange(bits.weights);
    const channels = channelsOf(weights[node.input[1]], axis);
    const values = Array.from({ length: channels.count }, (_, channel) =>
      stepOf(channels.values(channel), range),
    );
    put(weightStepName(name), values, axis === undefined ? [] : [values.length], range.high);
  }
  // The step's name is that of the output.
  for (const { step, tensor } of sites) model.graph.output(step, tensor);
  const engine = await openDevice("cpu", { threads });
  try {
    const names = sites.map(({ step }) => step);
    const samples = await samplesOf(engine, model, { weights, opened, names, settings });
    for (const { step, bits, isUnsigned } of sites) {
      const range = integerRange(bits, !isUnsigned);
      put(step, [stepOf(samples.get(step)!.values, range)], [], range.high);
    }
  } finally {
    await engine.close();
  }
  const notes =
    silent.length === 0
      ? []
      : [
          `0 on all training examples that were measured, so the step is for values up to 1: ${silent.join(", ")}`,
        ];
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

/**
 * Values of each output over the first batches of the first epoch.
 * @throws UserError for values that are not finite
 */
async function samplesOf(
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
    settings: FirstStepSettings;
  },
): Promise<Map<string, Sample>> {
  const program = "first steps";
  await engine.write(weights);
  await engine.load(program, compile(model.graph, { target: await engine.target() }));
  const samples = new Map(names.map((name) => [name, new Sample(sampledValues)]));
  let batches = 0;
  for await (const feeds of trainingFeeds(opened, model, { batchSize, seed, epoch: 1, microBatches: 1 })) {
    const read = Object.entries(feeds).filter(([name]) => model.graph.inputs.has(name));
    const { outputs } = await engine.run(program, Object.fromEntries(read));
    for (const [name, sample] of samples) {
      const values = outputs[name].data as Float32Array;
      if (!values.every(Number.isFinite))
        throw new UserError(`${name}: the tensor is not finite on training examples; it cannot be quantized`);
      sample.add(values);
    }
    batches++;
    if (batches * batchSize >= examples) break;
  }
  return samples;
}
