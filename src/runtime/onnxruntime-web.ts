import type { InferenceSession } from "onnxruntime-web";
import { UserError } from "../common/errors.ts";
import { readOptions } from "../common/options.ts";
import { devices, type Target } from "../lower/target.ts";
import type { Engine, EngineOptions, RunOptions, RunResult, Tensors } from "./engine.ts";
import { isInFloat64 } from "./float64.ts";
import { OpeningEngine } from "./opening-engine.ts";
import { type Runtime, SessionEngine, withoutFaultyFusion } from "./session-engine.ts";
import { type Line, Turns } from "./turns.ts";

// The only file that loads ONNX Runtime in browsers: as WebAssembly, on the calling thread.

/** ONNX Runtime's module for browsers, or one of its builds, as `onnxruntime-web/wasm` is. */
export type WebRuntime = typeof import("onnxruntime-web");

/** Builds of ONNX Runtime by what they run on: 14 MB of WebAssembly for the CPU, 27 MB for WebGPU. Each is loaded with its first use. */
export type WebRuntimes = Record<"cpu" | "webgpu", () => Promise<WebRuntime>>;

const builds: WebRuntimes = {
  cpu: () => import("onnxruntime-web/wasm"),
  webgpu: () => import("onnxruntime-web/webgpu"),
};
const loaded = new Map<keyof WebRuntimes, Promise<WebRuntime>>();

/**
 * Says where ONNX Runtime comes from, for pages without a bundler that have no import map, and for their workers, which never
 * have one. Has to be called before the first engine runs.
 *
 * ```js
 * useOnnxRuntime({ cpu: () => import("https://cdn.jsdelivr.net/npm/onnxruntime-web@1.30.0/dist/ort.wasm.bundle.min.mjs") });
 * ```
 */
export function useOnnxRuntime(given: Partial<WebRuntimes>): void {
  const known = readOptions("useOnnxRuntime", given, { cpu: "function", webgpu: "function" });
  if (loaded.size > 0)
    throw new UserError("ONNX Runtime is loaded already; call useOnnxRuntime before anything runs");
  Object.assign(builds, known);
}

/** ONNX Runtime's module, loaded once; after a failure the next call tries again. */
export function webRuntime(build: keyof WebRuntimes = "cpu"): Promise<WebRuntime> {
  const loading = loaded.get(build) ?? load(build);
  loaded.set(build, loading);
  loading.catch(() => loaded.delete(build));
  return loading;
}

async function load(build: keyof WebRuntimes): Promise<WebRuntime> {
  requireSimd();
  const runtime = await builds[build]();
  // Warnings of the WebAssembly are not for the page's console.
  runtime.env.logLevel = "error";
  return runtime;
}

/**
 * Starts an engine on the calling thread: a worker's, so that the page's thread only draws. The threads of operators
 * are those of the first engine of a page: without cross-origin isolation it is one thread, whatever is asked for.
 */
export function openEngine(options: EngineOptions = {}): Engine {
  const {
    device = "cpu",
    threads,
    fuse = true,
  } = readOptions("openEngine", options, {
    ...{ device: devices, threads: "number", fuse: "boolean", exactIntegers: "boolean" },
  });
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1)) {
    throw new UserError(`threads is ${threads}; it has to be a whole number of 1 or more`);
  }
  switch (device) {
    case "cpu":
      return new WebEngine({ threads: threads ?? defaultThreads(), fuse });
    case "webgpu":
      return new OpeningEngine(openWebGpu(fuse));
    case "cuda":
      throw new UserError('device is "cuda", which pages do not have; choose "webgpu" or "cpu"');
    default:
      return device satisfies never;
  }
}

async function openWebGpu(fuse: boolean): Promise<Engine> {
  const { webGpuEngine } = await import("./web-gpu.ts");
  return webGpuEngine(await webRuntime("webgpu"), {
    bytesOf,
    options: (model) => sessionOptions(model, fuse, "webgpu"),
  });
}

/** More than half of the cores, or more than four, made steps slower where it was measured. */
function defaultThreads(): number {
  return Math.max(1, Math.min(4, Math.floor(navigator.hardwareConcurrency / 2)));
}

/**
 * Milliseconds for ONNX Runtime to load and start its threads. They never start where a bundler put it into one file with
 * other code: each thread loads the file that ONNX Runtime is in.
 */
const longestStart = 120_000;

/** Programs of all engines of a page run in one instance of the WebAssembly, so they take turns. */
const line: Line = { last: Promise.resolve() };

/** An engine on ONNX Runtime's WebAssembly, whose integers are exact. */
class WebEngine extends SessionEngine {
  /** Results that are written into passed memory come back as zeros (ONNX Runtime's issue 25786). */
  protected override readonly fillsMemory = false;
  private readonly options: { threads: number; fuse: boolean };

  constructor(options: { threads: number; fuse: boolean }) {
    super(new Turns(line));
    this.options = options;
  }

  override async run(program: string, feeds?: Tensors, options?: RunOptions): Promise<RunResult> {
    const result = await super.run(program, feeds, options);
    await pause();
    return result;
  }

  protected override runtime(): Promise<Runtime> {
    return webRuntime();
  }

  protected override async probe(): Promise<Target> {
    return { webAssembly: true };
  }

  protected override async createSession(model: Uint8Array | string): Promise<InferenceSession> {
    const { env, InferenceSession } = await webRuntime();
    const { threads, fuse } = this.options;
    // Read when the WebAssembly starts, and never again.
    env.wasm.numThreads = globalThis.crossOriginIsolated ? threads : 1;
    env.wasm.initTimeout = env.wasm.numThreads > 1 ? longestStart : 0;
    const bytes = await bytesOf(model);
    return InferenceSession.create(bytes, sessionOptions(bytes, fuse, "wasm")).catch((error) => {
      if (!/due to timeout/.test(error?.message)) throw error;
      throw new UserError(
        `ONNX Runtime did not start its ${threads} threads in ${longestStart / 1000} seconds; set threads to 1, or let the bundler put it into a file of its own (esbuild: splitting)`,
      );
    });
  }
}

async function bytesOf(model: Uint8Array | string): Promise<Uint8Array> {
  if (typeof model !== "string") return model;
  const answer = await fetch(model);
  if (!answer.ok) throw new UserError(`${model} could not be loaded: the server answered ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

function sessionOptions(
  model: Uint8Array,
  fuse: boolean,
  provider: "wasm" | "webgpu",
): InferenceSession.SessionOptions {
  const fused = isInFloat64(model) ? "basic" : "all";
  return {
    executionProviders: [provider],
    enableMemPattern: false,
    logSeverityLevel: 3,
    graphOptimizationLevel: fuse ? fused : "disabled",
    extra: withoutFaultyFusion,
  };
}

/** Milliseconds that programs may keep the thread without a pause. */
const longestTurn = 12;
let lastPause = 0;

/** Lets messages, clicks and drawing happen, which promises alone never do. */
async function pause(): Promise<void> {
  if (performance.now() - lastPause < longestTurn) return;
  const { port1, port2 } = new MessageChannel();
  await new Promise((resolve) => {
    port1.onmessage = resolve;
    port2.postMessage(undefined);
  });
  port1.close();
  lastPause = performance.now();
}

/** A module with one instruction of SIMD. */
const simdModule = Uint8Array.of(
  ...[0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15],
  ...[253, 98, 11],
);

/** @throws UserError where ONNX Runtime's WebAssembly cannot run */
function requireSimd(): void {
  if (typeof WebAssembly === "object" && WebAssembly.validate(simdModule)) return;
  throw new UserError(
    "this browser has no WebAssembly SIMD, which ONNX Runtime needs; use a current Chrome, Edge, Firefox or Safari, with WebAssembly allowed",
  );
}
