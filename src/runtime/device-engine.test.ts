import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { UserError } from "../common/errors.ts";
import { randomStream } from "../common/random.ts";
import { Graph } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { mul } from "../ops/arithmetic.ts";
import { argMax, reduceSum } from "../ops/reduction.ts";
import { scalarInputs } from "../optim/scalars.ts";
import { sgd } from "../optim/sgd.ts";
import { initialState } from "../optim/state.ts";
import { trainingStep } from "../optim/training-step.ts";
import { openDevice } from "../platform/open-device.ts";
import { using } from "../testing/engines.ts";
import { faultyDevice } from "../testing/faulty-device.ts";
import { randomSample } from "../testing/networks.ts";
import { DeviceEngine } from "./device-engine.ts";
import type { Engine, RunResult, Tensors } from "./engine.ts";
import { OnnxRuntimeEngine } from "./onnxruntime.ts";
import { readProbe } from "./probe-device.ts";
import type { Trial } from "./proof.ts";
import { copied, DeviceError } from "./proving-engine.ts";

// A device is played by the CPU, with faults of its own.

function deviceEngine(
  device: Engine,
  options: { mustBeFaster?: boolean; notes?: string[] } = {},
): DeviceEngine {
  return new DeviceEngine({
    record: { name: "webgpu", adapter: "a GPU" },
    device,
    openCpu: () => new OnnxRuntimeEngine({ threads: 1 }),
    onNote: (note) => options.notes?.push(note),
    mustBeFaster: options.mustBeFaster,
  });
}

function trial(): Trial {
  const { objective, start, batch } = randomSample("mlp with BatchNorm", "float32", randomStream(4, "trial"));
  const optimizer = sgd({ momentum: 0.9 });
  const feeds = { ...batch(), ...scalarInputs({ learningRate: 0.1, scalars: {} }, "float32") };
  return {
    steps: [{ step: "step", graph: trainingStep(objective, optimizer) }],
    tensors: { ...start, ...initialState(objective, optimizer, start) },
    feeds: () => copied(feeds),
  };
}

const times =
  (factor: number, output: string) =>
  ({ outputs, ...rest }: RunResult): RunResult => ({
    ...rest,
    outputs: { ...outputs, [output]: tensorData([Number(outputs[output].data[0]) * factor], [], "float32") },
  });

describe("a device proves itself with a training step", () => {
  const faultOf = async (device: Engine, options = {}) => {
    let fault: string | undefined;
    await using(deviceEngine(device, options), async (engine) => {
      fault = await (engine as DeviceEngine).prove(trial());
    });
    return fault;
  };

  test("that is the CPU's to 1e-4", async () => {
    assert.equal(await faultOf(faultyDevice()), undefined);
    assert.equal(await faultOf(faultyDevice({ result: times(1 + 5e-5, "loss") })), undefined);
    assert.match(
      (await faultOf(faultyDevice({ result: times(1.0003, "loss") }))) ?? "",
      /^webgpu \(a GPU\) computes a training step wrong: its loss is [\d.]+, and on the CPU [\d.]+$/,
    );
    assert.match(
      (await faultOf(faultyDevice({ result: times(0.999, "direction_norm") }))) ?? "",
      /the norm of its direction is/,
    );
    assert.match(
      (await faultOf(faultyDevice({ result: times(Number.NaN, "loss") }))) ?? "",
      /its loss is NaN/,
    );
  });

  test("with the weights and statistics after it", async () => {
    const stored = (tensors: Tensors) => {
      const [name] = Object.keys(tensors).filter((each) => each.endsWith("weight"));
      const data = Float32Array.from(tensors[name].data as Float32Array, (value) => value + 0.1);
      return { ...tensors, [name]: { ...tensors[name], data } } as Tensors;
    };
    assert.match(
      (await faultOf(faultyDevice({ stored }))) ?? "",
      /its change of weights and state differs from the CPU's by [\d.]+ %/,
    );
    const result = (right: RunResult) => ({ ...right, advanced: false });
    assert.match(
      (await faultOf(faultyDevice({ result }))) ?? "",
      /its next weights are not finite, and on the CPU they are$/,
    );
  });

  test("or says why it cannot take one", async () => {
    const result = () => Promise.reject(new Error("trainingMode is not supported yet"));
    const fault = await faultOf(faultyDevice({ result }));
    assert.equal(fault, "webgpu (a GPU) cannot take a training step: trainingMode is not supported yet");
  });

  test("and, where it was not asked for, faster than the CPU", async () => {
    const result = async (right: RunResult) => {
      await new Promise((resolve) => setTimeout(resolve, 60));
      return right;
    };
    assert.equal(await faultOf(faultyDevice({ result })), undefined);
    const fault = await faultOf(faultyDevice({ result }), { mustBeFaster: true });
    assert.match(
      fault ?? "",
      /^webgpu \(a GPU\) takes \d{2,}[\d.]* ms for a training step, and the CPU [\d.]+ ms$/,
    );
  });

  test("after which the store is as before", async () => {
    const given = trial();
    await using(deviceEngine(faultyDevice()), async (engine) => {
      await (engine as DeviceEngine).prove(given);
      assert.deepEqual(await engine.read(Object.keys(given.tensors)), given.tensors);
      const { advanced } = await engine.run("step", given.feeds("step"), { advance: true });
      assert.ok(advanced);
    });
  });
});

describe("programs beside the steps", () => {
  /** The sum and the place of the largest of x·w, with w stored. */
  const evaluation = () => {
    const graph = new Graph();
    const product = mul(graph.input("x", "float32", [2, 3]), graph.input("w", "float32", [3]));
    graph.output("sum", reduceSum(product));
    graph.output("class", argMax(product, 1));
    return compile(graph);
  };
  const x = () => ({ x: tensorData([1, 2, 3, 6, 5, 4], [2, 3], "float32") });
  const weights = (...values: number[]) => ({ w: tensorData(values, [3], "float32") });

  test("run on the device where it agrees with the CPU", async () => {
    const notes: string[] = [];
    let runs = 0;
    const result = (right: RunResult) => {
      runs++;
      return right;
    };
    await using(deviceEngine(faultyDevice({ result }), { notes }), async (engine) => {
      await engine.load("test", evaluation());
      await engine.write(weights(1, 1, 1));
      for (let run = 0; run < 3; run++) assert.equal((await engine.run("test", x())).outputs.sum.data[0], 21);
    });
    assert.equal(runs, 4);
    assert.deepEqual(notes, []);
  });

  for (const [name, result, fault] of [
    ["computes wrong", times(1.01, "sum"), 'computes sum of "test" wrong'],
    ["cannot run", () => Promise.reject(new Error("no kernel")), 'cannot run "test": no kernel'],
  ] as const) {
    test(`run on the CPU where the device ${name}, with the weights of the device`, async () => {
      const notes: string[] = [];
      await using(deviceEngine(faultyDevice({ result }), { notes }), async (engine) => {
        await engine.load("test", evaluation());
        await engine.write(weights(1, 1, 1));
        assert.equal((await engine.run("test", x())).outputs.sum.data[0], 21);
        await engine.write(weights(0, 0, 2));
        const { outputs } = await engine.run("test", x());
        assert.equal(outputs.sum.data[0], 14);
        assert.deepEqual([...outputs.class.data], [2n, 2n]);
      });
      assert.deepEqual(notes, [`webgpu (a GPU) ${fault}; it runs on the CPU`]);
    });
  }
});

test("a device that fails says so, and the CPU goes on with the tensors given", async () => {
  const given = trial();
  let lost = false;
  const result = (right: RunResult) => (lost ? Promise.reject(new Error("device lost")) : right);
  await using(deviceEngine(faultyDevice({ result })), async (opened) => {
    const engine = opened as DeviceEngine;
    assert.equal(await engine.prove(given), undefined);
    assert.deepEqual(engine.where, { name: "webgpu", adapter: "a GPU" });
    lost = true;
    await assert.rejects(
      engine.run("step", given.feeds("step"), { advance: true }),
      (error) => error instanceof DeviceError && error.message === "webgpu (a GPU) failed: device lost",
    );
    await engine.fallBack("it was lost", given.tensors);
    assert.deepEqual(engine.where, { name: "cpu", reason: "it was lost" });
    const [{ step, graph }] = given.steps;
    await engine.load(step, compile(graph, { target: await engine.target() }));
    assert.ok((await engine.run(step, given.feeds(step), { advance: true })).advanced);
  });
});

describe("opening a device", () => {
  const open = () => new OnnxRuntimeEngine({ threads: 1 });
  const failing = { opened: false, reason: "it is not there", advice: "install it" } as const;

  test("that cannot be opened is refused, with what to do", async () => {
    await assert.rejects(
      openDevice("webgpu", { open, probe: async () => failing }),
      new UserError('device: it is not there; install it, or train with device "cpu"'),
    );
  });

  test("by choice takes the first that can be opened, or the CPU and says why", async () => {
    const notes: string[] = [];
    const onNote = (note: string) => notes.push(note);
    const probe = async (device: string) =>
      device === "cuda" ? failing : ({ opened: true, adapter: "a GPU" } as const);
    const engine = await openDevice("auto", { open, probe, onNote });
    assert.ok(engine instanceof DeviceEngine);
    assert.deepEqual(engine.where, { name: "webgpu", adapter: "a GPU" });
    await engine.close();
    assert.deepEqual(notes, []);
    const cpu = await openDevice("auto", { open, probe: async () => failing, onNote });
    assert.ok(!(cpu instanceof DeviceEngine));
    await cpu.close();
    assert.deepEqual(notes, [
      "device: no GPU can be used, so training runs on the CPU (it is not there; it is not there)",
    ]);
  });

  test("names the adapter, or what is missing", () => {
    const opened = JSON.stringify({ opened: true });
    const stderr =
      '[Vulkan Loader] DRIVER:                Using "SwiftShader Device (Subzero)" with driver: "/x.so"\n';
    assert.deepEqual(readProbe("webgpu", { stdout: opened, stderr }), {
      opened: true,
      adapter: "SwiftShader Device (Subzero)",
    });
    assert.deepEqual(readProbe("webgpu", { stdout: opened, stderr: "" }), { opened: true });
    const reasonOf = (device: "webgpu" | "cuda", said: string, log: string, ended?: string) => {
      const probed = readProbe(device, { stdout: said, stderr: log, ended });
      assert.ok(!probed.opened && probed.advice !== "");
      return probed.reason;
    };
    // As ONNX Runtime 1.30, Vulkan's loader and the operating system say it.
    const noAdapter = JSON.stringify({
      error: "webgpu_context.cc:136 … was false. Failed to get a WebGPU adapter: No supported adapters\n",
    });
    const loader =
      "Warning: Couldn't load Vulkan: libvulkan.so.1: cannot open shared object file: No such file or directory\n";
    assert.match(reasonOf("webgpu", noAdapter, loader), /libvulkan\.so\.1 is missing$/);
    assert.match(
      reasonOf("webgpu", noAdapter, "[Vulkan Loader] ERROR | DRIVER: vkCreateInstance: Found no drivers!"),
      /the Vulkan loader found no driver$/,
    );
    assert.match(
      reasonOf("webgpu", noAdapter, ""),
      /^webgpu found no graphics adapter through .+: No supported adapters$/,
    );
    assert.match(
      reasonOf("webgpu", "", "", "SIGABRT"),
      /its driver ended the process that opened it \(SIGABRT\)$/,
    );
    const failed = JSON.stringify({
      error: "OrtSessionOptionsAppendExecutionProvider_Cuda: Failed to load shared library",
    });
    const line = (library: string, why: string) =>
      `[E:onnxruntime] … : 1 : FAIL : Failed to load library ${library} with error: ${why}\n`;
    const notFound = "cannot open shared object file: No such file or directory";
    const shared = "/lib/libonnxruntime_providers_shared.so";
    assert.equal(
      reasonOf("cuda", failed, line(shared, `${shared}: ${notFound}`)),
      `cuda could not be opened: ${shared} is missing`,
    );
    assert.equal(
      reasonOf("cuda", failed, line("/lib/libonnxruntime_providers_cuda.so", `libcudnn.so.9: ${notFound}`)),
      "cuda could not be opened: libcudnn.so.9 is missing",
    );
    assert.match(
      reasonOf("cuda", JSON.stringify({ error: "CUDA failure 35: driver too old\n at x" }), ""),
      /CUDA failure 35: driver too old$/,
    );
  });
});
