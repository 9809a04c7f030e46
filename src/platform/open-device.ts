import { openEngine, probeDevice } from "#platform";
import { UserError } from "../common/errors.ts";
import type { Device, DeviceChoice } from "../lower/target.ts";
import type { Engine, EngineOptions } from "../runtime/engine.ts";
import type { ProbedDevice } from "../runtime/probed-device.ts";

/** What `auto` tries, in this order; the first that can be opened has to be faster than the CPU. */
const tried = ["cuda", "webgpu"] as const satisfies readonly Device[];

export interface OpenDeviceOptions {
  threads?: number;
  /** Gets a sentence where `auto` comes to the CPU, and where a program does. */
  onNote?: (note: string) => void;
  /** For tests. */
  open?: (options: EngineOptions) => Engine;
  probe?: (device: Exclude<Device, "cpu">) => Promise<ProbedDevice>;
}

/**
 * Opens an engine to train on.
 * @throws UserError for a device that cannot be opened
 */
export async function openDevice(choice: DeviceChoice, options: OpenDeviceOptions = {}): Promise<Engine> {
  const { threads, onNote, open = openEngine, probe = probeDevice } = options;
  const openCpu = () => open({ threads });
  if (choice === "cpu") return openCpu();
  const { DeviceEngine } = await import("../runtime/device-engine.ts");
  const failed: string[] = [];
  for (const device of choice === "auto" ? tried : [choice]) {
    const probed = await probe(device);
    if (probed.opened) {
      return new DeviceEngine({
        record: { name: device, ...(probed.adapter !== undefined && { adapter: probed.adapter }) },
        device: open({ threads, device }),
        openCpu,
        onNote,
        mustBeFaster: choice === "auto",
      });
    }
    if (choice !== "auto")
      throw new UserError(`device: ${probed.reason}; ${probed.advice}, or train with device "cpu"`);
    failed.push(probed.reason);
  }
  onNote?.(`device: no GPU can be used, so training runs on the CPU (${failed.join("; ")})`);
  return openCpu();
}
