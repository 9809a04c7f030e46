import type { DeviceRecord, EpochRecord, PlacedPicture, StepRecord } from "../index.web.ts";
import type { MethodName } from "./methods.ts";
import type { PageData, Settings } from "./settings.ts";

// What the page and its worker tell one another. The worker computes, the page draws.

export type Request =
  /** Trains all methods, from the same weights; `paused`: one step of each, and waits. */
  | { type: "start"; settings: Settings; paused: boolean }
  | { type: "pause" }
  | { type: "resume" }
  /** One more step of each method. */
  | { type: "step" }
  | { type: "reset" }
  /** Pictures, each in a folder that is its class, for a network. */
  | { type: "pictures"; name: string; files: PlacedPicture[]; network: Settings["network"] }
  /** An ONNX file to fine-tune. */
  | { type: "network"; file: File }
  /** What every network sees in an image of the data. */
  | { type: "predict"; pixels: Uint8Array; id: number }
  | { type: "model"; method: MethodName }
  | { type: "landscapes" }
  | { type: "curvature"; method: MethodName };

export type Report =
  /** Bytes of ONNX Runtime that have come. */
  | { type: "runtime"; loaded: number; total: number }
  | { type: "decoded"; pictures: number; total: number }
  | {
      type: "pictures";
      data: PageData;
      testImages: number;
      classNames: readonly string[];
      /** A sentence about files that are no pictures. */
      leftOut?: string;
    }
  /** What an ONNX file is. */
  | { type: "network"; description: string }
  /** What becomes of an ONNX file, or of a device that was not trusted; methods may report the same. */
  | { type: "note"; text: string }
  | { type: "started"; data: PageData; totalSteps: number }
  /** Where a method's steps run. */
  | { type: "device"; method: MethodName; device: DeviceRecord }
  /** Several times a second, and before every other report: the steps since the last one. */
  | { type: "steps"; steps: readonly Step[] }
  | { type: "epoch"; method: MethodName; record: EpochRecord }
  /** Every method waits for the next step. */
  | { type: "waiting" }
  | { type: "finished" }
  | { type: "reset" }
  | { type: "prediction"; id: number; probabilities: Partial<Record<MethodName, Float32Array>> }
  | { type: "model"; method: MethodName; bytes: Uint8Array<ArrayBuffer> }
  | { type: "landscape"; method: MethodName; loss: number[]; points: number }
  | { type: "landscapes" }
  | { type: "curvature"; method: MethodName; largest: number }
  /** Something that a person can correct, or a fault, in one sentence; training has ended. */
  | { type: "problem"; about: Request["type"]; text: string };

/** A step that a method has taken. */
export interface Step {
  method: MethodName;
  record: StepRecord;
  milliseconds: number;
}
