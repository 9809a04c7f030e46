import type { Graph } from "../graph/graph.ts";
import { type ToOnnxOptions, toOnnx } from "../graph/to-onnx.ts";
import { nodesOf } from "../graph/walk.ts";
import { writeModel } from "../onnx/model.ts";
import { requiredOpset } from "../ops/operator.ts";
import { lower } from "./lower.ts";

/**
 * A graph as the bytes of an ONNX file: lowered, in the smallest operator set that has what it uses. With weights
 * inside or a symbolic batch it is a model for others to run and is left plain: ONNX Runtime rearranges stored weights
 * by itself.
 */
export function compile(graph: Graph, options: Omit<ToOnnxOptions, "opset"> = {}): Uint8Array<ArrayBuffer> {
  const plain = options.weights !== undefined || options.symbolicBatch !== undefined;
  const lowered = lower(graph, { plain });
  return writeModel(toOnnx(lowered, { ...options, opset: requiredOpset(nodesOf(lowered.outputs.values())) }));
}
