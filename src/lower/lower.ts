import { Graph, type Value } from "../graph/graph.ts";
import { copyInto } from "../graph/walk.ts";
import type { DataType } from "../onnx/tensor.ts";
import { plainDepthToSpace, plainSpaceToDepth } from "../ops/layout.ts";
import { operatorRule, stringAttribute } from "../ops/operator.ts";
import { plainResize } from "../ops/resize.ts";
import { targetDomains } from "./blocked.ts";
import { lowerConv } from "./convolution.ts";
import { lowerArithmetic, lowerSign } from "./elementwise.ts";
import { float64Rules } from "./float64.ts";
import { lowerConvInputGradient } from "./input-gradient.ts";
import { integerRules } from "./integers.ts";
import { lowerPad } from "./movement.ts";
import { lowerBatchNormTraining } from "./normalization.ts";
import { lowerAfter } from "./ordering.ts";
import { lowerGemm } from "./perturbed-product.ts";
import { lowerScatterElements } from "./pooling.ts";
import { portableRules } from "./portable.ts";
import { lowerReduceSum } from "./reduction.ts";
import type { LoweringRule } from "./rule.ts";
import { lowerLogSoftmax, lowerSoftmax } from "./softmax.ts";
import { withSumsInConvolutions } from "./sums.ts";
import { doesLack, type Target } from "./target.ts";
import { lowerConvWeightGradient } from "./weight-gradient.ts";

/** What ONNX Runtime moves blocks of. */
const blockTypes: ReadonlySet<DataType> = new Set(["float32", "float64", "uint8", "int8"]);

/** For operators, and forms of operators, that ONNX or ONNX Runtime does not have. */
const necessaryRules: Record<string, LoweringRule> = {
  After: lowerAfter,
  BatchNormTraining: lowerBatchNormTraining,
  ConvInputGradient: lowerConvInputGradient,
  ConvWeightGradient: lowerConvWeightGradient,
  DepthToSpace: ([x], { attributes }) =>
    blockTypes.has(x.type) ? undefined : [plainDepthToSpace(x, attributes)],
  // A mode that opset 19 took away.
  Resize: (inputs, { attributes }) =>
    stringAttribute(attributes, "coordinate_transformation_mode", "") === "tf_half_pixel_for_nn"
      ? [plainResize(inputs, attributes)]
      : undefined,
  SpaceToDepth: ([x], { attributes }) =>
    blockTypes.has(x.type) && !attributes.mode ? undefined : [plainSpaceToDepth(x, attributes)],
};

/** The same numbers in forms that ONNX Runtime computes faster. */
const fasterRules: Record<string, LoweringRule> = {
  Add: lowerArithmetic,
  Conv: lowerConv,
  Div: lowerArithmetic,
  Gemm: lowerGemm,
  LogSoftmax: lowerLogSoftmax,
  Mul: lowerArithmetic,
  Pad: lowerPad,
  ReduceSum: lowerReduceSum,
  ScatterElements: lowerScatterElements,
  Sign: lowerSign,
  Softmax: lowerSoftmax,
  Sub: lowerArithmetic,
};

/** For forms that an operator's own definition has without its kernel. */
const ownRule: LoweringRule = (inputs, { operator, attributes }) => {
  const built = operatorRule(operator).plain?.(inputs, attributes);
  return built && [built];
};

/** The rules by the operators they are for. */
export const ruleTables = [necessaryRules, fasterRules, float64Rules, integerRules];

export interface LowerOptions {
  /** Leave operators that ONNX has as they are: the batch size stays out of the graph. Default false. */
  plain?: boolean;
  /** What the engine has beyond ONNX, and what it lacks; the program is then for that target alone. Default nothing; not if `plain`. */
  target?: Target;
}

/**
 * The same computation in operators that ONNX Runtime has: training operators are expanded, in float64 so are the
 * operators it has no float64 kernel for, what the target lacks takes another form, and others take the form that is
 * fastest. The result's inputs are those that are still needed.
 */
export function lower(graph: Graph, { plain = false, target = {} }: LowerOptions = {}): Graph {
  const result = new Graph();
  const outputs = [...graph.outputs];
  const rules = plain ? necessaryRules : { ...necessaryRules, ...fasterRules };
  const lowered = copyInto(
    result,
    outputs.map(([, value]) => value),
    new Map(),
    (node, inputs) => {
      if (Object.hasOwn(targetDomains, node.domain)) return undefined;
      const inFloat64 = [node.outputs[0], node.inputs[0]].some((value) => value?.type === "float64");
      const table = inFloat64 && Object.hasOwn(float64Rules, node.operator) ? float64Rules : rules;
      const portable = portableRules[node.operator];
      const lacked = !plain && portable && doesLack(target, portable.lack) ? portable.rule : undefined;
      for (const rule of [lacked, integerRules[node.operator], table[node.operator], ownRule]) {
        const built = rule?.(inputs as readonly Value[], node, plain ? {} : target);
        if (built) return built;
      }
      return undefined;
    },
  );
  for (const [index, [name]] of outputs.entries()) result.output(name, lowered[index]);
  return plain || target.blockedChannels === undefined ? result : withSumsInConvolutions(result);
}
