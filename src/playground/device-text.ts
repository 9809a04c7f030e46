import type { DeviceRecord } from "../index.web.ts";
import { type MethodName, methods } from "./methods.ts";
import type { Settings } from "./settings.ts";

const untested: Readonly<Record<Settings["device"], string>> = {
  cpu: "WebAssembly on one thread: 14 MB, once.",
  webgpu: "Tested first: each optimizer takes a step on the GPU and on the CPU. 41 MB, once.",
};

/**
 * What computes the steps, in words.
 * @param chosen by the visitor
 * @param devices where the steps of each method run; those that have not been tested are missing
 */
export function deviceText(
  chosen: Settings["device"],
  devices: ReadonlyMap<MethodName, DeviceRecord>,
): string {
  if (chosen === "cpu" || devices.size === 0) return untested[chosen];
  const methodsAt = new Map<string, string[]>();
  for (const { name, label } of methods) {
    const record = devices.get(name);
    if (record) methodsAt.set(placeOf(record), [...(methodsAt.get(placeOf(record)) ?? []), label]);
  }
  const [[place, all], ...others] = methodsAt;
  if (others.length === 0 && all.length === methods.length)
    return place === cpu
      ? `On ${cpu}: the GPU did not pass its test.`
      : `On ${place}, which passed its test.`;
  return `${[...methodsAt].map(([place, labels]) => `On ${place}: ${labels.join("; ")}`).join(". ")}.`;
}

const cpu = "the CPU";

function placeOf({ name, adapter }: DeviceRecord): string {
  if (name === "cpu") return cpu;
  return adapter === undefined ? name : `${name} (${adapter})`;
}
