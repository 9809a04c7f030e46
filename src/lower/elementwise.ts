import type { Node, Value } from "../graph/graph.ts";
import { sameShape } from "../graph/graph.ts";
import { madeBy } from "../graph/walk.ts";
import { binary } from "../ops/arithmetic.ts";
import { cast, hardSigmoid } from "../ops/elementwise.ts";
import { broadcastShape } from "../ops/operator.ts";
import type { Target } from "./target.ts";

/** Close to the largest float32: a slope that takes every normal number above 0 beyond 1. */
const steepest = 3.4e38;

/**
 * The sign of what Relu left is 1 or 0. HardSigmoid, which is slope·y between 0 and 1, runs on all threads; a second one
 * takes what the first leaves of a denormal y, from 4e-7 on, to 1 as well. ONNX Runtime's Sign takes 2.5 ms on
 * 128×16×32×32. Casting to bool and back, 0.9 ms on one thread whatever there are, takes as long as the two on one
 * thread and half as long again as they do on two. Devices other than the processor may take denormals for 0, and cast.
 * The sign of NaN is NaN. In WebAssembly Sign is the fast one: 0.25 ms on 128×32×14×14, and one HardSigmoid 0.82.
 */
export function lowerSign([x]: readonly Value[], node: Node, target: Target): readonly Value[] | undefined {
  const [signed] = node.inputs as readonly Value[];
  if (!madeBy(madeBy(signed, "After")?.node.inputs[0] ?? signed, "Relu")) return undefined;
  if (x.type === "float32" && target.webAssembly) return undefined;
  if (x.type !== "float32" || target.lacks !== undefined) return [cast(cast(x, "bool"), x.type)];
  return [hardSigmoid(hardSigmoid(x, steepest, 0), steepest, 0)];
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
  return madeBy(value, "Expand")?.node.inputs[0] ?? value;
}
