import type { Value } from "../graph/graph.ts";

const activations = new Set(["Softmax", "LogSoftmax", "Sigmoid"]);

/**
 * What an output is before the Softmax, LogSoftmax or Sigmoid that ends the model, if one does: the losses here take
 * logits. Softmax and LogSoftmax give the same cross entropy with and without, but lose precision.
 */
export function logitsOf(value: Value): Value {
  const { origin } = value;
  if (origin.kind !== "node" || !activations.has(origin.node.operator)) return value;
  return origin.node.inputs[0]!;
}
