import { UserError } from "../common/errors.ts";
import { describe, type Value } from "../graph/graph.ts";
import { reshape } from "../ops/movement.ts";
import { classCount, type OutputEnd } from "./output-end.ts";

/**
 * The logits [batch, classes] of a classifier; other axes of size 1 are dropped.
 * @param output which of the model's outputs; not needed where there is one only
 * @throws UserError naming the outputs there are, the shape that is none of a classifier, or what is behind a Softmax
 */
export function classLogits(
  network: { ends: ReadonlyMap<string, OutputEnd> },
  output?: string,
): { name: string; logits: Value } {
  const { name, end } = classEnd(network, output);
  if (end.obstacle !== undefined) throw hiddenLogits(name, end);
  return { name, logits: asRows(end.logits) };
}

/** What is read of a model's output. */
export interface OutputForm {
  /** `logits`: of classes, what is before a Softmax or Sigmoid. `values`: the output as it is. */
  holds: "logits" | "values";
  /** Axes of one example's output, of logits with that of the classes first. */
  axes: number;
}

/** One row of logits for each example. */
export const classRows: OutputForm = { holds: "logits", axes: 1 };

/** Whether an output is a row of classes for each example. */
export function isClassRows({ holds, axes }: OutputForm): boolean {
  return holds === "logits" && axes === 1;
}

/**
 * An output as a loss takes it: [batch, classes], or with the axes that it has.
 * @param output which of the model's outputs; not needed where there is one only
 * @throws UserError naming the outputs there are, a shape of other axes, or what is behind a Softmax
 */
export function readOutput(
  network: { ends: ReadonlyMap<string, OutputEnd>; outputs: ReadonlyMap<string, Value> },
  output: string | undefined,
  { holds, axes }: OutputForm,
): { name: string; value: Value } {
  if (holds === "logits" && axes === 1) {
    const { name, logits } = classLogits(network, output);
    return { name, value: logits };
  }
  const name = chooseOutput([...network.outputs.keys()], output);
  const [end, whole] = [network.ends.get(name)!, network.outputs.get(name)!];
  if (holds === "logits" && end.obstacle !== undefined) throw hiddenLogits(name, end);
  if (holds === "values" && end.kind === "probabilities")
    throw new UserError(
      `output "${name}" holds probabilities of classes, and the task takes values; export the model without its Softmax, or name another output (output, --output)`,
    );
  const value = holds === "logits" ? end.logits : whole;
  if (value.shape.length === axes + 1) return { name, value };
  throw new UserError(`output "${name}" is ${describe(value)}; the task takes a batch axis and ${axes} more`);
}

/** What is said of an output of probabilities that cannot be undone. */
export function hiddenLogits(
  name: string,
  { kind, obstacle }: Pick<OutputEnd, "kind" | "obstacle">,
): UserError {
  const what = kind === "independent" ? "Sigmoid" : "Softmax";
  return new UserError(
    `output "${name}" holds probabilities that cannot be undone (${obstacle}), and the loss needs logits: name the output that holds them (output, --output), or export the model without its ${what}`,
  );
}

/** The output of a classifier, whether or not its logits are known. */
export function classEnd(
  { ends }: { ends: ReadonlyMap<string, OutputEnd> },
  output?: string,
): { name: string; end: OutputEnd } {
  const name = chooseOutput([...ends.keys()], output);
  const end = ends.get(name);
  if (!end || classCount(end.logits) === undefined) {
    throw new UserError(
      `output "${name}" is ${end ? describe(end.logits) : "no tensor"}; the logits of a classifier are [batch, classes] with two classes or more`,
    );
  }
  return { name, end };
}

/** The output of the given name, or the only one there is. */
export function chooseOutput(outputs: readonly string[], name: string | undefined): string {
  if (name === undefined && outputs.length !== 1) {
    throw new UserError(
      `the model has the outputs ${outputs.join(", ")}; say which one holds the logits (output, --output)`,
    );
  }
  if (name !== undefined && !outputs.includes(name)) {
    throw new UserError(`the model has no output "${name}"; it has ${outputs.join(", ")}`);
  }
  return name ?? outputs[0];
}

/** A classifier's output as [batch, classes]. */
export function asRows(value: Value): Value {
  const classes = classCount(value);
  return value.shape.length === 2 || classes === undefined
    ? value
    : reshape(value, [value.shape[0], classes]);
}
