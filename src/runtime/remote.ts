import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { UserError } from "../common/errors.ts";
import { readOptions } from "../common/options.ts";
import { devices, type Target } from "../lower/target.ts";
import type { TensorData } from "../onnx/tensor.ts";
import type { Engine, EngineOptions, RunOptions, RunResult, Tensors } from "./engine.ts";

export type { EngineOptions } from "./engine.ts";

/** A call of one of the engine's methods, as sent to its thread. */
export interface Call {
  id: number;
  method: keyof Engine;
  args: unknown[];
}

export type Answer = { id: number; result: unknown } | { id: number; error: string };

/** Starts an engine on a thread of its own, so that the calling thread stays free while it computes. */
export function openEngine(options: EngineOptions = {}): Engine {
  const { threads = availableParallelism(), ...rest } = readOptions("openEngine", options, {
    ...{ device: devices, threads: "number", fuse: "boolean", exactIntegers: "boolean" },
  });
  if (!(Number.isInteger(threads) && threads >= 1)) {
    throw new UserError(`threads is ${threads}; it has to be a whole number of 1 or more`);
  }
  return new RemoteEngine(
    new Worker(new URL("./worker.js", import.meta.url), { workerData: { threads, ...rest } }),
  );
}

interface Waiting {
  resolve: (result: never) => void;
  reject: (error: Error) => void;
}

class RemoteEngine implements Engine {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, Waiting>();
  private nextId = 0;
  private ended: Error | undefined;

  constructor(worker: Worker) {
    this.worker = worker;
    worker.on("message", (answer: Answer) => {
      const { resolve, reject } = this.waiting.get(answer.id)!;
      this.waiting.delete(answer.id);
      if ("error" in answer) reject(new Error(answer.error));
      else resolve(answer.result as never);
    });
    worker.on("error", (error) => this.end(error instanceof Error ? error : new Error(String(error))));
    worker.on("exit", () => this.end(new Error("the engine's thread has ended")));
  }

  target(): Promise<Target> {
    return this.call("target", []);
  }

  load(program: string, model: Uint8Array | string): Promise<void> {
    return this.call("load", [program, model]);
  }

  write(tensors: Tensors): Promise<void> {
    return this.call("write", [withoutSurroundings(tensors)]);
  }

  read(names?: readonly string[]): Promise<Tensors> {
    return this.call("read", [names]);
  }

  async run(program: string, feeds: Tensors = {}, options: RunOptions = {}): Promise<RunResult> {
    readOptions("run", options, { advance: "boolean", stored: "object" });
    requirePresent(feeds);
    const sent = withoutSurroundings(feeds);
    const buffers = Object.values(sent).flatMap(({ data }) =>
      ArrayBuffer.isView(data) && data.buffer instanceof ArrayBuffer ? [data.buffer] : [],
    );
    return this.call("run", [program, sent, options], [...new Set(buffers)]);
  }

  async close(): Promise<void> {
    if (this.ended) return;
    const exit = new Promise((resolve) => this.worker.once("exit", resolve));
    const released = this.call("close", []);
    this.ended = new Error("the engine is closed");
    await released;
    await exit;
  }

  private call<T>(method: keyof Engine, args: unknown[], transfer: ArrayBuffer[] = []): Promise<T> {
    if (this.ended) return Promise.reject(this.ended);
    return new Promise<T>((resolve, reject) => {
      const id = this.nextId++;
      this.worker.postMessage({ id, method, args } satisfies Call, transfer);
      this.waiting.set(id, { resolve, reject });
    });
  }

  private end(error: Error): void {
    this.ended ??= error;
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }
}

/** Arrays that are part of a larger buffer become their own: a message carries whole buffers. */
function withoutSurroundings(tensors: Tensors): Tensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => {
      const { data } = tensor;
      const isPart = ArrayBuffer.isView(data) && data.byteLength < data.buffer.byteLength;
      return [name, isPart ? { ...tensor, data: data.slice() as TensorData["data"] } : tensor];
    }),
  );
}

/** Throws for arrays that an earlier run has taken over: they are empty, and such a message would never arrive. */
function requirePresent(feeds: Tensors): void {
  for (const [name, { data, shape }] of Object.entries(feeds)) {
    if (data.length === 0 && !shape.includes(0)) {
      throw new Error(
        `the memory of "${name}" is gone: it was handed to an earlier run, which owns it since`,
      );
    }
  }
}
