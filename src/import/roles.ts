import { elementCount } from "../graph/graph.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import type { TensorData } from "../onnx/tensor.ts";
import type { ParameterKind } from "../optim/parameter-groups.ts";
import {
  isAdditiveMask,
  isBinary,
  isFilledWith,
  isSequence,
  isSinusoidal,
  isUniform,
  isVector,
  isWhole,
} from "./constant-tensors.ts";
import {
  arithmetic,
  constantInputs,
  fedBy,
  inputsAsTheyAre,
  isStatistic,
  keepsElements,
  passesGradient,
  reachedBackward,
  readersBehind,
  storedConstants,
  type Use,
  withAncestors,
} from "./reach.ts";
import { isInvented, isMaskName, isModuleName, isParameterName, isStatisticName } from "./tensor-names.ts";
import { type FileNode, usesOf, type Wire } from "./uses.ts";
import { isFloatingPoint } from "./weights.ts";

/** What a stored tensor is to the nodes that read it. */
export type TensorRole = ParameterKind | "running-statistic" | "constant";

/** What a stored tensor is, and whether it trains unless somebody says otherwise. */
export interface TensorUse {
  role: TensorRole;
  trains: boolean;
  /** Why it is a constant, or why it is none although it looks like one. */
  reason?: string;
  /** Whether the reason leaves no doubt: a statistic, a mask, a scale of a quantizer. */
  isCertain: boolean;
  /** The node that no gradient comes back through, where that is why it does not train. */
  wall?: { operator: string; node: string };
}

/** Inputs of operators that are parameters whatever is in them, by their place. */
const rolesByInput: Readonly<Record<string, readonly (TensorRole | undefined)[]>> = {
  Conv: ["weight", "weight", "bias"],
  ConvTranspose: ["weight", "weight", "bias"],
  DeformConv: [undefined, "weight", undefined, "bias"],
  Gemm: ["weight", "weight", "bias"],
  MatMul: ["weight", "weight"],
  Einsum: ["weight", "weight", "weight", "weight"],
  PRelu: [undefined, "weight"],
  LSTM: [undefined, "weight", "weight", "bias", undefined, undefined, undefined, "weight"],
  GRU: [undefined, "weight", "weight", "bias"],
  RNN: [undefined, "weight", "weight", "bias"],
  BatchNormalization: [undefined, "norm-weight", "norm-bias", "running-statistic", "running-statistic"],
  InstanceNormalization: [undefined, "norm-weight", "norm-bias"],
  LayerNormalization: [undefined, "norm-weight", "norm-bias"],
  GroupNormalization: [undefined, "norm-weight", "norm-bias"],
  RMSNormalization: [undefined, "norm-weight"],
};

/** Operators that read zeros and ones as what is hidden or chosen. A bias that is added may start as these. */
const masked = new Set(["Mul", "Sub", "Div", "Max", "Min", "Pow", "Equal", "Where", "Gather"]);

/** Operators that put one value into many places: where a tensor is uniform, it is that value. */
const fills = new Set(["Where", "Max", "Min", "ScatterND", "ScatterElements", "Scatter"]);

/**
 * What each floating-point tensor of a file is. It is a parameter if an output depends on it differentiably, over
 * whatever operators, and neither its readers nor its elements say that it is a constant.
 */
export function rolesOf(model: ModelProto, tensors: ReadonlyMap<string, TensorData>): Map<string, TensorUse> {
  const { inputs, outputs, stored } = usesOf(model);
  // There the initializers with names of their own are parameters and buffers, and factors are Constant nodes.
  const isFromTorchScript =
    /^pytorch/i.test(model.producerName) && model.graph!.node.some(({ name }) => name.startsWith("/"));
  const initializers = new Set(model.graph!.initializer.map(({ name }) => name));
  const fed = fedBy(inputs);
  const raw = inputsAsTheyAre(inputs, fed, isFactor);
  const takesImages = model.graph!.input.some(
    ({ name, type }) =>
      inputs.some((wire) => wire.name === name) &&
      type?.value.case === "tensorType" &&
      type.value.value.shape?.dim.length === 4,
  );
  const reached = reachedBackward(outputs);
  const before = withAncestors(outputs);
  const roles = new Map<string, TensorUse>();
  for (const [name, tensor] of tensors) {
    if (!isFloatingPoint(tensor)) continue;
    const wire = stored.get(name);
    if (wire) roles.set(name, useOf(wire, tensor));
  }
  return roles;

  function useOf(wire: Wire, tensor: TensorData): TensorUse {
    const direct = readersBehind(wire, keepsElements);
    const role = roleOf(wire, tensor);
    if (isStatisticName(wire.name) || direct.some(({ node, index }) => isStatistic(node, index)))
      return { role: "running-statistic", trains: false, reason: "running statistic", isCertain: true };
    const constants = direct.flatMap((use) => constantAs(use, tensor, wire.name) ?? []);
    const isUsedOtherwise =
      outputs.includes(wire) ||
      direct.some((use) => passesGradient(use.node, use.index, 0) && !constantAs(use, tensor, wire.name));
    if (constants.length > 0 && !isUsedOtherwise) return { role: "constant", trains: false, ...constants[0] };
    if (reached.has(wire)) {
      const isByName =
        elementCount(tensor.shape) <= 1 && !direct.some(({ node, index }) => isParameterInput(node, index));
      return {
        role,
        trains: true,
        ...(isByName && { reason: "parameter by its name" }),
        isCertain: !isByName,
      };
    }
    const use = wallAfter(wire);
    const input = use && constantInputs[use.node.operator]?.[use.index];
    if (input !== undefined) return { role: "constant", trains: false, reason: input, isCertain: true };
    if (!use) return { role: "constant", trains: false, reason: "no output depends on it", isCertain: true };
    const wall = { operator: use.node.operator, node: use.node.label };
    const reason = `no gradient comes back through ${wall.operator}`;
    return { role, trains: false, reason, isCertain: false, wall };
  }

  /** Why a tensor is a constant to one of its readers; undefined where nothing says so. */
  function constantAs(
    { node, index, at }: Use,
    tensor: TensorData,
    name: string,
  ): { reason: string; isCertain: boolean } | undefined {
    const { operator } = node;
    const certain = (reason: string) => ({ reason, isCertain: true });
    const guessed = (reason: string) => ({ reason, isCertain: false });
    const input = constantInputs[operator]?.[index] ?? storedConstants[operator]?.[index];
    if (input !== undefined) return certain(input);
    if (isInGroupNormalization(node) && isFilledWith(tensor, index === 1 ? 1 : 0))
      return certain("ones and zeros of a group normalization");
    if (isParameterInput(node, index)) return undefined;
    const isOpenMask = operator === "Attention" && index === 3 && isFilledWith(tensor, 0);
    if (isAdditiveMask(tensor) || isOpenMask) return certain("mask of zeros and large negative elements");
    if (masked.has(operator) && isBinary(tensor))
      return certain(operator === "Gather" ? "table of zeros and ones" : "mask of zeros and ones");
    if (isMaskName(name) && (isFilledWith(tensor, 1) || isFilledWith(tensor, 0)))
      return certain("mask, by its name");
    if (isNormalizationOfInput(node, at, tensor, name)) return guessed("normalization of the input");
    const isSingle = elementCount(tensor.shape) <= 1;
    if (isSingle) return isLearnedElement(name) ? undefined : guessed("single element");
    if (isSinusoidal(tensor)) return guessed("table of sines and cosines");
    if (isParameterName(name)) return undefined;
    if (isUniform(tensor) && !isModuleName(name)) {
      if (isRecurrent(operator) && tensor.data[0] === 0) return certain("initial state of zeros");
      const isAnonymous = isInvented(name) || !initializers.has(name);
      if (fills.has(operator) || (operator === "Concat" && isAnonymous))
        return guessed(`fill value of ${operator}`);
    }
    if (!isElementwise(operator) && operator !== "Gather") return undefined;
    if (isSequence(tensor)) return guessed("sequence of evenly spaced or multiplied elements");
    if (isElementwise(operator) && isWhole(tensor)) return guessed("table of whole numbers");
    return undefined;
  }

  /** A single element is a parameter by its name alone: `logit_scale` is, `onnx::Mul_12` is a factor. */
  function isLearnedElement(name: string): boolean {
    if (!initializers.has(name) || isInvented(name)) return false;
    return isParameterName(name) || isModuleName(name) || isFromTorchScript;
  }

  /**
   * Mean and deviation of the inputs, before anything else is computed: for each color of images, or of other features if
   * one is subtracted and the other divided by.
   */
  function isNormalizationOfInput(node: FileNode, at: Wire, tensor: TensorData, name: string): boolean {
    if (!arithmetic.has(node.operator) || !isVector(tensor)) return false;
    if (isParameterName(name) || isModuleName(name)) return false;
    const other = node.inputs.find((wire) => wire !== at);
    if (!other || !raw.has(other)) return false;
    if (takesImages && elementCount(tensor.shape) <= 4) return true;
    if ((node.operator !== "Sub" && node.operator !== "Div") || node.inputs[1] !== at) return false;
    return takesImages || [...other.makers, ...readersOf(node)].some((next) => isOtherHalf(node, next));
  }

  /** Whether a node scales what another one shifts, or the other way round, by something stored. */
  function isOtherHalf(node: FileNode, next: FileNode): boolean {
    if (!arithmetic.has(next.operator) || isScaling(next) === isScaling(node)) return false;
    return next.inputs.some((wire) => wire && isFactor(wire));
  }

  /** What a tensor is to the first nodes that combine it with the inputs. */
  function roleOf(wire: Wire, tensor: TensorData): Exclude<TensorRole, "running-statistic" | "constant"> {
    const uses = readersBehind(wire, (node) => node.outputs.every((output) => !output || !fed.has(output)));
    for (const { node, index } of uses) {
      const stated = rolesByInput[node.operator]?.[index];
      if (stated && stated !== "running-statistic" && stated !== "constant") return stated;
    }
    for (const { node, at } of uses) {
      const isWide = !isVector(tensor);
      if (node.operator === "Mul" || node.operator === "Div") return isWide ? "weight" : "norm-weight";
      if (node.operator !== "Add" && node.operator !== "Sub" && node.operator !== "Sum") continue;
      if (isWide) return "weight";
      const other = node.inputs.find((one) => one !== at)?.makers[0];
      const isScaled =
        other?.operator === "Mul" && other.inputs.some((factor) => factor && isComputedFromStored(factor));
      return isScaled ? "norm-bias" : "bias";
    }
    return "weight";
  }

  function isComputedFromStored(wire: Wire): boolean {
    return !fed.has(wire) && (stored.has(wire.name) || wire.makers.length > 0);
  }

  function isFactor(wire: Wire): boolean {
    const tensor = tensors.get(wire.name);
    return !fed.has(wire) && (!tensor || isVector(tensor));
  }

  /** The first node behind a tensor that no gradient comes back through, on the way to an output. */
  function wallAfter(wire: Wire): Use | undefined {
    const found = readersBehind(wire, (node, index) => passesGradient(node, index, 0));
    return found.find(({ node }) => node.outputs.some((output) => output && before.has(output)));
  }
}

function isParameterInput({ operator, domain }: FileNode, index: number): boolean {
  return domain === "" && rolesByInput[operator]?.[index] !== undefined;
}

function isScaling({ operator }: FileNode): boolean {
  return operator === "Mul" || operator === "Div";
}

function readersOf({ outputs }: FileNode): FileNode[] {
  return outputs.flatMap((output) => output?.readers.map(({ node }) => node) ?? []);
}

function isRecurrent(operator: string): boolean {
  return operator === "LSTM" || operator === "GRU" || operator === "RNN";
}

function isElementwise(operator: string): boolean {
  return arithmetic.has(operator) || ["Pow", "Max", "Min", "Sum", "Mean", "Equal"].includes(operator);
}

/** PyTorch exports group normalization as one of instances, in another shape and with ones and zeros. */
function isInGroupNormalization({ operator, inputs, outputs }: FileNode): boolean {
  if (operator !== "InstanceNormalization" || inputs[0]?.makers[0]?.operator !== "Reshape") return false;
  return (outputs[0]?.readers ?? []).every(({ node }) => node.operator === "Reshape");
}

/** Elements of weights that are stored as integers, which cannot be trained. */
export function integerElements(model: ModelProto): number {
  const weights = [...usesOf(model).stored.values()].filter((wire) =>
    readersBehind(wire, keepsValues).some(
      ({ node, index }) => integerInputs[node.operator]?.includes(index) === true,
    ),
  );
  return weights.reduce((sum, { integers = 0 }) => sum + integers, 0);
}

const keepsValues = new Set(["Identity", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten"]);

/** Inputs of operators that are quantized weights and biases. */
const integerInputs: Readonly<Record<string, readonly number[]>> = {
  DequantizeLinear: [0],
  ConvInteger: [1],
  MatMulInteger: [0, 1],
  QLinearConv: [3, 8],
  QLinearMatMul: [0, 3],
};
