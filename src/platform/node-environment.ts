import { createRequire } from "node:module";
import { arch, availableParallelism, cpus, platform, release, totalmem } from "node:os";
import type { Environment } from "./platform.ts";

const require = createRequire(import.meta.url);

export async function environment(): Promise<Environment> {
  return {
    versions: {
      lowland: require("../../package.json").version,
      node: process.versions.node,
      "onnxruntime-node": require("onnxruntime-node/package.json").version,
    },
    machine: {
      platform: `${platform()} ${release()}`,
      arch: arch(),
      cpu: cpus()[0]?.model.trim() ?? "unknown",
      cores: availableParallelism(),
      memoryGiB: Math.round(totalmem() / 2 ** 30),
    },
  };
}
