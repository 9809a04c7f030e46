import { InferenceSession } from "onnxruntime-node";
import { randomStream } from "../common/random.ts";
import { Graph } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { deviceTargets } from "../lower/target.ts";
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
import { tensorData } from "../onnx/tensor-data.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { reduceSum } from "../ops/reduction.ts";
import { bilateralSam } from "../optim/bilateral-sam.ts";
import { scalarInputs } from "../optim/scalars.ts";
import { sgd } from "../optim/sgd.ts";
import { initialState } from "../optim/state.ts";
import { trainingStep } from "../optim/training-step.ts";
import type { Engine, Tensors } from "../runtime/engine.ts";
import { GpuEngine } from "../runtime/gpu-engine.ts";
import { OnnxRuntimeEngine, webGpuRuntime } from "../runtime/onnxruntime.ts";
import { proveSteps } from "../runtime/proof.ts";
import { copied } from "../runtime/proving-engine.ts";
import { sampleOf } from "./networks.ts";

// A process on SwiftShader (`swiftshader.ts`): its arguments name a job, its standard output is the result as JSON.

/** What three steps come to. */
export interface Steps {
  losses: number[];
  /** All weights, state and statistics after them. */
  tensors: Record<string, number[]>;
}

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
/** Bilateral SAM on one of them: its steps are three times as large. */
const optimizerOf = (network: string) =>
  network === "mlp" ? bilateralSam(sgd({ momentum: 0.9 }), { rhoMax: 0.05 }) : sgd({ momentum: 0.9 });

const webGpu = () => new GpuEngine(webGpuRuntime({ threads: 1 }), deviceTargets.webgpu);

function trialOf(network: string) {
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

async function takeSteps(
  engine: Engine,
  program: Uint8Array,
  tensors: Tensors,
  batches: readonly Tensors[],
): Promise<Steps> {
  await engine.load("step", program);
  await engine.write(tensors);
  const losses = [];
  for (const batch of batches) {
    const { outputs, advanced } = await engine.run("step", copied(batch), { advance: true });
    if (!advanced) throw new Error("the step is not finite");
    losses.push(Number(outputs.loss.data[0]));
  }
  const after = Object.entries(await engine.read()).map(([name, { data }]) => [
    name,
    Array.from(data, Number),
  ]);
  await engine.close();
  return { losses, tensors: Object.fromEntries(after) };
}

const jobs: Readonly<Record<string, (...args: string[]) => Promise<unknown>>> = {
  /** A small program's runs, and what is stored after them. */
  engine: async () => {
    const graph = new Graph();
    const [x, a] = ["x", "a"].map((name) => graph.input(name, "float32", [3]));
    graph.output("x.next", mul(add(x, a), 2));
    graph.output("sum", reduceSum(x));
    const vector = (...values: number[]) => tensorData(values, [3], "float32");
    const engine = webGpu();
    await engine.load("step", compile(graph, { target: await engine.target() }));
    await engine.write({ x: vector(1, 2, 3), count: tensorData([7], [], "int64") });
    const runs = [];
    for (const [added, advance] of [
      [1, true],
      [Number.NaN, true],
      [5, false],
      [0, true],
    ] as const) {
      const { outputs, advanced } = await engine.run("step", { a: vector(added, 0, 0) }, { advance });
      runs.push({ outputs: Object.keys(outputs), sum: Number(outputs.sum.data[0]), advanced });
    }
    const stored = await engine.read();
    await engine.close();
    return { runs, x: Array.from(stored.x.data, Number), count: Number(stored.count.data[0]) };
  },
  /** Three steps on the processor, as it would take them, and on the device. ONNX Runtime logs where it places the nodes. */
  steps: async (network) => {
    const { graph, tensors, feeds } = trialOf(network);
    const batches = [feeds(), feeds(), feeds()];
    const cpu = new OnnxRuntimeEngine({ threads: 1 });
    const plain = compile(graph, { target: await cpu.target() });
    const program = compile(graph, { target: deviceTargets.webgpu });
    const providers = { executionProviders: ["webgpu"], logSeverityLevel: 0 as const };
    await (await InferenceSession.create(program, providers)).release();
    return {
      cpu: await takeSteps(cpu, plain, tensors, batches),
      webgpu: await takeSteps(webGpu(), program, tensors, batches),
    };
  },
  /** Whether a step passes that is compiled as if the device's convolution were right for all numbers of channels. */
  proof: async (network, wrong) => {
    const { graph, tensors, feeds } = trialOf(network);
    const device = webGpu();
    const batch = feeds();
    if (wrong) {
      const { lacks = [], ...target } = deviceTargets.webgpu;
      device.target = async () => ({ ...target, lacks: lacks.filter((lack) => lack !== "channel-triples") });
    }
    const cpu = new OnnxRuntimeEngine({ threads: 1 });
    const trial = { steps: [{ step: "step", graph }], tensors, feeds: () => copied(batch) };
    const fault = await proveSteps(device, cpu, trial);
    await cpu.close();
    await device.close();
    return fault ?? "passed";
  },
};

const [job, ...args] = process.argv.slice(2);
process.stdout.write(JSON.stringify(await jobs[job](...args)));
