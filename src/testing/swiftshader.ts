import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

// WebGPU without a graphics card: SwiftShader, a Vulkan driver that computes on the processor, as Debian's package chromium
// has it. Vulkan reads these variables when a process first uses it, so what runs on it is a process of its own.

const folder = "/usr/lib/chromium";
const driver = `${folder}/vk_swiftshader_icd.json`;

export const swiftShader = {
  VK_ICD_FILENAMES: driver,
  // Where the system has no Vulkan loader, there is one beside the driver.
  LD_LIBRARY_PATH: [process.env.LD_LIBRARY_PATH, folder].filter((path) => path).join(":"),
};

/** Why tests of WebGPU are skipped, where they are. */
export const noSwiftShader = !existsSync(driver) && `${driver} is missing: install Debian's package chromium`;

/** Runs a job of `swiftshader-process.ts` and returns its result, and what ONNX Runtime has logged. */
export function runOnSwiftShader<T>(job: string, ...args: string[]): Promise<{ result: T; log: string }> {
  const script = fileURLToPath(new URL("./swiftshader-process.js", import.meta.url));
  const options = { env: { ...process.env, ...swiftShader }, maxBuffer: 2 ** 28 };
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [script, job, ...args], options, (error, stdout, stderr) => {
      if (error) reject(new Error(`${error.message.slice(0, 1000)}\n${stderr.slice(-3000)}`));
      else resolve({ result: JSON.parse(stdout) as T, log: stderr });
    });
  });
}
