import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { UserError } from "../common/errors.ts";
import { type Device, deviceTargets, type Target } from "../lower/target.ts";
import { readModel } from "../onnx/model.ts";
import type { GraphProto } from "../onnx/onnx_pb.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { type DataType, dataTypeNumber } from "../onnx/types.ts";
import {
  type Engine,
  type EngineOptions,
  nextSuffix,
  type RunOptions,
  type RunResult,
  type Tensors,
} from "./engine.ts";
import type { DeviceRuntime } from "./gpu-engine.ts";
import { type ProbedSession, probeTarget } from "./probe.ts";
import { Turns } from "./turns.ts";

// The only file that knows ONNX Runtime.

interface Program {
  session: InferenceSession;
  /** Outputs that replace a stored tensor, with that tensor's name. */
  next: readonly { output: string; stored: string }[];
  /** The other outputs. */
  results: readonly string[];
}

/**
 * A stored tensor and the memory its next value is written to; the two change places after a step. Memory that came
 * with `write` is not the engine's own: it is read, never written.
 */
interface Slot {
  current: Tensor;
  own: boolean;
  spare?: Tensor;
}

/** For an engine on the calling thread. On WebGPU it is a `GpuEngine` on {@link webGpuRuntime}. */
export type LocalEngineOptions = Omit<EngineOptions, "device"> & {
  threads: number;
  device?: Exclude<Device, "webgpu">;
};

/** An engine on the calling thread, which `run` blocks. Its store is in the processor's memory. */
export class OnnxRuntimeEngine implements Engine {
  private readonly programs = new Map<string, Program>();
  private readonly store = new Map<string, Slot>();
  private readonly options: Required<LocalEngineOptions>;
  private probed: Promise<Target> | undefined;
  private readonly turns = new Turns();

  constructor({ device = "cpu", threads, fuse = true, exactIntegers = true }: LocalEngineOptions) {
    this.options = { device, threads, fuse, exactIntegers };
  }

  target(): Promise<Target> {
    return this.turns.take(() => {
      const { device } = this.options;
      if (device !== "cpu") return deviceTargets[device];
      this.probed ??= probeTarget((model) => this.openForProbe(model));
      return this.probed;
    });
  }

  load(name: string, model: Uint8Array | string): Promise<void> {
    return this.turns.take(() => this.loadNow(name, model));
  }

  write(tensors: Tensors): Promise<void> {
    return this.turns.take(() => {
      for (const [name, data] of Object.entries(tensors)) {
        this.store.set(name, { current: toTensor(data), own: false });
      }
    });
  }

  read(names?: readonly string[]): Promise<Tensors> {
    return this.turns.take(() =>
      Object.fromEntries(
        (names ?? [...this.store.keys()]).map((name) => [name, copyOf(this.slot(name).current)]),
      ),
    );
  }

  run(program: string, feeds: Tensors = {}, options: RunOptions = {}): Promise<RunResult> {
    return this.turns.take(() => this.runNow(program, feeds, options));
  }

  close(): Promise<void> {
    return this.turns.end(async () => {
      for (const { session } of this.programs.values()) await session.release();
      this.programs.clear();
      this.store.clear();
    });
  }

  private createSession(model: Uint8Array | string): Promise<InferenceSession> {
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
        const inputs = Object.entries(feeds).map(([name, data]) => [name, toTensor(data)]);
        const outputs = await session.run(Object.fromEntries(inputs));
        return Object.fromEntries(
          Object.entries(outputs).map(([name, value]) => [name, toTensorData(value)]),
        );
      },
      release: () => session.release(),
    };
  }

  private async loadNow(name: string, model: Uint8Array | string): Promise<void> {
    const session = await this.createSession(model);
    const isNext = (output: string) => output.endsWith(nextSuffix);
    const replaced = this.programs.get(name);
    this.programs.set(name, {
      session,
      next: session.outputNames
        .filter(isNext)
        .map((output) => ({ output, stored: output.slice(0, -nextSuffix.length) })),
      results: session.outputNames.filter((output) => !isNext(output)),
    });
    await replaced?.session.release();
  }

  private async runNow(
    name: string,
    feeds: Tensors,
    { advance = false, stored: storedNames = {} }: RunOptions,
  ): Promise<RunResult> {
    const program = this.programs.get(name);
    if (!program) throw new Error(`no program "${name}" is loaded`);
    const nameInStore = (own: string) => storedNames[own] ?? own;
    const inputs: Record<string, Tensor> = {};
    for (const input of program.session.inputNames) {
      inputs[input] = feeds[input] ? toTensor(feeds[input]) : this.slot(nameInStore(input)).current;
    }
    const replaced = advance
      ? program.next.map(({ output, stored }) => ({ output, key: nameInStore(stored) }))
      : [];
    const fetches: Record<string, Tensor | null> = {};
    for (const output of program.results) fetches[output] = null;
    for (const { output, key } of replaced) {
      const slot = this.store.get(key);
      fetches[output] = slot ? spareOf(slot) : null;
    }
    const raw = await program.session.run(inputs, fetches);
    const outputs = Object.fromEntries(program.results.map((output) => [output, toTensorData(raw[output])]));
    const nexts = replaced.map(({ output, key }) => {
      const slot = this.store.get(key);
      return { key, slot, next: slot ? slot.spare! : raw[output] };
    });
    const advanced =
      advance &&
      Object.values(outputs).every(({ shape, data }) => shape.length > 0 || allFinite(data)) &&
      nexts.every(({ next }) => allFinite(next.data));
    if (advanced) {
      for (const { key, slot, next } of nexts) {
        const spare = slot?.own ? slot.current : undefined;
        this.store.set(key, { current: next, own: true, spare });
      }
    }
    return { outputs, advanced };
  }

  private slot(name: string): Slot {
    const slot = this.store.get(name);
    if (!slot) throw new Error(`"${name}" is neither an input of the run nor stored`);
    return slot;
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
    toTensor,
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
  provider: Pick<InferenceSession.SessionOptions, "executionProviders" | "preferredOutputLocation">,
): Promise<InferenceSession> {
  const isPath = typeof model === "string";
  const fused = isInFloat64(isPath ? await readFile(model) : model) ? "basic" : "all";
  const options: InferenceSession.SessionOptions = {
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    // A plan for all results would lie beside the memory of the first run: twice as much at the same speed.
    enableMemPattern: false,
    logSeverityLevel: 3,
    graphOptimizationLevel: fuse ? fused : "disabled",
    extra: { session: { x64quantprecision: exactIntegers ? "1" : "0" } },
    ...provider,
  };
  return isPath ? InferenceSession.create(model, options) : InferenceSession.create(model, options);
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

/** Whether a model takes or gives float64. Of bytes that are no model ONNX Runtime says what is wrong with them. */
function isInFloat64(model: Uint8Array): boolean {
  let graph: GraphProto | undefined;
  try {
    ({ graph } = readModel(model));
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
  return [...(graph?.input ?? []), ...(graph?.output ?? [])].some(
    ({ type }) =>
      type?.value.case === "tensorType" && type.value.value.elemType === dataTypeNumber("float64"),
  );
}

function toTensor({ type, shape, data }: TensorData): Tensor {
  return new Tensor(type as Tensor.Type, data as Tensor.DataType, shape);
}

function toTensorData(tensor: Tensor): TensorData {
  const { type, dims, data } = tensor;
  // Where JavaScript has Float16Array, ONNX Runtime gives one; tensors here hold the bits.
  const isFloat16Array = type === "float16" && !(data instanceof Uint16Array);
  const { buffer, byteOffset, length } = data as unknown as Uint16Array<ArrayBuffer>;
  const own = isFloat16Array ? new Uint16Array(buffer, byteOffset, length) : data;
  return { type: type as DataType, shape: dims, data: own as TensorData["data"] };
}

function copyOf(tensor: Tensor): TensorData {
  const { type, shape, data } = toTensorData(tensor);
  return { type, shape, data: data.slice() as TensorData["data"] };
}

function spareOf(slot: Slot): Tensor {
  if (!slot.spare) {
    const { type, dims, data } = slot.current;
    slot.spare = new Tensor(type, (data as Float32Array).slice(), dims);
  }
  return slot.spare;
}

/** Whether no element is infinite or NaN: a float32 is when all eight bits of its exponent are set. */
function allFinite(data: Tensor["data"] | TensorData["data"]): boolean {
  if (data instanceof Float32Array) {
    const bits = new Uint32Array(data.buffer, data.byteOffset, data.length);
    for (let index = 0; index < bits.length; index++) {
      if ((bits[index] & 0x7f800000) === 0x7f800000) return false;
    }
    return true;
  }
  return !(data instanceof Float64Array) || data.every(Number.isFinite);
}
