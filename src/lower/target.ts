/** Where programs run. */
export const devices = ["cpu", "webgpu", "cuda"] as const;
export type Device = (typeof devices)[number];

/** Where to train: on a device, or on the fastest that there is. */
export const deviceChoices = [...devices, "auto"] as const;
export type DeviceChoice = (typeof deviceChoices)[number];

/**
 * What ONNX Runtime's kernels on a device lack. `lower` takes other forms of it there, in operators that the device has.
 *
 * - `batch-statistics`: BatchNormalization in training mode
 * - `log-softmax`: LogSoftmax
 * - `maximum-places`: where maxima stand, as integers: MaxPool's second output, ArgMax
 * - `max-unpool`: MaxUnpool
 * - `channel-triples`: Conv, which is wrong for some numbers of channels that are multiples of 3
 */
export type Lack = "batch-statistics" | "log-softmax" | "maximum-places" | "max-unpool" | "channel-triples";

/** What the engine that a program is compiled for can do beyond ONNX's operators, and what it cannot. */
export interface Target {
  /** Channels in a block of ONNX Runtime's blocked convolution; absent where it has none. */
  readonly blockedChannels?: number;
  /** What its device lacks. Default nothing. */
  readonly lacks?: readonly Lack[];
  /**
   * Whether next values stay in the device's memory, where the engine cannot look at them: a program with outputs
   * `x.next` then has the output {@link squaresName} as well.
   */
  readonly keepsNext?: boolean;
  /**
   * Whether it frees what is not needed any more, so that gradients are computed in the order that needs the least memory,
   * and sizes are left open.
   */
  readonly freesMemory?: boolean;
  /** Whether its kernels are those of ONNX Runtime's WebAssembly, which takes other times for some operators. */
  readonly webAssembly?: boolean;
}

/**
 * The sum of the squares of all next values of a program, a scalar. It is finite only if all of them are; also not where they
 * are so large (about 1e19 in float32) that their squares are not.
 */
export const squaresName = "squares of the next values";

/** Targets of devices, as far as they are known without trying. ONNX Runtime 1.30; `docs/guides/devices.md` says what was tested. */
export const deviceTargets: Readonly<Record<Device, Target>> = {
  cpu: {},
  webgpu: {
    lacks: ["batch-statistics", "log-softmax", "maximum-places", "max-unpool", "channel-triples"],
    keepsNext: true,
  },
  // ONNX Runtime for Node hands tensors over in the processor's memory only.
  cuda: { lacks: ["batch-statistics", "max-unpool"] },
};

export function doesLack({ lacks = [] }: Target, lack: Lack): boolean {
  return lacks.includes(lack);
}
