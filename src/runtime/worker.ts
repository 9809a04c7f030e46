import { parentPort, workerData } from "node:worker_threads";
import { deviceTargets } from "../lower/target.ts";
import type { Engine, EngineOptions } from "./engine.ts";
import { GpuEngine } from "./gpu-engine.ts";
import { OnnxRuntimeEngine, webGpuRuntime } from "./onnxruntime.ts";
import type { Answer, Call } from "./remote.ts";

// The other end of `remote.ts`: an engine on a thread of its own, called by messages. The engine itself keeps the calls
// in order.

const { device, ...options } = workerData as EngineOptions & { threads: number };
const engine: Engine =
  device === "webgpu"
    ? new GpuEngine(webGpuRuntime(options), deviceTargets.webgpu)
    : new OnnxRuntimeEngine({ ...options, device });
const port = parentPort!;

port.on("message", async ({ id, method, args }: Call) => {
  let answer: Answer;
  try {
    const call = engine[method] as (...values: unknown[]) => Promise<unknown>;
    answer = { id, result: await call.apply(engine, args) };
  } catch (error) {
    answer = { id, error: error instanceof Error ? error.message : String(error) };
  }
  port.postMessage(answer);
  if (method === "close") port.close();
});

// A call that cannot be read cannot be answered; ending the thread rejects it and all others.
port.on("messageerror", (error) => {
  throw error;
});
