import { InferenceSession, Tensor } from "onnxruntime-node";
import type { TensorData } from "../onnx/tensor.ts";
import type { DataType } from "../onnx/types.ts";
import { type Engine, nextSuffix, type RunOptions, type RunResult, type Tensors } from "./engine.ts";

// The only file that knows ONNX Runtime.

interface Program {
  session: InferenceSession;
  /** Outputs that replace a stored tensor, with that tensor's name. */
  next: readonly { output: string; stored: string }[];
  /** The other outputs. */
  results: readonly string[];
}

/** A stored tensor and the memory its next value is written to; the two change places after a step. */
interface Slot {
  current: Tensor;
  spare?: Tensor;
}

/** An engine on the calling thread, which `run` blocks. */
export class OnnxRuntimeEngine implements Engine {
  private readonly programs = new Map<string, Program>();
  private readonly store = new Map<string, Slot>();
  private readonly threads: number;

  constructor({ threads }: { threads: number }) {
    this.threads = threads;
  }

  async load(name: string, model: Uint8Array): Promise<void> {
    await this.programs.get(name)?.session.release();
    const session = await InferenceSession.create(model, {
      intraOpNumThreads: this.threads,
      interOpNumThreads: 1,
      logSeverityLevel: 3,
    });
    const isNext = (output: string) => output.endsWith(nextSuffix);
    this.programs.set(name, {
      session,
      next: session.outputNames
        .filter(isNext)
        .map((output) => ({ output, stored: output.slice(0, -nextSuffix.length) })),
      results: session.outputNames.filter((output) => !isNext(output)),
    });
  }

  async write(tensors: Tensors): Promise<void> {
    for (const [name, data] of Object.entries(tensors)) this.store.set(name, { current: toTensor(data) });
  }

  async read(names: readonly string[] = [...this.store.keys()]): Promise<Tensors> {
    return Object.fromEntries(names.map((name) => [name, copyOf(this.slot(name).current)]));
  }

  async run(name: string, feeds: Tensors = {}, { advance = false }: RunOptions = {}): Promise<RunResult> {
    const program = this.programs.get(name);
    if (!program) throw new Error(`no program "${name}" is loaded`);
    const inputs: Record<string, Tensor> = {};
    for (const input of program.session.inputNames) {
      inputs[input] = feeds[input] ? toTensor(feeds[input]) : this.slot(input).current;
    }
    const fetches: Record<string, Tensor | null> = {};
    for (const output of program.results) fetches[output] = null;
    if (advance) for (const { output, stored } of program.next) fetches[output] = spareOf(this.slot(stored));
    const raw = await program.session.run(inputs, fetches);
    const outputs = Object.fromEntries(program.results.map((output) => [output, toTensorData(raw[output])]));
    const advanced = advance && Object.values(outputs).every(isFiniteScalar);
    if (advanced) {
      for (const { stored } of program.next) {
        const slot = this.slot(stored);
        [slot.current, slot.spare] = [slot.spare!, slot.current];
      }
    }
    return { outputs, advanced };
  }

  async close(): Promise<void> {
    for (const { session } of this.programs.values()) await session.release();
    this.programs.clear();
    this.store.clear();
  }

  private slot(name: string): Slot {
    const slot = this.store.get(name);
    if (!slot) throw new Error(`"${name}" is neither fed nor stored`);
    return slot;
  }
}

function toTensor({ type, shape, data }: TensorData): Tensor {
  return new Tensor(type as Tensor.Type, data as Tensor.DataType, shape);
}

function toTensorData(tensor: Tensor): TensorData {
  return { type: tensor.type as DataType, shape: tensor.dims, data: tensor.data as TensorData["data"] };
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

function isFiniteScalar({ shape, data }: TensorData): boolean {
  return shape.length > 0 || typeof data[0] !== "number" || Number.isFinite(data[0]);
}
