import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Device } from "../lower/target.ts";
import type { ProbedDevice } from "./probed-device.ts";

// Whether a device can be opened, and what it is.

/** What a process has said. */
interface Answer {
  stdout: string;
  stderr: string;
  /** How it ended, where not by itself. */
  ended?: string;
}

/** Opens a device in a process of its own. */
export async function probeDevice(device: Exclude<Device, "cpu">): Promise<ProbedDevice> {
  const script = fileURLToPath(new URL("./device-probe.js", import.meta.url));
  // The loader of Vulkan drivers says which one is used.
  const env = { ...process.env, VK_LOADER_DEBUG: "driver" };
  const answer = await run(process.execPath, [script, device], env);
  const probed = readProbe(device, answer);
  if (!probed.opened || device !== "cuda") return probed;
  const { stdout } = await run("nvidia-smi", ["--query-gpu=name", "--format=csv,noheader"], process.env);
  const [adapter] = stdout.trim().split("\n");
  return adapter ? { ...probed, adapter } : probed;
}

/** What the answer of the process says of a device. */
export function readProbe(device: Exclude<Device, "cpu">, { stdout, stderr, ended }: Answer): ProbedDevice {
  const said = stdout === "" ? {} : (JSON.parse(stdout) as { opened?: true; error?: string });
  if (said.opened && ended === undefined) {
    const adapter = /Using "(.+?)" with driver/.exec(stderr)?.[1];
    return { opened: true, ...(adapter !== undefined && { adapter }) };
  }
  const error = said.error ?? `its driver ended the process that opened it (${ended})`;
  return { opened: false, ...failures[device](error, stderr) };
}

/** What failed, and what to do about it. */
type Failure = Pick<Extract<ProbedDevice, { opened: false }>, "reason" | "advice">;

const failures: Readonly<Record<Exclude<Device, "cpu">, (error: string, stderr: string) => Failure>> = {
  webgpu: (error, stderr) => {
    const interfaces: Partial<Record<NodeJS.Platform, string>> = { darwin: "Metal", win32: "Direct3D 12" };
    const tried = interfaces[process.platform] ?? "Vulkan";
    const library = /Couldn't load Vulkan: (\S+?):/.exec(stderr)?.[1];
    const found = /Failed to get a WebGPU adapter: (.*)/.exec(error)?.[1] ?? firstLine(error);
    const noDriver = /Found no drivers/.test(stderr) ? "the Vulkan loader found no driver" : found;
    const driver = "install the graphics driver";
    return {
      reason: `webgpu found no graphics adapter through ${tried}: ${library ? `${library} is missing` : noDriver}`,
      advice:
        tried === "Vulkan"
          ? `${driver} and the Vulkan loader (Debian: libvulkan1, and mesa-vulkan-drivers or the vendor's driver)`
          : driver,
    };
  },
  cuda: (error, stderr) => {
    // Which library failed to load, or which one that it needs.
    const [, file, why] = /Failed to load library (\S+) with error: (.*)/.exec(stderr) ?? [];
    const missing = why && (/(\S+?): cannot open shared object file/.exec(why)?.[1] ?? file);
    return {
      reason: `cuda could not be opened: ${missing ? `${missing} is missing` : firstLine(error)}`,
      advice: "install ONNX Runtime's CUDA libraries, CUDA 12 and cuDNN 9 (docs/guides/devices.md)",
    };
  },
};

function firstLine(text: string): string {
  return text.split("\n")[0];
}

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<Answer> {
  return new Promise((resolve) => {
    execFile(command, args, { env, timeout: 120_000 }, (error, stdout, stderr) => {
      const ended = error ? (error.signal ?? String(error.code)) : undefined;
      resolve({ stdout, stderr, ended });
    });
  });
}
