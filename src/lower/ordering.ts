import { int64Vector } from "../graph/constants.ts";
import type { Node, Value } from "../graph/graph.ts";
import { less, where } from "../ops/comparison.ts";
import { abs, cast } from "../ops/elementwise.ts";
import { reshape } from "../ops/movement.ts";
import { intAttribute } from "../ops/operator.ts";
import { slice } from "../ops/slicing.ts";
import type { Target } from "./target.ts";

/**
 * x once `other` is known. ONNX has no edges for order alone, so this is an Unsqueeze, which copies nothing, by axes that are
 * none at all: those of a vector from 0 or 1, by the sign of an element of `other`, to 0. ONNX Runtime does not know that
 * there are none, so it neither folds the node nor takes what reads the result for what reads x. A Reshape would do as well, but
 * it fuses those without looking at where the sizes come from. A device computes axes on the processor and would wait for
 * that: there x is chosen element by element, where it is float32, and does not wait otherwise.
 */
export function lowerAfter([x, other]: readonly Value[], node: Node, target: Target): readonly Value[] {
  if (!waits(node, target)) return [x];
  const { graph } = x;
  const starts = other.shape.map(() => 0);
  const first = slice(other, { axes: [...starts.keys()], starts, ends: other.shape.map(() => 1) });
  const one = reshape(first, [1]);
  if (target.lacks !== undefined) return [x.type === "float32" ? where(less(abs(one), 0), 0, x) : x];
  const zero = int64Vector(graph, [0]);
  const axes = graph.add("Slice", [zero, cast(less(one, 0), "int64"), zero], {}, [zero]);
  return graph.add("Unsqueeze", [x, ...axes], {}, [x]);
}

/** Whether a node is one that a program for the target waits by. */
export function waits({ operator, attributes }: Node, { freesMemory = false }: Target): boolean {
  return operator === "After" && (freesMemory || intAttribute(attributes, "hint", 0) === 0);
}
