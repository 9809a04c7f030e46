import type { LayerSensitivity } from "../model-files/layer-choice.ts";
import type { QuantizationEffect } from "../model-files/quantization-effect.ts";
import type { QuantizedLayerRecord } from "../quantization/insert.ts";

// What records say of a quantized file.

/** Numbers of one way of running a file. */
export interface Measured {
  loss: number;
  metrics: Readonly<Record<string, number>>;
}

export interface QuantizationRecord extends Pick<QuantizationEffect, "agreement" | "latency" | "operators"> {
  /** The float file; absent where a network was trained as integers from the start. */
  model?: string;
  quantized: string;
  layers: readonly QuantizedLayerRecord[];
  data: string;
  task: string;
  /** Bytes. */
  size: { float?: number; quantized: number };
  /** Whether the fastest kernels of this processor saturate. */
  saturates: boolean;
  float?: Measured;
  fake: Measured;
  executed: Measured;
  /** Pairs of layers whose channels were brought to the same range. */
  equalizedPairs?: number;
  sensitivity?: readonly LayerSensitivity[];
}
