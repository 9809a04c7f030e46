import type { Engine, Tensors } from "./engine.ts";
import type { Trial } from "./proof.ts";

// What training knows of a device that has to prove itself; `device-engine.ts` is loaded where one is asked for.

/** Where programs run, for records. */
export interface DeviceRecord {
  name: string;
  /** The device as its driver names it, where that is known. */
  adapter?: string;
  /** Why it is the CPU although another device was asked for. */
  reason?: string;
}

/** A device failed while it computed: it was lost, or its memory was used up. */
export class DeviceError extends Error {
  override readonly name = "DeviceError";
}

/** An engine on a device that is trained on only after it has proven itself. */
export interface ProvingEngine extends Engine {
  /** Where programs run now. */
  readonly where: DeviceRecord;
  /**
   * Loads the steps of a training run and takes one of each, on the device and on the CPU. Afterward the store is what it was
   * in the trial.
   * @returns why the device is not to be trained on, in a sentence; nothing where it passes
   */
  prove(trial: Trial): Promise<string | undefined>;
  /** Goes on with the CPU, and with these tensors in its store. Programs have to be compiled for its target and loaded again. */
  fallBack(reason: string, tensors: Tensors): Promise<void>;
}

export function isProving(engine: Engine): engine is ProvingEngine {
  return "prove" in engine;
}

/** In memory of their own: an engine takes the memory of what it runs on. */
export function copied(tensors: Tensors): Tensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => [name, { ...tensor, data: tensor.data.slice() }]),
  ) as Tensors;
}
