import { Graph, type Value } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { reduceSum } from "../ops/reduction.ts";
import type { Engine } from "../runtime/engine.ts";

// Small programs for tests of engines.

export const vector = (...values: number[]) => tensorData(values, [values.length], "float64");

/** The bytes of a program: `body` builds its outputs from inputs that are vectors of two numbers. */
export function vectorProgram(
  inputs: readonly string[],
  body: (...values: Value[]) => Record<string, Value>,
): Uint8Array {
  const graph = new Graph();
  const values = inputs.map((name) => graph.input(name, "float64", [2]));
  for (const [name, value] of Object.entries(body(...values))) graph.output(name, value);
  return compile(graph);
}

/** x ← x·a + b elementwise, and the sum of the old x. Two of these in another order give another result. */
export const affine = vectorProgram(["x", "a", "b"], (x, a, b) => ({
  "x.next": add(mul(x, a), b),
  sum: reduceSum(x),
}));

/** Closes the engine however `body` ends: a thread that is left running would keep the process alive. */
export async function using(engine: Engine, body: (engine: Engine) => Promise<void>): Promise<void> {
  try {
    await body(engine);
  } finally {
    await engine.close();
  }
}
