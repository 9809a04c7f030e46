import type { MeasuredModel } from "../../flatness/index.ts";
import { fixed } from "../numbers.ts";

/** What was measured, on which data: stands at every chart. */
export function measuredNote(model: Pick<MeasuredModel, "name" | "task" | "description">): string {
  return `${model.name} on ${measuredOn(model)}.`;
}

/** On which data and by which loss, to go on a sentence with. */
export function measuredOn({ task, description }: Pick<MeasuredModel, "task" | "description">): string {
  const { data, set, examples, batchSize, batchNorm, labelSmoothing, classWeights } = description;
  const smoothed = labelSmoothing ? ` with label smoothing ${labelSmoothing}` : "";
  const weighted = classWeights ? ` with class weights ${classWeights}` : "";
  const norm = batchNorm === "batch" ? "each batch's statistics" : "running statistics";
  return `the first ${fixed(Number(examples), 0)} ${set} ${task.examples} of ${data} in batches of ${batchSize}: ${task.loss.name}${smoothed}${weighted}, BatchNorm (if any) by ${norm}`;
}
