import { UserError, useOnnxRuntime, type WebRuntime } from "../index.web.ts";

/** ONNX Runtime's builds: their files, which lie beside the page, and how many bytes these have in ONNX Runtime 1.30. */
const builds = {
  cpu: { file: "ort-wasm-simd-threaded.wasm", bytes: 14_239_897 },
  // This one can wait for a GPU.
  webgpu: { file: "ort-wasm-simd-threaded.asyncify.wasm", bytes: 26_781_914 },
} as const;

type Build = keyof typeof builds;
type OnProgress = (loaded: number, total: number) => void;

const loaded = new Map<Build, Promise<ArrayBuffer>>();

useOnnxRuntime({
  cpu: async () => started("cpu", await import("onnxruntime-web/wasm")),
  webgpu: async () => started("webgpu", await import("onnxruntime-web/webgpu")),
});

async function started(build: Build, runtime: WebRuntime): Promise<WebRuntime> {
  runtime.env.wasm.wasmBinary = await loaded.get(build);
  return runtime;
}

/**
 * Loads the WebAssembly of a build, once; after a failure the next call tries again.
 * @throws UserError where the file cannot be loaded
 */
export async function loadRuntime(build: Build, onProgress: OnProgress): Promise<void> {
  const loading = loaded.get(build) ?? load(build, onProgress);
  loaded.set(build, loading);
  try {
    await loading;
  } catch (error) {
    loaded.delete(build);
    throw error;
  }
}

async function load(build: Build, onProgress: OnProgress): Promise<ArrayBuffer> {
  const { file, bytes } = builds[build];
  const address = new URL(file, import.meta.url);
  const answer = await fetch(address).catch(() => undefined);
  if (!answer?.ok || !answer.body)
    throw new UserError(
      `${address.pathname} could not be loaded (${answer ? `the server answered ${answer.status}` : "no connection"}); check that it lies beside the page, and load the page again`,
    );
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let received = 0;
  const reader = answer.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    chunks.push(part.value);
    received += part.value.length;
    // Not what the server states, which is another number where it compresses.
    onProgress(received, bytes);
  }
  return new Blob(chunks).arrayBuffer();
}
