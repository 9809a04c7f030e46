import type { Device, Target } from "../lower/target.ts";
import type { Tensors } from "../onnx/tensor.ts";

export type { Tensors } from "../onnx/tensor.ts";

export interface EngineOptions {
  /**
   * Where programs run. On a device other than the processor numbers may be wrong: nothing here checks them, training does.
   * Default: `cpu`.
   */
  device?: Device;
  /** Threads of one operator. Default: one per core. */
  threads?: number;
  /** Whether operators become faster ones. Without, a quantized file computes in float between its roundings. Default: true. */
  fuse?: boolean;
  /**
   * Whether sums of products of 8-bit integers are exact on every processor; on x86 without VNNI the faster kernels saturate
   * for weights of more than 7 bits, and slower ones are taken. Default: true.
   */
  exactIntegers?: boolean;
}

export interface RunOptions {
  /**
   * Let results named `x.next` replace the stored tensor `x`. They do so all together, and only if they and every
   * scalar result of the run are finite.
   */
  advance?: boolean;
  /**
   * Names in the store, by the names the program has for them, where the two differ: of inputs that are not passed, and of
   * what `advance` replaces (or adds).
   */
  stored?: Readonly<Record<string, string>>;
}

export interface RunResult {
  /** The program's outputs, those named `….next` left out. */
  outputs: Tensors;
  /** Whether stored tensors were replaced. */
  advanced: boolean;
}

/**
 * Executes programs (lowered graphs as ONNX bytes) over a store of named tensors: parameters, optimizer state,
 * buffers. An input that the caller does not pass is taken from the store, so what training changes step by step
 * never leaves the engine unless it is read. Calls are executed one after another in the order they are made.
 */
export interface Engine {
  /** What this engine can do beyond ONNX, for programs that are compiled for it alone. */
  target(): Promise<Target>;
  /**
   * Compiles a program under a name; a name in use is replaced, but keeps its program where this fails.
   * @param model the ONNX file's bytes, or its path, which a file needs whose weights are in other files
   */
  load(program: string, model: Uint8Array | string): Promise<void>;
  /** Puts tensors into the store; their memory must not be changed afterward. */
  write(tensors: Tensors): Promise<void>;
  /** Copies of stored tensors: those named, or all. */
  read(names?: readonly string[]): Promise<Tensors>;
  /** Runs a program. The memory of `feeds` belongs to the engine from then on. */
  run(program: string, feeds?: Tensors, options?: RunOptions): Promise<RunResult>;
  /** Releases everything, after the calls before it. The engine cannot be used afterward; further calls are rejected. */
  close(): Promise<void>;
}

/** Ending of a program's output that is the next value of a stored tensor. */
export const nextSuffix = ".next";

export function isNextValue(output: string): boolean {
  return output.endsWith(nextSuffix);
}

/** A loaded program. */
export interface Program<Session> {
  session: Session;
  /** Outputs that replace a stored tensor, with that tensor's name. */
  next: readonly { output: string; stored: string }[];
  /** The other outputs. */
  results: readonly string[];
}

export function programOf<Session extends { readonly outputNames: readonly string[] }>(
  session: Session,
): Program<Session> {
  const { outputNames } = session;
  return {
    session,
    next: outputNames
      .filter(isNextValue)
      .map((output) => ({ output, stored: output.slice(0, -nextSuffix.length) })),
    results: outputNames.filter((name) => !isNextValue(name)),
  };
}

/** @throws where no program of the name is loaded */
export function loadedProgram<Session>(
  programs: ReadonlyMap<string, Program<Session>>,
  name: string,
): Program<Session> {
  const program = programs.get(name);
  if (!program) throw new Error(`no program "${name}" is loaded`);
  return program;
}
