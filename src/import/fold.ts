import { type Attributes, elementCount, type Value } from "../graph/graph.ts";
import type { Evaluator } from "./evaluator.ts";
import { arithmeticEvaluators } from "./fold-arithmetic.ts";
import { indexingEvaluators } from "./fold-indexing.ts";
import { movementEvaluators } from "./fold-movement.ts";
import { constantData, type SmallTensor, smallTensor } from "./small-tensor.ts";

// Nodes that read nothing but constants, evaluated here. Exporters emit chains of them for every shape that depends on
// another one: Shape → Gather → Unsqueeze → Concat → Reshape. As all shapes are known, so are their results.

/** How constants are computed, by operator. */
export const evaluators: Readonly<Record<string, Evaluator>> = {
  ...arithmeticEvaluators,
  ...movementEvaluators,
  ...indexingEvaluators,
};

/**
 * The outputs of a node in the newest form of its operator whose inputs are constants, as constants; undefined where it
 * has to be computed while running.
 */
export function fold(
  operator: string,
  inputs: readonly (Value | undefined)[],
  attributes: Attributes,
): readonly Value[] | undefined {
  if (!Object.hasOwn(evaluators, operator)) return undefined;
  const evaluator = evaluators[operator];
  const [least, most] = evaluator.inputs;
  const given = inputs.slice(0, inputs.findLastIndex((input) => input !== undefined) + 1);
  if (given.length > most || Array.from({ length: least }, (_, index) => given[index]).includes(undefined))
    return undefined;
  if (!Object.keys(attributes).every((name) => evaluator.attributes.includes(name))) return undefined;
  const tensors = given.map((value) => value && smallTensor(value));
  if (tensors.some((tensor, index) => !tensor && given[index])) return undefined;
  const outputs = evaluator.evaluate(tensors as readonly SmallTensor[], attributes);
  if (!outputs?.every(({ shape, data }) => data.length === elementCount(shape))) return undefined;
  const [{ graph }] = given as readonly Value[];
  return outputs.map((output) => graph.constant(constantData(output)));
}
