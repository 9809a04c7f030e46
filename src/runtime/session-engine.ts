import type { InferenceSession, Tensor, TensorConstructor } from "onnxruntime-node";
import type { Target } from "../lower/target.ts";
import type { TensorData } from "../onnx/tensor.ts";
import type { DataType } from "../onnx/types.ts";
import {
  type Engine,
  loadedProgram,
  type Program,
  programOf,
  type RunOptions,
  type RunResult,
  type Tensors,
} from "./engine.ts";
import { Turns } from "./turns.ts";

// Programs and stored tensors over sessions of ONNX Runtime, whose JavaScript interface is the same in Node and in
// browsers. Nothing here is loaded from it.

/**
 * A stored tensor and the memory its next value is written to; the two change places after a step. Memory that came
 * with `write` is not the engine's own: it is read, never written.
 */
interface Slot {
  current: Tensor;
  own: boolean;
  spare?: Tensor;
}

/** What of ONNX Runtime an engine needs, however it is loaded. */
export interface Runtime {
  Tensor: TensorConstructor;
}

/** An engine on the calling thread, which `run` blocks. */
export abstract class SessionEngine implements Engine {
  private readonly programs = new Map<string, Program<InferenceSession>>();
  private readonly store = new Map<string, Slot>();
  private readonly turns: Turns;

  constructor(turns = new Turns()) {
    this.turns = turns;
  }

  /** Loaded with the first call. */
  protected abstract runtime(): Promise<Runtime>;
  protected abstract createSession(model: Uint8Array | string): Promise<InferenceSession>;
  protected abstract probe(): Promise<Target>;
  /** Whether results may be written into memory that is passed to a run. */
  protected abstract readonly fillsMemory: boolean;

  target(): Promise<Target> {
    return this.turns.take(() => this.probe());
  }

  load(name: string, model: Uint8Array | string): Promise<void> {
    return this.turns.take(() => this.loadNow(name, model));
  }

  write(tensors: Tensors): Promise<void> {
    return this.turns.take(async () => {
      const runtime = await this.runtime();
      for (const [name, data] of Object.entries(tensors)) {
        this.store.set(name, { current: toTensor(runtime, data), own: false });
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

  private async loadNow(name: string, model: Uint8Array | string): Promise<void> {
    const session = await this.createSession(model);
    const replaced = this.programs.get(name);
    this.programs.set(name, programOf(session));
    await replaced?.session.release();
  }

  private async runNow(
    name: string,
    feeds: Tensors,
    { advance = false, stored: storedNames = {} }: RunOptions,
  ): Promise<RunResult> {
    const program = loadedProgram(this.programs, name);
    const runtime = await this.runtime();
    const nameInStore = (own: string) => storedNames[own] ?? own;
    const inputs: Record<string, Tensor> = {};
    for (const input of program.session.inputNames) {
      inputs[input] = feeds[input] ? toTensor(runtime, feeds[input]) : this.slot(nameInStore(input)).current;
    }
    const replaced = advance
      ? program.next.map(({ output, stored }) => ({ output, key: nameInStore(stored) }))
      : [];
    const fetches: Record<string, Tensor | null> = {};
    for (const output of program.results) fetches[output] = null;
    for (const { output, key } of replaced) {
      const slot = this.fillsMemory ? this.store.get(key) : undefined;
      fetches[output] = slot ? spareOf(runtime, slot) : null;
    }
    const raw = await program.session.run(inputs, fetches);
    const outputs = Object.fromEntries(program.results.map((output) => [output, toTensorData(raw[output])]));
    const nexts = replaced.map(({ output, key }) => {
      const slot = this.store.get(key);
      return { key, slot, next: slot?.spare ?? raw[output] };
    });
    const advanced =
      advance &&
      Object.values(outputs).every(({ shape, data }) => shape.length > 0 || allFinite(data)) &&
      nexts.every(({ next }) => allFinite(next.data));
    if (advanced) {
      for (const { key, slot, next } of nexts) {
        const spare = this.fillsMemory && slot?.own ? slot.current : undefined;
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

/**
 * Settings that leave out one optimization of ONNX Runtime 1.30. It makes one node of a Conv with a bias and the only Add that reads
 * it, even where the Conv's result is an output of the model as well. Running that ends the process.
 */
export const withoutFaultyFusion = {
  optimization: { disable_specified_optimizers: "ConvAddActivationFusion" },
};

export function toTensor({ Tensor }: Runtime, { type, shape, data }: TensorData): Tensor {
  return new Tensor(type as Tensor.Type, data as Tensor.DataType, shape);
}

export function toTensorData(tensor: Tensor): TensorData {
  const { type, dims, data } = tensor;
  // Where JavaScript has Float16Array, ONNX Runtime gives one; tensors here hold the bits.
  const isFloat16Array = type === "float16" && !(data instanceof Uint16Array);
  const { buffer, byteOffset, length } = data as unknown as Uint16Array<ArrayBuffer>;
  const own = isFloat16Array ? new Uint16Array(buffer, byteOffset, length) : data;
  return { type: type as DataType, shape: dims, data: own as TensorData["data"] };
}

/** In memory of its own. */
export function copyOf(tensor: Tensor): TensorData {
  const { type, shape, data } = toTensorData(tensor);
  return { type, shape, data: data.slice() as TensorData["data"] };
}

function spareOf({ Tensor }: Runtime, slot: Slot): Tensor {
  if (!slot.spare) {
    const { type, dims, data } = slot.current;
    slot.spare = new Tensor(type, (data as Float32Array).slice(), dims);
  }
  return slot.spare;
}

/**
 * Whether no element is infinite or NaN: then their sum is neither, as float64 holds any sum of float32's. Every step reads all
 * weights here, so there are four sums, which do not wait for one another.
 */
function allFinite(data: Tensor["data"] | TensorData["data"]): boolean {
  if (data instanceof Float32Array) {
    const whole = data.length - (data.length % 4);
    let [a, b, c, d] = [0, 0, 0, 0];
    for (let index = 0; index < whole; index += 4) {
      a += data[index];
      b += data[index + 1];
      c += data[index + 2];
      d += data[index + 3];
    }
    for (let index = whole; index < data.length; index++) a += data[index];
    return Number.isFinite(a + b + c + d);
  }
  return !(data instanceof Float64Array) || data.every(Number.isFinite);
}
