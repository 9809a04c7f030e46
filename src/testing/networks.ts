import assert from "node:assert/strict";
import type { Random } from "../common/random.ts";
import { elementCount, Graph, type Value } from "../graph/graph.ts";
import {
  batchNorm,
  conv2d,
  dropout,
  flatten,
  globalAveragePool,
  linear,
  relu,
  sequential,
  tanh,
} from "../nn/layers.ts";
import { buildModel, drawRandomInputs, initialTensors, type Layer } from "../nn/module.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { softmaxCrossEntropy } from "../ops/losses.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { scalarInputs } from "../optim/scalars.ts";
import { initialState } from "../optim/state.ts";
import { type Objective, type TrainingStepOptions, trainingStep } from "../optim/training-step.ts";
import type { Tensors } from "../runtime/engine.ts";
import { compileForTest } from "./numeric.ts";
import type { Float } from "./problems.ts";

// Small random networks, and training steps on them one at a time, for tests of what holds for any network.

/** An objective with data to start from and more data for further steps. */
export interface Sample {
  objective: Objective;
  type: Float;
  /** Parameters and buffers. */
  start: Tensors;
  /** A fresh mini-batch: the inputs `input` and `target`. */
  batch: () => Tensors;
}

export const networkKinds = ["mlp", "mlp with BatchNorm", "cnn with BatchNorm and Dropout"] as const;
export type NetworkKind = (typeof networkKinds)[number];

/**
 * A network of random widths and random parameters with cross entropy; BatchNorm `bn0` sees the input itself.
 * From the same stream comes the same network, whatever batch size is asked for (default: a random one).
 */
export function randomSample(kind: NetworkKind, type: Float, random: Random, batch?: number): Sample {
  const size = (least: number, most: number) => least + random.integer(most - least + 1);
  const [channels, hidden, classes, anySize] = [size(1, 3), size(3, 8), size(2, 5), size(4, 9)];
  const batchSize = batch ?? anySize;
  const isConvolutional = kind === "cnn with BatchNorm and Dropout";
  const inputShape = isConvolutional ? [channels, size(4, 6), size(4, 6)] : [size(3, 7)];
  const layers: Record<NetworkKind, () => Layer> = {
    mlp: () => sequential({ fc1: linear(inputShape[0], hidden), tanh: tanh(), fc2: linear(hidden, classes) }),
    "mlp with BatchNorm": () =>
      sequential({
        bn0: batchNorm(inputShape[0]),
        fc1: linear(inputShape[0], hidden),
        bn1: batchNorm(hidden),
        relu: relu(),
        fc2: linear(hidden, classes),
      }),
    "cnn with BatchNorm and Dropout": () =>
      sequential({
        bn0: batchNorm(channels),
        conv1: conv2d(channels, hidden, 3, { padding: 1, bias: false }),
        bn1: batchNorm(hidden),
        relu1: relu(),
        drop: dropout(0.3),
        conv2: conv2d(hidden, hidden, 3, { stride: 2, padding: 1 }),
        bn2: batchNorm(hidden),
        relu2: relu(),
        pool: globalAveragePool(),
        flatten: flatten(),
        fc: linear(hidden, classes),
      }),
  };
  return sampleOf(layers[kind](), { inputShape, classes, batchSize, type, random });
}

/** A network with random parameters and cross entropy on random data. */
export function sampleOf(
  layer: Layer,
  {
    inputShape,
    classes,
    batchSize,
    type,
    random,
  }: { inputShape: readonly number[]; classes: number; batchSize: number; type: Float; random: Random },
): Sample {
  const model = buildModel(layer, { inputShape, batchSize, training: true, type });
  const target = model.graph.input("target", "int32", [batchSize]);
  const normal = (shape: readonly number[], factor = 1) =>
    tensorData(
      Array.from({ length: elementCount(shape) }, () => factor * random.normal()),
      shape,
      type,
    );
  return {
    type,
    objective: {
      loss: softmaxCrossEntropy(model.logits, target, { labelSmoothing: 0.1 }),
      parameters: new Map(model.parameters.map(({ name }) => [name, model.graph.inputs.get(name)!])),
      buffers: model.bufferUpdates,
    },
    start: Object.fromEntries([
      ...model.parameters.map(({ name, shape }) => [name, normal(shape, 0.5)]),
      ...Object.entries(initialTensors({ ...model, parameters: [] }, 0)),
    ]),
    batch: () => ({
      input: normal([batchSize, ...inputShape]),
      target: tensorData(
        Array.from({ length: batchSize }, () => random.integer(classes)),
        [batchSize],
        "int32",
      ),
      ...drawRandomInputs(model, random),
    }),
  };
}

/** An objective of one vector `w` and nothing else. */
export function vectorSample(loss: (w: Value) => Value, w: readonly number[], type: Float): Sample {
  const input = new Graph().input("w", type, [w.length]);
  return {
    type,
    objective: { loss: loss(input), parameters: new Map([["w", input]]), buffers: new Map() },
    start: { w: tensorData(w, [w.length], type) },
    batch: () => ({}),
  };
}

/** A descent's radius is `rhoMin`; every other scalar is `rhoMax`. */
export interface StepSettings {
  learningRate: number;
  rhoMax?: number;
  rhoMin?: number;
}

/** A training step in an engine of its own, its state at zero: run it as often as needed, then close it. */
export async function openStep(
  { objective, start, type }: Sample,
  optimizer: Optimizer,
  options: TrainingStepOptions = {},
) {
  const { engine, close } = await compileForTest(trainingStep(objective, optimizer, options));
  await engine.write({ ...start, ...initialState(objective, optimizer, start, options) });
  return {
    run: async (batch: Tensors, { learningRate, rhoMax = 0, rhoMin = 0 }: StepSettings) => {
      const names = Object.keys(optimizer.scalars);
      const scalars = Object.fromEntries(names.map((name) => [name, name === "rhoMin" ? rhoMin : rhoMax]));
      const { outputs, advanced } = await engine.run(
        "test",
        { ...batch, ...scalarInputs({ learningRate, scalars }, type) },
        { advance: true },
      );
      const results: Record<string, number> = Object.fromEntries(
        Object.entries(outputs).map(([name, { data }]) => [name, Number(data[0])]),
      );
      return { scalars: results, advanced };
    },
    read: (names?: readonly string[]) => engine.read(names),
    close,
  };
}

/** The numbers of a tensor as float64. */
export function numbers({ data }: TensorData): number[] {
  return Array.from(data as ArrayLike<number | bigint>, Number);
}

/** Asserts that two tensors have the same bytes: −0 is not 0, and a NaN equals itself. */
function assertSameBits(actual: TensorData, expected: TensorData, what: string): void {
  assert.equal(actual.type, expected.type, `${what}: type`);
  assert.deepEqual(actual.shape, expected.shape, `${what}: shape`);
  const bytes = ({ data }: TensorData) => {
    const view = data as Float32Array;
    return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  };
  const [left, right] = [bytes(actual), bytes(expected)];
  assert.equal(left.length, right.length, `${what}: length`);
  const differing = left.findIndex((byte, index) => byte !== right[index]);
  if (differing < 0) return;
  const index = Math.floor((differing * actual.data.length) / left.length);
  assert.fail(
    `${what}[${index}]: got ${actual.data[index]}, expected ${expected.data[index]} to the last bit`,
  );
}

/** Asserts `assertSameBits` for every tensor of `expected`. */
export function assertSameTensors(actual: Tensors, expected: Tensors): void {
  for (const [name, tensor] of Object.entries(expected)) assertSameBits(actual[name], tensor, name);
}
