import type { Float } from "./drawing.ts";

// What checking a model comes to.

export interface Failure {
  check: "outputs" | "gradients" | "target" | "roles" | "write" | "loss" | "error";
  message: string;
}

export interface Checked {
  seed: number;
  number: number;
  opset: number;
  float: Float;
  operators: readonly string[];
  packing: readonly string[];
  /** `engine`: ONNX Runtime does not run the file itself. */
  outcome: "checked" | "refused" | "engine";
  /** In which words it was refused, by Lowland or by ONNX Runtime. */
  refusal?: string;
  failures: readonly Failure[];
  gradients: GradientCounts;
}

/** Of the tensors that were differentiated. */
export interface GradientCounts {
  float64: number;
  float32: number;
  /** Near a corner of the function, where two differences disagree. */
  corners: number;
  /** Behind a rounding whose gradient is straight through. */
  straightThrough: number;
  /** Not finite there for ONNX Runtime either. */
  notFinite: number;
}

/** What a check adds to while it runs. */
export interface Checking {
  seed: number;
  number: number;
  failures: Failure[];
  counts: GradientCounts;
}
