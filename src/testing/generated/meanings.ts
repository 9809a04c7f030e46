import { elementCount } from "../../graph/graph.ts";
import type { TrainableModel } from "../../import/load.ts";
import { isFloat } from "../../onnx/types.ts";
import { differentiabilityOf } from "../../ops/operator.ts";
import type { DrawnModel } from "./drawing.ts";
import type { GeneratedFile } from "./file.ts";
import type { Failure } from "./findings.ts";

// What is listed as a parameter.

/** Every parameter is listed as one, and everything else that is stored is not. */
export function checkMeanings(
  model: DrawnModel,
  file: GeneratedFile,
  loaded: TrainableModel,
  failures: Failure[],
): void {
  const byName = new Map(loaded.parameters.map((one) => [one.storedName, one]));
  const reached = reachedBy(model);
  for (const { name, type, meaning, shape } of model.stored) {
    // A single number may be either: a factor that is learned, or one that is not.
    if (!isFloat(type) || (meaning === "parameter" && elementCount(shape) <= 1)) continue;
    const own = file.names.get(name)!;
    // In a function its name has the function's before it.
    const one = [own, `Part.${own}`, `Part.inner ${own}`].map((each) => byName.get(each)).find(Boolean);
    if (meaning === "constant" && one?.trainable)
      failures.push({
        check: "roles",
        message: `constant "${own}" [${shape.join()}] trains, as ${one.role}`,
      });
    // Where a name says nothing, elements may look like a constant's: that is a guess, and Lowland says so.
    const isGuess = one?.frozenBy === "guess" && one.storedName !== name;
    if (meaning === "parameter" && reached.has(name) && !one?.trainable && !isGuess)
      failures.push({
        check: "roles",
        message: `parameter "${own}" [${shape.join()}] is ${one ? `${one.role} (${one.reason})` : "not listed"}`,
      });
  }
}

/** The tensors that an output depends on differentiably: over numbers that are real, through operators with a gradient. */
function reachedBy({ nodes, made, outputs }: DrawnModel): Set<string> {
  const found = new Set(outputs.filter(({ blocked }) => !blocked).map(({ name }) => name));
  for (const { operator, inputs, outputs: given } of nodes.toReversed()) {
    // What is quantized is taken back again, and the gradient goes straight through.
    const passes = (name: string) => operator === "QuantizeLinear" || isFloat(made.get(name)?.type ?? "bool");
    const isZero = differentiabilityOf(operator) === "zero";
    if (!isZero && given.some((name) => found.has(name) && passes(name)))
      for (const name of inputs) found.add(name);
  }
  return found;
}
