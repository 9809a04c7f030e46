import { readOptions } from "../common/options.ts";
import type { Graph } from "../graph/graph.ts";
import { type ToOnnxOptions, toOnnx } from "../graph/to-onnx.ts";
import { nodesOf } from "../graph/walk.ts";
import { writeModel } from "../onnx/model.ts";
import { addAll } from "../ops/arithmetic.ts";
import { requiredOpset } from "../ops/operator.ts";
import { reduceSumSquare } from "../ops/reduction.ts";
import { targetDomains } from "./blocked.ts";
import { lower } from "./lower.ts";
import { squaresName, type Target } from "./target.ts";

export interface CompileOptions extends Omit<ToOnnxOptions, "opset" | "domains"> {
  /** What the engine that runs the program can do beyond ONNX, and cannot do. Default nothing: any program that reads ONNX runs it. */
  target?: Target;
}

/**
 * A graph as the bytes of an ONNX file: lowered, in the smallest operator set that has what it uses. With weights
 * inside or a symbolic batch it is a model for others to run and is left plain: ONNX Runtime rearranges stored weights
 * by itself. For a target (`engine.target()`) it is a program for that engine, faster and not to be kept.
 */
export function compile(graph: Graph, given: CompileOptions = {}): Uint8Array<ArrayBuffer> {
  const kinds = {
    target: "object",
    weights: "object",
    symbolicBatch: "text",
    name: "text",
    metadata: "object",
  } as const;
  const { target, ...options } = readOptions("compile", given, kinds);
  const plain = options.weights !== undefined || options.symbolicBatch !== undefined;
  const lowered = lower(graph, { plain, target });
  if (target?.keepsNext && !plain) addSquares(lowered);
  const opset = requiredOpset(nodesOf(lowered.outputs.values()));
  return writeModel(toOnnx(lowered, { ...options, opset, domains: target && targetDomains }));
}

/** For an engine that does not see the next values, whether all are finite. */
function addSquares(graph: Graph): void {
  const next = [...graph.outputs].filter(([name, { type }]) => name.endsWith(".next") && type === "float32");
  if (next.length > 0) graph.output(squaresName, addAll(next.map(([, value]) => reduceSumSquare(value))));
}
