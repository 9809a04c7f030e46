import { constantNumbers, int64Vector } from "../graph/constants.ts";
import type { Node, Value } from "../graph/graph.ts";
import { reshape } from "../ops/movement.ts";
import { apply, ints, stringAttribute } from "../ops/operator.ts";
import { readPool } from "../ops/pooling.ts";

/**
 * The gradient of a MaxPool is scattered to where each maximum stood. Where windows do not overlap no place is named
 * twice, and MaxUnpool does the same five times faster than ScatterElements (0.2 ms instead of 1 on 128×6×28×28).
 */
export function lowerScatterElements(
  [data, indices, updates]: readonly Value[],
  node: Node,
): readonly Value[] | undefined {
  // Zeros that are multiplied, or compared with what is put there, are others.
  if (!["none", "add"].includes(stringAttribute(node.attributes, "reduction", "none"))) return undefined;
  const places = source(indices, "Reshape")?.node.inputs[0];
  const pool = places && source(places, "MaxPool");
  const zero = source(data, "Expand")?.node.inputs[0];
  if (!places || pool?.index !== 1 || !zero || constantNumbers(zero)?.[0] !== 0) return undefined;
  const [x] = pool.node.inputs as readonly Value[];
  const { kernel, strides, pads, dilations } = readPool(x, pool.node.attributes);
  const apart = kernel.every((length, axis) => strides[axis] >= length && dilations[axis] === 1);
  if (!apart || x.type !== "float32") return undefined;
  const window = { kernel_shape: ints(kernel), strides: ints(strides), pads: ints(pads) };
  const gradient = reshape(updates, places.shape);
  const [spread] = apply("MaxUnpool", [gradient, places, int64Vector(x.graph, x.shape)], window);
  return [reshape(spread, node.outputs[0].shape)];
}

/** Where a value comes from, if that is a node of an operator. */
function source(value: Value, operator: string) {
  const { origin } = value;
  return origin.kind === "node" && origin.node.operator === operator ? origin : undefined;
}
