import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { median } from "../common/numbers.ts";
import { type Device, deviceTargets, type Target } from "../lower/target.ts";
import { readModel } from "../onnx/model.ts";
import type { EngineOptions, Tensors } from "./engine.ts";
import { isInFloat64 } from "./float64.ts";
import type { DeviceRuntime } from "./gpu-engine.ts";
import { integerProbe } from "./integer-probe.ts";
import { type ProbedSession, probeTarget } from "./probe.ts";
import { type NodeTime, nodeTimes, type ProfilerEvent } from "./profile.ts";
import {
  copyOf,
  type Runtime,
  SessionEngine,
  toTensor,
  toTensorData,
  withoutFaultyFusion,
} from "./session-engine.ts";

// The only file that loads ONNX Runtime in Node.

/** For an engine on the calling thread. On WebGPU it is a `GpuEngine` on {@link webGpuRuntime}. */
export type LocalEngineOptions = Omit<EngineOptions, "device"> & {
  threads: number;
  device?: Exclude<Device, "webgpu">;
};

/** An engine on the calling thread, which `run` blocks. Its store is in the processor's memory. */
export class OnnxRuntimeEngine extends SessionEngine {
  protected override readonly fillsMemory = true;
  private readonly options: Required<LocalEngineOptions>;
  private probed: Promise<Target> | undefined;

  constructor({ device = "cpu", threads, fuse = true, exactIntegers = true }: LocalEngineOptions) {
    super();
    this.options = { device, threads, fuse, exactIntegers };
  }

  protected override async runtime(): Promise<Runtime> {
    return { Tensor };
  }

  protected override async probe(): Promise<Target> {
    const { device } = this.options;
    if (device !== "cpu") return deviceTargets[device];
    this.probed ??= probeTarget((model) => this.openForProbe(model));
    return { ...(await this.probed), freesMemory: true };
  }

  protected override createSession(model: Uint8Array | string): Promise<InferenceSession> {
    const { device } = this.options;
    const provider = device === "cpu" ? {} : { executionProviders: [device] };
    return createSession(model, this.options, provider);
  }

  private async openForProbe(model: Uint8Array): Promise<ProbedSession> {
    const session = await this.createSession(model);
    const [output] = session.outputMetadata;
    return {
      outputShape: output.isTensor ? output.shape : [],
      run: async (feeds) => {
        const inputs = Object.entries(feeds).map(([name, data]) => [name, toTensor({ Tensor }, data)]);
        const outputs = await session.run(Object.fromEntries(inputs));
        return Object.fromEntries(
          Object.entries(outputs).map(([name, value]) => [name, toTensorData(value)]),
        );
      },
      release: () => session.release(),
    };
  }
}

/** ONNX Runtime on WebGPU: through Vulkan, Metal or Direct3D 12. Its calls block the calling thread. */
export function webGpuRuntime(options: Pick<LocalEngineOptions, "threads" | "fuse">): DeviceRuntime {
  const { threads, fuse = true } = options;
  return {
    open: async (model, staysOnDevice) => {
      const outputs =
        readModel(typeof model === "string" ? await readFile(model) : model).graph?.output ?? [];
      const staying = outputs.filter(({ name }) => staysOnDevice(name));
      const session = await createSession(
        model,
        { threads, fuse, exactIntegers: true },
        {
          executionProviders: ["webgpu"],
          preferredOutputLocation: Object.fromEntries(staying.map(({ name }) => [name, "gpu-buffer"])),
        },
      );
      return {
        inputNames: session.inputNames,
        outputNames: session.outputNames,
        run: (feeds) => session.run(feeds as Record<string, Tensor>),
        release: () => session.release(),
      };
    },
    toTensor: (data) => toTensor({ Tensor }, data),
    toData: (tensor) => copyOf(tensor as Tensor),
  };
}

/**
 * Compiles a model. ONNX Runtime's further optimizations keep a constant factor of a matrix product as a float32
 * (MatMulScaleFusion), which would take half of the digits of float64, so models in float64 do without them.
 */
async function createSession(
  model: Uint8Array | string,
  { threads, fuse, exactIntegers }: Required<Omit<LocalEngineOptions, "device">>,
  more: Pick<
    InferenceSession.SessionOptions,
    "executionProviders" | "preferredOutputLocation" | "enableProfiling" | "profileFilePrefix"
  >,
): Promise<InferenceSession> {
  const isPath = typeof model === "string";
  const fused = isInFloat64(isPath ? await readFile(model) : model) ? "basic" : "all";
  // The slower kernels take twice as long, so they are left where the faster ones are exact too.
  const isSlower = exactIntegers && (await doFasterKernelsSaturate());
  const options: InferenceSession.SessionOptions = {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    // A plan for all results would lie beside the memory of the first run: twice as much at the same speed.
    enableMemPattern: false,
    logSeverityLevel: 3,
    graphOptimizationLevel: fuse ? fused : "disabled",
    extra: { session: { x64quantprecision: isSlower ? "1" : "0" }, ...withoutFaultyFusion },
    ...more,
  };
  return isPath ? InferenceSession.create(model, options) : InferenceSession.create(model, options);
}

let saturating: Promise<boolean> | undefined;

/** Whether the faster kernels for 8-bit integers saturate on this processor; tried once. */
function doFasterKernelsSaturate(): Promise<boolean> {
  saturating ??= (async () => {
    const session = await InferenceSession.create(integerProbe.model(), {
      intraOpNumThreads: 1,
      logSeverityLevel: 3,
    });
    try {
      const { y } = await session.run({ x: toTensor({ Tensor }, integerProbe.inputs().x) });
      return !integerProbe.isExact(toTensorData(y));
    } finally {
      await session.release();
    }
  })();
  return saturating;
}

export interface ProfileOptions {
  threads: number;
  /** Runs that are not counted, then those that are. */
  warmUp: number;
  rounds: number;
  signal?: AbortSignal;
  onRound?: (done: number, total: number) => void;
}

export interface ProgramProfile {
  /** Of a whole run, with the profiler on. */
  milliseconds: number;
  nodes: NodeTime[];
}

/**
 * How long each node of a model takes, by ONNX Runtime's profiler: the median over some runs. Nodes are those that ONNX
 * Runtime makes of the model's, under their names where it keeps them. Blocks the calling thread run by run.
 * @param inputs all that the model has; further tensors are left out
 */
export async function profileProgram(
  model: Uint8Array,
  inputs: Tensors,
  { threads, warmUp, rounds, signal, onRound }: ProfileOptions,
): Promise<ProgramProfile> {
  const folder = await mkdtemp(join(tmpdir(), "lowland-"));
  try {
    const session = await createSession(
      model,
      { threads, fuse: true, exactIntegers: true },
      { enableProfiling: true, profileFilePrefix: join(folder, "profile") },
    );
    const milliseconds: number[] = [];
    try {
      const feeds = Object.fromEntries(
        session.inputNames.map((name) => [name, toTensor({ Tensor }, inputs[name])]),
      );
      for (let run = 1; run <= warmUp + rounds; run++) {
        signal?.throwIfAborted();
        const started = performance.now();
        await session.run(feeds);
        if (run > warmUp) milliseconds.push(performance.now() - started);
        onRound?.(run, warmUp + rounds);
      }
    } finally {
      session.endProfiling();
      await session.release();
    }
    const [file] = await readdir(folder);
    const events: ProfilerEvent[] = JSON.parse(await readFile(join(folder, file), "utf8"));
    return { milliseconds: median(milliseconds), nodes: nodeTimes(events, warmUp + rounds, warmUp) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The operators that ONNX Runtime makes of a model, in their order. */
export async function fusedOperators(model: Uint8Array): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), "lowland-"));
  try {
    const optimizedModelFilePath = join(folder, "fused.onnx");
    const session = await InferenceSession.create(model, { optimizedModelFilePath, logSeverityLevel: 4 });
    await session.release();
    const { graph } = readModel(await readFile(optimizedModelFilePath));
    return (graph?.node ?? []).map(({ opType }) => opType);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
