import assert from "node:assert/strict";
import { randomStream } from "../common/random.ts";
import {
  batchNorm,
  conv2d,
  globalAveragePool,
  linear,
  maxPool,
  relu,
  residual,
  sequential,
} from "../nn/layers.ts";
import { cnn, lenet5, mlp } from "../nn/models/small.ts";
import { buildModel, initialTensors, type Layer } from "../nn/module.ts";
import { bilateralSam } from "../optim/bilateral-sam.ts";
import { scalarInputs } from "../optim/scalars.ts";
import { sgd } from "../optim/sgd.ts";
import { initialState } from "../optim/state.ts";
import { trainingStep } from "../optim/training-step.ts";
import { sampleOf } from "./networks.ts";
import { assertClose } from "./numeric.ts";
import type { Steps } from "./take-steps.ts";

// The training steps that a device has to take as the CPU does, in Node and in a page.

const shape = { channels: 1, height: 12, width: 12, classes: 10 };
const networks: Readonly<Record<string, () => Layer>> = {
  mlp: () => mlp(shape),
  cnn: () => cnn(shape),
  lenet5: () => lenet5(shape),
  "resnet with a 3×3/2 max pool": () =>
    sequential({
      conv1: conv2d(1, 8, 7, { stride: 2, padding: 3, bias: false }),
      bn1: batchNorm(8),
      relu: relu(),
      pool: maxPool(3, { stride: 2, padding: 1 }),
      block: residual(
        sequential({
          conv1: conv2d(8, 16, 3, { stride: 2, padding: 1, bias: false }),
          bn1: batchNorm(16),
          relu1: relu(),
          conv2: conv2d(16, 16, 3, { padding: 1, bias: false }),
          bn2: batchNorm(16),
        }),
        sequential({ shortcut: conv2d(8, 16, 1, { stride: 2, bias: false }), bn3: batchNorm(16) }),
      ),
      last: relu(),
      average: globalAveragePool(),
      fc: linear(16, 10),
    }),
};
/** Their names. */
export const deviceNetworks: readonly string[] = Object.keys(networks);

/** Bilateral SAM on one of them: its steps are three times as large. */
const optimizerOf = (network: string) =>
  network === "mlp" ? bilateralSam(sgd({ momentum: 0.9 }), { rhoMax: 0.05 }) : sgd({ momentum: 0.9 });

/** A training step of a network, what it starts from, and batches for it. */
export function trialOf(network: string) {
  const random = randomStream(1, `webgpu ${network}`);
  const layer = networks[network]();
  const inputShape = [shape.channels, shape.height, shape.width];
  const sample = sampleOf(layer, {
    inputShape,
    classes: shape.classes,
    batchSize: 4,
    type: "float32",
    random,
  });
  const start = initialTensors(buildModel(layer, { inputShape, batchSize: 4, training: true }), 1);
  const optimizer = optimizerOf(network);
  const scalars = Object.fromEntries(Object.keys(optimizer.scalars).map((name) => [name, 0.05]));
  return {
    graph: trainingStep(sample.objective, optimizer),
    tensors: { ...start, ...initialState(sample.objective, optimizer, start) },
    feeds: () => ({ ...sample.batch(), ...scalarInputs({ learningRate: 0.05, scalars }, "float32") }),
  };
}

/** Asserts that a device's steps are the CPU's: the losses to 1e-5, and what comes of them to 1e-3. */
export function assertSameSteps(device: Steps, cpu: Steps): void {
  assert.equal(device.losses.length, cpu.losses.length);
  for (const [index, loss] of cpu.losses.entries()) {
    const difference = Math.abs(device.losses[index] - loss);
    assert.ok(difference <= 1e-5, `loss of step ${index + 1}: ${device.losses[index]}, on the CPU ${loss}`);
  }
  assert.deepEqual(Object.keys(device.tensors).sort(), Object.keys(cpu.tensors).sort());
  for (const [name, numbers] of Object.entries(cpu.tensors))
    assertClose(device.tensors[name], numbers, 1e-3, name);
}
