import { Graph } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { squaresName, type Target } from "../lower/target.ts";
import type { TensorData } from "../onnx/tensor.ts";
import {
  type Engine,
  isNextValue,
  loadedProgram,
  type Program,
  programOf,
  type RunOptions,
  type RunResult,
  type Tensors,
} from "./engine.ts";
import { Turns } from "./turns.ts";

/** A tensor of ONNX Runtime's. */
export interface DeviceTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly location: string;
  dispose(): void;
}

export interface DeviceSession {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** Computes all outputs: with outputs that stay on the device ONNX Runtime 1.30 for Node refuses to compute only some. */
  run(feeds: Readonly<Record<string, DeviceTensor>>): Promise<Readonly<Record<string, DeviceTensor>>>;
  release(): Promise<void>;
}

/** ONNX Runtime with WebGPU, as far as an engine needs it. It is the same in Node and in browsers. */
export interface DeviceRuntime {
  /** @param staysOnDevice whether an output stays in the device's memory, by its name */
  open(model: Uint8Array | string, staysOnDevice: (output: string) => boolean): Promise<DeviceSession>;
  toTensor(data: TensorData): DeviceTensor;
  /** The numbers of a tensor in the processor's memory, in memory of their own. */
  toData(tensor: DeviceTensor): TensorData;
}

/**
 * An engine whose store is in a device's memory: a step takes the tensors that the step before has left there, and only its
 * scalars come back. What is not float32 stays with the processor.
 *
 * A session that has made a stored tensor may not be released before it, so sessions are kept until the engine is closed.
 */
export class GpuEngine implements Engine {
  private readonly runtime: DeviceRuntime;
  private readonly stated: Target;
  private readonly programs = new Map<string, Program<DeviceSession>>();
  private readonly store = new Map<string, DeviceTensor>();
  private readonly sessions: DeviceSession[] = [];
  /** Programs that move tensors, by direction, types and shapes. */
  private readonly movers = new Map<string, DeviceSession>();
  private readonly turns = new Turns();

  constructor(runtime: DeviceRuntime, target: Target) {
    this.runtime = runtime;
    this.stated = target;
  }

  target(): Promise<Target> {
    return this.turns.take(() => this.stated);
  }

  load(name: string, model: Uint8Array | string): Promise<void> {
    return this.turns.take(async () => {
      const program = programOf(await this.open(model, isNextValue));
      const results = program.results.filter((output) => output !== squaresName);
      this.programs.set(name, { ...program, results });
    });
  }

  write(tensors: Tensors): Promise<void> {
    return this.turns.take(async () => {
      const entries = Object.entries(tensors).map(
        ([name, data]) => [name, this.runtime.toTensor(data)] as const,
      );
      const movable = entries.filter(([, { type, dims }]) => type === "float32" && !dims.includes(0));
      const moved = await this.move(
        movable.map(([, tensor]) => tensor),
        "to device",
      );
      for (const [name, tensor] of entries) this.replace(name, tensor);
      for (const [index, [name]] of movable.entries()) this.replace(name, moved[index]);
    });
  }

  read(names?: readonly string[]): Promise<Tensors> {
    return this.turns.take(async () => {
      const entries = (names ?? [...this.store.keys()]).map((name) => [name, this.stored(name)] as const);
      const away = entries.filter(([, tensor]) => isOnDevice(tensor));
      // A tensor in the device's memory is never asked for its numbers: ONNX Runtime 1.30 for Node ends the process.
      const moved = await this.move(
        away.map(([, tensor]) => tensor),
        "from device",
      );
      const numbers = new Map(away.map(([name], index) => [name, moved[index]]));
      return Object.fromEntries(
        entries.map(([name, tensor]) => [name, this.runtime.toData(numbers.get(name) ?? tensor)]),
      );
    });
  }

  run(name: string, feeds: Tensors = {}, options: RunOptions = {}): Promise<RunResult> {
    return this.turns.take(() => this.runNow(name, feeds, options));
  }

  close(): Promise<void> {
    return this.turns.end(async () => {
      for (const name of this.store.keys()) this.dispose(name);
      for (const session of this.sessions) await session.release();
    });
  }

  private async runNow(
    name: string,
    feeds: Tensors,
    { advance = false, stored: storedNames = {} }: RunOptions,
  ): Promise<RunResult> {
    const { session, next, results } = loadedProgram(this.programs, name);
    const nameInStore = (own: string) => storedNames[own] ?? own;
    const inputs = Object.fromEntries(
      session.inputNames.map((input) => [
        input,
        feeds[input] ? this.runtime.toTensor(feeds[input]) : this.stored(nameInStore(input)),
      ]),
    );
    const squares = session.outputNames.includes(squaresName);
    if (advance && next.length > 0 && !squares) {
      throw new Error(
        `program "${name}" does not say whether its next values are finite; compile it for the engine's target`,
      );
    }
    const raw = await session.run(inputs);
    const outputs = Object.fromEntries(results.map((output) => [output, this.runtime.toData(raw[output])]));
    const scalars = Object.values(outputs).filter(({ shape }) => shape.length === 0);
    if (squares) scalars.push(this.runtime.toData(raw[squaresName]));
    const advanced = advance && scalars.every(({ data }) => Number.isFinite(Number(data[0])));
    for (const { output, stored } of next) {
      if (advanced) this.replace(nameInStore(stored), raw[output]);
      else raw[output].dispose();
    }
    return { outputs, advanced };
  }

  /** Copies of tensors in the other memory. */
  private async move(
    tensors: readonly DeviceTensor[],
    direction: "to device" | "from device",
  ): Promise<DeviceTensor[]> {
    if (tensors.length === 0) return [];
    const key = JSON.stringify([direction, tensors.map(({ dims }) => dims)]);
    let mover = this.movers.get(key);
    if (!mover) {
      mover = await this.open(copies(tensors), () => direction === "to device");
      this.movers.set(key, mover);
    }
    const feeds = Object.fromEntries(tensors.map((tensor, index) => [`x${index}`, tensor]));
    const moved = await mover.run(feeds);
    return tensors.map((_, index) => moved[`y${index}`]);
  }

  private async open(
    model: Uint8Array | string,
    staysOnDevice: (output: string) => boolean,
  ): Promise<DeviceSession> {
    const session = await this.runtime.open(model, staysOnDevice);
    this.sessions.push(session);
    return session;
  }

  private stored(name: string): DeviceTensor {
    const tensor = this.store.get(name);
    if (!tensor) throw new Error(`"${name}" is neither an input of the run nor stored`);
    return tensor;
  }

  private replace(name: string, tensor: DeviceTensor): void {
    this.dispose(name);
    this.store.set(name, tensor);
  }

  private dispose(name: string): void {
    const tensor = this.store.get(name);
    if (tensor && isOnDevice(tensor)) tensor.dispose();
    this.store.delete(name);
  }
}

function isOnDevice({ location }: DeviceTensor): boolean {
  return location === "gpu-buffer";
}

/** A program that gives each input x0, x1, … as y0, y1, … */
function copies(tensors: readonly DeviceTensor[]): Uint8Array {
  const graph = new Graph();
  for (const [index, { dims }] of tensors.entries())
    graph.output(`y${index}`, graph.input(`x${index}`, "float32", dims));
  return compile(graph);
}
