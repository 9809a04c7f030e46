import { UserError } from "../common/errors.ts";
import { describe, type Value } from "../graph/graph.ts";
import { reshape } from "../ops/movement.ts";

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

/**
 * The logits [batch, classes] of a classifier; axes of size 1 behind them are dropped.
 * @param output which of the model's outputs; not needed where there is one only
 * @throws UserError naming the outputs there are, or the shape that is none of a classifier
 */
export function classLogits(
  { logits }: { logits: ReadonlyMap<string, Value> },
  output?: string,
): { name: string; logits: Value } {
  const names = [...logits.keys()];
  if (output === undefined && names.length !== 1) {
    throw new UserError(
      `the model has the outputs ${names.join(", ")}; say which one holds the logits (output)`,
    );
  }
  const name = output ?? names[0];
  const value = logits.get(name);
  if (!value) throw new UserError(`the model has no output "${name}"; it has ${names.join(", ")}`);
  const [batch, classes, ...rest] = value.shape;
  if (value.shape.length < 2 || classes < 2 || rest.some((size) => size !== 1)) {
    throw new UserError(
      `output "${name}" is ${describe(value)}; the logits of a classifier are [batch, classes] with two classes or more`,
    );
  }
  return { name, logits: rest.length > 0 ? reshape(value, [batch, classes]) : value };
}
