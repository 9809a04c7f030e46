import type { ModelProto } from "../../onnx/onnx_pb.ts";
import { stated } from "../model-metadata.ts";
import type { PoseForm } from "./pose-form.ts";
import type { Skeleton } from "./skeleton.ts";

/** What a written model says of its joints, and of how its heat maps are decoded. */
export interface StatedPose
  extends Pick<Skeleton, "joints" | "limbs" | "pairs">,
    Pick<PoseForm, "alignment" | "padding" | "sigma" | "refinement"> {
  /** Pixels of the input for one of the maps, along each axis. */
  stride: number;
}

/** The same as metadata of a written model. */
export function poseMetadata({
  joints,
  limbs,
  pairs,
  stride,
  alignment,
  padding,
  sigma,
  refinement,
}: StatedPose): Record<string, unknown> {
  return { joints, limbs, pairs, heatmaps: { stride, alignment, padding, sigma, refinement } };
}

/** What a file for poses that Lowland wrote says; nothing of other files. */
export function statedPose(model: ModelProto): StatedPose | undefined {
  const [joints, limbs, pairs, heatmaps] = ["joints", "limbs", "pairs", "heatmaps"].map((name) =>
    stated(model, name),
  );
  if (!Array.isArray(joints) || typeof heatmaps !== "object" || heatmaps === null) return undefined;
  return { joints, limbs, pairs, ...heatmaps } as unknown as StatedPose;
}
