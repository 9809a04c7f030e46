import { differentiabilityOf } from "../ops/operator.ts";
import "../ops/registry.ts";
import { adapters } from "./adapters.ts";
import { isSequenceOperator } from "./sequences.ts";
import { isSubgraphOperator } from "./subgraphs.ts";

/**
 * How far an operator of a file can be trained through.
 * - `"yes"`: it has a gradient.
 * - `"zero"`: it is constant almost everywhere (a comparison, an index), so nothing before it learns through it.
 * - `"constant"`: it is known before the graph runs.
 * - `"forward"`: it runs, but is not differentiated: what trains before it has to be frozen.
 * - `"none"`: it has no rule here; a model with it is not read.
 */
export type OperatorSupport = "yes" | "zero" | "constant" | "forward" | "none";

/** Operators that are computed while the graph is built. */
const constants = new Set(["Constant", "ConstantOfShape", "Shape", "Size"]);

/** Operators of older opsets that become others. */
const replaced = new Set(["Upsample", "Scatter"]);

export function operatorSupport(operator: string, domain = ""): OperatorSupport {
  if (domain !== "" && domain !== "ai.onnx") return "none";
  if (constants.has(operator)) return "constant";
  if (isSequenceOperator(operator) || isSubgraphOperator(operator)) return "yes";
  const known = differentiabilityOf(operator);
  if (known) return known === "none" ? "forward" : known;
  return Object.hasOwn(adapters, operator) || replaced.has(operator) ? "yes" : "none";
}
