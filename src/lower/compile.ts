import { readOptions } from "../common/options.ts";
import { constantNumbers, int64Vector } from "../graph/constants.ts";
import { Graph } from "../graph/graph.ts";
import { type ToOnnxOptions, toOnnx } from "../graph/to-onnx.ts";
import { copyInto, nodesOf } from "../graph/walk.ts";
import { writeModel } from "../onnx/model.ts";
import { addAll } from "../ops/arithmetic.ts";
import { requiredOpset } from "../ops/operator.ts";
import { reduceSumSquare } from "../ops/reduction.ts";
import { targetDomains } from "./blocked.ts";
import { lower } from "./lower.ts";
import { waits } from "./ordering.ts";
import { squaresName, type Target } from "./target.ts";

export interface CompileOptions extends Omit<ToOnnxOptions, "opset" | "domains" | "unsized"> {
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
  const isOnProcessor = target?.lacks === undefined;
  const saves = isOnProcessor && nodesOf(graph.outputs.values()).some((node) => waits(node, target ?? {}));
  const sized = lower(graph, { plain, target });
  const lowered = saves ? withoutSizes(sized) : sized;
  if (target?.keepsNext && !plain) addSquares(lowered);
  const opset = requiredOpset(nodesOf(lowered.outputs.values()));
  const unsized = saves ? dataOf(lowered) : undefined;
  return writeModel(toOnnx(lowered, { ...options, opset, unsized, domains: target && targetDomains }));
}

/**
 * The same graph with sizes left to be found when it runs. ONNX Runtime keeps the memory of a result that is not needed
 * any more for the next one of the same sizes, as far away as that may be, if it knows the sizes beforehand. With sizes open
 * it frees the memory instead.
 */
function withoutSizes(graph: Graph): Graph {
  const result = new Graph();
  const outputs = [...graph.outputs];
  const values = outputs.map(([, value]) => value);
  const copies = copyInto(
    result,
    values,
    new Map(),
    ({ operator, attributes, outputs }, [x, sizes], target) => {
      const numbers = operator === "Reshape" ? constantNumbers(sizes) : undefined;
      const largest = Math.max(...(numbers ?? []));
      if (!x || !numbers || largest < 2 || numbers.some((size) => size < 1)) return undefined;
      const open = int64Vector(target, numbers.with(numbers.indexOf(largest), -1));
      return target.add("Reshape", [x, open], attributes, outputs);
    },
  );
  for (const [index, [name]] of outputs.entries()) result.output(name, copies[index]);
  return result;
}

/** The inputs that are not replaced by an output `x.next`: a batch, rates. */
function dataOf(graph: Graph): Set<string> {
  const names = [...graph.inputs].flatMap(([name, { shape }]) => (shape.length > 0 ? [name] : []));
  return new Set(names.filter((name) => !graph.outputs.has(`${name}.next`)));
}

/** For an engine that does not see the next values, whether all are finite. */
function addSquares(graph: Graph): void {
  const next = [...graph.outputs].filter(([name, { type }]) => name.endsWith(".next") && type === "float32");
  if (next.length > 0) graph.output(squaresName, addAll(next.map(([, value]) => reduceSumSquare(value))));
}
