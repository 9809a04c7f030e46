import type { MeasuredModel } from "../../flatness/index.ts";
import { lossOf } from "../../tasks/metrics.ts";
import { fixed } from "../numbers.ts";

/** What was measured, on which data: stands at every chart. */
export function measuredNote(model: Pick<MeasuredModel, "name" | "task" | "description">): string {
  return `${model.name} on ${measuredOn(model)}.`;
}

/** On which data and by which loss, to go on a sentence with. */
export function measuredOn({ task, description }: Pick<MeasuredModel, "task" | "description">): string {
  const { data, set, examples, batchSize, batchNorm, labelSmoothing } = description;
  const smoothed = labelSmoothing ? ` with label smoothing ${labelSmoothing}` : "";
  const norm = batchNorm === "batch" ? "each batch's statistics" : "running statistics";
  return `the first ${fixed(Number(examples), 0)} ${set} images of ${data} in batches of ${batchSize}: ${lossOf(task).name}${smoothed}, BatchNorm (if any) by ${norm}`;
}
