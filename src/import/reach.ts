import { type DataType, dataTypeNumber, dataTypes, isFloat, wideType } from "../onnx/types.ts";
import { operatorSupport } from "./support.ts";
import type { FileNode, Wire } from "./uses.ts";

// Which tensors of a file depend on which: on inputs, and differentiably on what is stored.

/** Floating-point inputs of operators that say how something is done: constants, whatever is in them. */
export const constantInputs: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  QuantizeLinear: { 1: "quantizer scale", 2: "quantizer zero point" },
  DequantizeLinear: { 1: "quantizer scale", 2: "quantizer zero point" },
  Clip: { 1: "limit of Clip", 2: "limit of Clip" },
  Resize: { 1: "scale of Resize", 2: "scale of Resize" },
  Upsample: { 1: "scale of Resize" },
  Dropout: { 1: "ratio of Dropout" },
  Pad: { 2: "padding value" },
  Range: { 0: "limit of Range", 1: "limit of Range", 2: "limit of Range" },
  RoiAlign: { 1: "region" },
  MaxRoiPool: { 1: "region" },
};

/** Inputs that are tables and factors where a file stores them, although they have gradients where it computes them. */
export const storedConstants: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  OneHot: { 2: "values of OneHot" },
  RotaryEmbedding: { 1: "table of sines and cosines", 2: "table of sines and cosines" },
  SoftmaxCrossEntropyLoss: { 2: "class weights" },
  NegativeLogLikelihoodLoss: { 2: "class weights" },
};

/** Further outputs that are indices or masks. */
const indexOutputs: Readonly<Record<string, readonly number[]>> = { TopK: [1], MaxPool: [1], Dropout: [1] };

/** Operators behind which the elements of a tensor are still what they were, some of them perhaps. */
export const keepsElements = new Set([
  ...[
    "Identity",
    "Reshape",
    "Transpose",
    "Squeeze",
    "Unsqueeze",
    "Flatten",
    "Expand",
    "Tile",
    "Slice",
    "Split",
  ],
  ...[
    "Cast",
    "CastLike",
    "SplitToSequence",
    "SequenceAt",
    "SequenceConstruct",
    "Optional",
    "OptionalGetElement",
  ],
  ...["QuantizeLinear", "DequantizeLinear", "Pad"],
]);

export const arithmetic = new Set(["Add", "Sub", "Mul", "Div"]);

export interface Use {
  node: FileNode;
  index: number;
  /** What the node reads: the tensor itself, or what became of it. */
  at: Wire;
}

export function isStatistic({ operator, domain }: FileNode, index: number): boolean {
  return domain === "" && operator === "BatchNormalization" && index >= 3 && index <= 4;
}

/** The nodes that read a tensor, or read what some of its readers make of it: those that are passed are left out. */
export function readersBehind(
  wire: Wire,
  passed: ReadonlySet<string> | ((node: FileNode, index: number) => boolean),
): Use[] {
  const isPassed = (node: FileNode, index: number) =>
    typeof passed === "function"
      ? passed(node, index)
      : index === 0 && node.domain === "" && passed.has(node.operator) && !isCastToOther(node);
  const found: Use[] = [];
  const seen = new Set([wire]);
  for (const at of seen) {
    for (const { node, index } of at.readers) {
      if (!isPassed(node, index)) found.push({ node, index, at });
      else for (const output of node.outputs) if (output) seen.add(output);
    }
  }
  return found;
}

/** Everything that depends on inputs. Sizes do not: they are known when a graph is built. */
export function fedBy(inputs: readonly Wire[]): ReadonlySet<Wire> {
  const fed = new Set(inputs);
  for (const wire of fed) {
    for (const { node } of wire.readers) {
      if (node.operator === "Shape" || node.operator === "Size") continue;
      for (const output of node.outputs) if (output) fed.add(output);
    }
  }
  return fed;
}

/** The inputs, in another form or scaled, before anything is computed from it. */
export function inputsAsTheyAre(
  inputs: readonly Wire[],
  fed: ReadonlySet<Wire>,
  isFactor: (wire: Wire) => boolean,
): ReadonlySet<Wire> {
  const raw = new Set(inputs);
  for (const wire of raw) {
    for (const { node, index } of wire.readers) {
      const others = node.inputs.filter((other, at) => other && at !== index) as Wire[];
      const keeps = index === 0 && (keepsElements.has(node.operator) || node.operator === "Resize");
      const scales =
        arithmetic.has(node.operator) && others.every((other) => !fed.has(other) && isFactor(other));
      if (keeps || scales) for (const output of node.outputs) if (output) raw.add(output);
    }
  }
  return raw;
}

/** Everything that an output depends on differentiably. */
export function reachedBackward(outputs: readonly Wire[]): ReadonlySet<Wire> {
  const reached = new Set(outputs);
  for (const wire of reached) {
    for (const node of wire.makers) {
      const output = node.outputs.indexOf(wire);
      for (const [index, input] of node.inputs.entries())
        if (input && passesGradient(node, index, output)) reached.add(input);
    }
  }
  return reached;
}

export function withAncestors(outputs: readonly Wire[]): ReadonlySet<Wire> {
  const found = new Set(outputs);
  for (const { makers } of found)
    for (const input of makers.flatMap(({ inputs }) => inputs)) if (input) found.add(input);
  return found;
}

/**
 * Whether a gradient comes back from an output of a node to an input. Operators that are not known, or not
 * differentiated, count: a model with them is refused, and not trained without what is before them.
 */
export function passesGradient(node: FileNode, index: number, output: number): boolean {
  const { operator, domain } = node;
  if (domain !== "" && domain !== "ai.onnx") return true;
  if (constantInputs[operator]?.[index] !== undefined || isStatistic(node, index)) return false;
  if (indexOutputs[operator]?.includes(output) || isCastToOther(node)) return false;
  const support = operatorSupport(operator, domain);
  return support !== "zero" && support !== "constant";
}

function isCastToOther({ operator, proto }: FileNode): boolean {
  const target = operator === "Cast" ? proto.attribute.find(({ name }) => name === "to") : undefined;
  return target !== undefined && !floats.has(Number(target.i));
}

const floats: ReadonlySet<number> = new Set(
  (Object.keys(dataTypes) as DataType[]).filter((type) => isFloat(wideType(type))).map(dataTypeNumber),
);
