import { deviceTargets } from "../lower/target.ts";
import type { Engine, RunResult, Tensors } from "../runtime/engine.ts";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";

export interface Faults {
  /** What becomes of a run's result. */
  result?: (result: RunResult, program: string) => RunResult | Promise<RunResult>;
  /** What becomes of tensors that are read. */
  stored?: (tensors: Tensors) => Tensors;
}

/** A device that is played by the CPU, with programs for WebGPU, and does something else to what it gives or stores. */
export function faultyDevice({ result = (same) => same, stored = (same) => same }: Faults = {}): Engine {
  const engine = new OnnxRuntimeEngine({ threads: 1 });
  return {
    target: async () => ({ ...deviceTargets.webgpu, keepsNext: false }),
    load: (program, model) => engine.load(program, model),
    write: (tensors) => engine.write(tensors),
    read: async (names) => stored(await engine.read(names)),
    run: async (program, feeds, options) => result(await engine.run(program, feeds, options), program),
    close: () => engine.close(),
  };
}
