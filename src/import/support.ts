import { differentiabilityOf } from "../ops/operator.ts";
import "../ops/index.ts";
import { movementAdapters } from "./movement-adapters.ts";
import { trainingAdapters } from "./training-adapters.ts";

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
const constants = new Set(["Constant", "ConstantOfShape", "Shape", "Size", "If"]);

/** Operators that become others, and so need no rule of their own. */
const replaced = new Set(["Identity", "CastLike", "Sum", "Mean", "Upsample"]);

export function operatorSupport(operator: string, domain = ""): OperatorSupport {
  if (domain !== "" && domain !== "ai.onnx") return "none";
  if (constants.has(operator)) return "constant";
  const known = differentiabilityOf(operator);
  if (known) return known === "none" ? "forward" : known;
  const built = [movementAdapters, trainingAdapters].some((table) => Object.hasOwn(table, operator));
  return built || replaced.has(operator) ? "yes" : "none";
}
