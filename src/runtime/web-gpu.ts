import type { InferenceSession, Tensor } from "onnxruntime-web";
import { deviceTargets } from "../lower/target.ts";
import { readModel } from "../onnx/model.ts";
import type { Engine } from "./engine.ts";
import { GpuEngine } from "./gpu-engine.ts";
import { copyOf, toTensor } from "./session-engine.ts";

/** How sessions are opened. */
interface Opening {
  bytesOf(model: Uint8Array | string): Promise<Uint8Array>;
  options(model: Uint8Array): InferenceSession.SessionOptions;
}

/** An engine on WebGPU in a page. */
export function webGpuEngine(
  runtime: typeof import("onnxruntime-web"),
  { bytesOf, options }: Opening,
): Engine {
  const open = async (model: Uint8Array | string, staysOnDevice: (output: string) => boolean) => {
    const bytes = await bytesOf(model);
    const staying = (readModel(bytes).graph?.output ?? []).filter(({ name }) => staysOnDevice(name));
    const session = await runtime.InferenceSession.create(bytes, {
      ...options(bytes),
      preferredOutputLocation: Object.fromEntries(staying.map(({ name }) => [name, "gpu-buffer"])),
    });
    return {
      inputNames: session.inputNames,
      outputNames: session.outputNames,
      run: (feeds: Readonly<Record<string, unknown>>) => session.run(feeds as Record<string, Tensor>),
      release: () => session.release(),
    };
  };
  return new GpuEngine(
    {
      open,
      toTensor: (data) => toTensor(runtime, data),
      toData: (tensor) => copyOf(tensor as Tensor),
    },
    deviceTargets.webgpu,
  );
}
