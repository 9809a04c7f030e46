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

/** Of a quantized model: what was moved, and whose second derivatives these are. Nothing of a float one. */
export function quantizedNote({ description }: Pick<MeasuredModel, "description">): string | undefined {
  if (description.perturbed === undefined) return undefined;
  const moved =
    description.perturbed === "latent"
      ? "the latent float weights are moved and then rounded"
      : "the values that the integers of weights stand for are moved, and activations stay rounded";
  return `The model is quantized: ${moved}; losses are those of the rounded network, steps follow its straight-through gradient, and second derivatives are those of the float network with the quantized weights, whose activations are not rounded.`;
}
