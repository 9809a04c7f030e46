import { tensorData } from "../onnx/tensor-data.ts";
import type { Graph, Value } from "./graph.ts";

/** A vector of int64: what ONNX wants for shapes, axes and the like. */
export function int64Vector(graph: Graph, values: readonly number[]): Value {
  return graph.constant(tensorData(values, [values.length], "int64"));
}

/** The numbers of a constant, or undefined when the value is computed or an input. */
export function constantNumbers(value: Value | undefined): number[] | undefined {
  if (value?.origin.kind !== "constant") return undefined;
  return Array.from(value.origin.data.data as ArrayLike<number | bigint>, Number);
}
