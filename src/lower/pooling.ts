import { constantNumbers, int64Vector } from "../graph/constants.ts";
import type { Node, Value } from "../graph/graph.ts";
import { madeBy } from "../graph/walk.ts";
import { reshape } from "../ops/movement.ts";
import { apply, ints, stringAttribute } from "../ops/operator.ts";
import { readPool } from "../ops/pooling.ts";
import { doesLack, type Target } from "./target.ts";

/**
 * The gradient of a MaxPool is scattered to where each maximum stood. Where windows do not overlap no place is named
 * twice, and MaxUnpool does the same five times faster than ScatterElements (0.2 ms instead of 1 on 128×6×28×28).
 */
export function lowerScatterElements(
  inputs: readonly Value[],
  node: Node,
  target: Target,
): readonly Value[] | undefined {
  const found = doesLack(target, "max-unpool") ? undefined : scatteredMaxima(inputs, node);
  if (!found) return undefined;
  const { x, places, gradient, attributes } = found;
  const { kernel, strides, pads, dilations } = readPool(x, attributes);
  const apart = kernel.every((length, axis) => strides[axis] >= length && dilations[axis] === 1);
  if (!apart || x.type !== "float32") return undefined;
  const window = { kernel_shape: ints(kernel), strides: ints(strides), pads: ints(pads) };
  const [spread] = apply("MaxUnpool", [gradient, places, int64Vector(x.graph, x.shape)], window);
  return [reshape(spread, node.outputs[0].shape)];
}

/** The MaxPool whose gradient a ScatterElements is: its input, its outputs and what is scattered, in the shape of these. */
export function scatteredMaxima([data, indices, updates]: readonly Value[], node: Node) {
  // Zeros that are multiplied, or compared with what is put there, are others.
  if (!["none", "add"].includes(stringAttribute(node.attributes, "reduction", "none"))) return undefined;
  const places = madeBy(indices, "Reshape")?.node.inputs[0];
  const pool = places && madeBy(places, "MaxPool");
  const zero = madeBy(data, "Expand")?.node.inputs[0];
  if (!places || pool?.index !== 1 || !zero || constantNumbers(zero)?.[0] !== 0) return undefined;
  const [x] = pool.node.inputs as readonly Value[];
  const [y] = pool.node.outputs;
  return { x, y, places, gradient: reshape(updates, places.shape), attributes: pool.node.attributes };
}
