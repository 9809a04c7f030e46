import type { Graph } from "../graph/graph.ts";
import { type ToOnnxOptions, toOnnx } from "../graph/to-onnx.ts";
import { nodesOf } from "../graph/walk.ts";
import { writeModel } from "../onnx/model.ts";
import { requiredOpset } from "../ops/operator.ts";
import { lower } from "./lower.ts";

/** A graph as the bytes of an ONNX file: lowered, in the smallest operator set that has what it uses. */
export function compile(graph: Graph, options: Omit<ToOnnxOptions, "opset"> = {}): Uint8Array<ArrayBuffer> {
  const lowered = lower(graph);
  return writeModel(toOnnx(lowered, { ...options, opset: requiredOpset(nodesOf(lowered.outputs.values())) }));
}
