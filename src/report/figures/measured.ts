import type { MeasuredModel } from "../../flatness/index.ts";
import { fixed } from "../numbers.ts";

/** What was measured, on which data: stands at every chart. */
export function measuredNote({ name, description }: Pick<MeasuredModel, "name" | "description">): string {
  return `${name} on ${measuredOn(description)}.`;
}

/** On which data and by which loss, to go on a sentence with. */
export function measuredOn({
  data,
  set,
  examples,
  batchSize,
  batchNorm,
  labelSmoothing,
}: MeasuredModel["description"]): string {
  const smoothed = labelSmoothing ? ` with label smoothing ${labelSmoothing}` : "";
  const norm = batchNorm === "batch" ? "each batch's statistics" : "running statistics";
  return `the first ${fixed(Number(examples), 0)} ${set} images of ${data} in batches of ${batchSize}: cross entropy${smoothed}, BatchNorm (if any) by ${norm}`;
}
