import { Graph, type Node, type Value } from "../graph/graph.ts";
import { copyInto } from "../graph/walk.ts";
import { lowerConvInputGradient } from "./convolution.ts";
import { lowerArithmetic, lowerSign } from "./elementwise.ts";
import { float64Rules } from "./float64.ts";
import { lowerPad } from "./movement.ts";
import { lowerBatchNormTraining } from "./normalization.ts";
import { lowerScatterElements } from "./pooling.ts";
import { lowerReduceSum } from "./reduction.ts";
import { lowerConvWeightGradient } from "./weight-gradient.ts";

/** Builds what stands for a node in the lowered graph, from the node's inputs there; undefined keeps the node. */
export type LoweringRule = (inputs: readonly Value[], node: Node) => readonly Value[] | undefined;

const rules: Record<string, LoweringRule> = {
  // Operators that ONNX does not have.
  BatchNormTraining: lowerBatchNormTraining,
  ConvInputGradient: lowerConvInputGradient,
  ConvWeightGradient: lowerConvWeightGradient,
  // The same numbers in a form that ONNX Runtime computes faster.
  Add: lowerArithmetic,
  Div: lowerArithmetic,
  Mul: lowerArithmetic,
  Sub: lowerArithmetic,
  Pad: lowerPad,
  ReduceSum: lowerReduceSum,
  ScatterElements: lowerScatterElements,
  Sign: lowerSign,
};

/**
 * The same computation in operators that ONNX Runtime has: training operators are expanded, and in float64 so are
 * the operators it has no float64 kernel for. The result's inputs are those that are still needed.
 */
export function lower(graph: Graph): Graph {
  const target = new Graph();
  const outputs = [...graph.outputs];
  const lowered = copyInto(
    target,
    outputs.map(([, value]) => value),
    new Map(),
    (node, inputs) => {
      const table = node.outputs[0].type === "float64" && float64Rules[node.operator] ? float64Rules : rules;
      return table[node.operator]?.(inputs as readonly Value[], node);
    },
  );
  for (const [index, [name]] of outputs.entries()) target.output(name, lowered[index]);
  return target;
}
