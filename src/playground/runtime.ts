import { UserError, useOnnxRuntime } from "../index.web.ts";

/**
 * Loads ONNX Runtime's WebAssembly, which lies beside the page, and says how far it is.
 * @throws UserError where the file cannot be loaded
 */
export async function loadRuntime(onProgress: (loaded: number, total: number) => void): Promise<void> {
  const address = new URL("ort-wasm-simd-threaded.wasm", import.meta.url);
  const answer = await fetch(address).catch(() => undefined);
  if (!answer?.ok || !answer.body)
    throw new UserError(
      `${address.pathname} could not be loaded (${answer ? `the server answered ${answer.status}` : "no connection"}); check that it lies beside the page, and load the page again`,
    );
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let loaded = 0;
  const reader = answer.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    chunks.push(part.value);
    loaded += part.value.length;
    onProgress(loaded, runtimeBytes);
  }
  const wasmBinary = await new Blob(chunks).arrayBuffer();
  useOnnxRuntime({
    cpu: async () => {
      const runtime = await import("onnxruntime-web/wasm");
      runtime.env.wasm.wasmBinary = wasmBinary;
      return runtime;
    },
  });
}

/** Of ONNX Runtime 1.30; servers that compress state another length. */
const runtimeBytes = 14_239_897;
