import { InferenceSession } from "onnxruntime-node";
import { Graph } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { deviceTargets } from "../lower/target.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { reduceSum } from "../ops/reduction.ts";
import { GpuEngine } from "../runtime/gpu-engine.ts";
import { OnnxRuntimeEngine, webGpuRuntime } from "../runtime/onnxruntime.ts";
import { proveSteps } from "../runtime/proof.ts";
import { copied } from "../runtime/proving-engine.ts";
import { trialOf } from "./device-trials.ts";
import { takeSteps } from "./take-steps.ts";

// A process on SwiftShader (`swiftshader.ts`): its arguments name a job, its standard output is the result as JSON.

const webGpu = () => new GpuEngine(webGpuRuntime({ threads: 1 }), deviceTargets.webgpu);

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
