import type { Node, Value } from "../graph/graph.ts";
import { sameShape } from "../graph/graph.ts";
import { binary } from "../ops/arithmetic.ts";
import { cast } from "../ops/elementwise.ts";
import { broadcastShape } from "../ops/operator.ts";

/**
 * The sign of what Relu left is 1 or 0, which is what casting to bool and back gives too. ONNX Runtime's Sign takes
 * 2.5 ms on 128×16×32×32, the two casts 0.9 ms.
 */
export function lowerSign([x]: readonly Value[], node: Node): readonly Value[] | undefined {
  const { origin } = node.inputs[0]!;
  if (origin.kind !== "node" || origin.node.operator !== "Relu") return undefined;
  return [cast(cast(x, "bool"), x.type)];
}

/** Arithmetic broadcasts by itself, so an operand need not be stretched first where the other one has the shape. */
export function lowerArithmetic([a, b]: readonly Value[], node: Node): readonly Value[] | undefined {
  const { shape } = node.outputs[0];
  const fits = (left: Value, right: Value) => sameShape(broadcastShape(node.operator, left, right), shape);
  const left = fits(unstretched(a), b) ? unstretched(a) : a;
  const right = fits(left, unstretched(b)) ? unstretched(b) : b;
  return left === a && right === b ? undefined : [binary(node.operator, left, right)];
}

function unstretched(value: Value): Value {
  const { origin } = value;
  return origin.kind === "node" && origin.node.operator === "Expand" ? origin.node.inputs[0]! : value;
}
