import { UserError } from "../common/errors.ts";
import { FileError } from "../common/file-errors.ts";
import type { Device } from "../lower/target.ts";
import { webRuntime } from "../runtime/onnxruntime-web.ts";
import type { ProbedDevice } from "../runtime/probed-device.ts";
import type { Environment, FilePart, Platform } from "./platform.ts";

// `#platform` in a page: files at addresses, run folders in the browser's storage, ONNX Runtime as WebAssembly.

export { openEngine } from "../runtime/onnxruntime-web.ts";
export { basename, dirname, extname, join, resolve } from "./paths.ts";
export { runFiles } from "./web-files.ts";

/** That of package.json, which a page does not have. */
export const version = "0.2.0";

export async function environment(): Promise<Environment> {
  const { env } = await webRuntime();
  return {
    versions: { lowland: version, "onnxruntime-web": env.versions.web ?? env.versions.common },
    machine: {
      platform: navigator.userAgent,
      arch: "wasm32",
      cpu: "unknown",
      cores: navigator.hardwareConcurrency,
      memoryGiB: (navigator as { deviceMemory?: number }).deviceMemory ?? 0,
    },
  };
}

export async function probeDevice(device: Exclude<Device, "cpu">): Promise<ProbedDevice> {
  const use = "use a current Chrome or Edge on a computer with a graphics adapter";
  if (device === "cuda")
    return { opened: false, reason: "pages do not have cuda", advice: 'choose "webgpu"' };
  if (!("gpu" in navigator))
    return {
      opened: false,
      reason: "this browser or page has no WebGPU",
      advice: `${use}, and https or localhost`,
    };
  const adapter = await (navigator.gpu as Gpu).requestAdapter().catch(() => null);
  if (!adapter) return { opened: false, reason: "WebGPU found no graphics adapter", advice: use };
  const { description, vendor, architecture } = adapter.info ?? {};
  const name = description || [vendor, architecture].filter(Boolean).join(" ");
  return { opened: true, ...(name && { adapter: name }) };
}

/** What is used of `navigator.gpu`. */
interface Gpu {
  requestAdapter(): Promise<{
    info?: { description?: string; vendor?: string; architecture?: string };
  } | null>;
}

/** @param path an address, also of a `blob:` */
export async function readFile(path: string): Promise<Uint8Array> {
  const failed = (reason: string, code: string, cause?: unknown) =>
    new FileError(`${path} could not be loaded: ${reason}; check the address`, code, cause);
  const answer = await fetch(path).catch((error) => {
    throw failed(error instanceof Error ? error.message : String(error), "ENETWORK", error);
  });
  if (!answer.ok)
    throw failed(`the server answered ${answer.status}`, answer.status === 404 ? "ENOENT" : "EHTTP");
  return new Uint8Array(await answer.arrayBuffer());
}

export async function readBeside(_: string, { location }: FilePart, subject: string): Promise<never> {
  throw new UserError(
    `${subject}: its values are in the file "${location}", and a page reads models of one file only; save the model with its weights inside`,
  );
}

export const fileRows: Platform["fileRows"] = undefined;
