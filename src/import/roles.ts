import { elementCount } from "../graph/graph.ts";
import type { GraphProto, NodeProto } from "../onnx/onnx_pb.ts";
import type { TensorData } from "../onnx/tensor.ts";
import type { ParameterKind } from "../optim/parameter-groups.ts";
import { isFloatingPoint } from "./weights.ts";

/** What a stored tensor is to the nodes that read it. */
export type TensorRole = ParameterKind | "running-statistic" | "constant";

/** Roles of the inputs of operators with weights, by their place. */
const rolesByInput: Readonly<Record<string, readonly (TensorRole | undefined)[]>> = {
  Conv: ["weight", "weight", "bias"],
  ConvTranspose: ["weight", "weight", "bias"],
  Gemm: ["weight", "weight", "bias"],
  MatMul: ["weight", "weight"],
  Einsum: ["weight", "weight"],
  Gather: ["weight"],
  PRelu: [undefined, "weight"],
  LSTM: [undefined, "weight", "weight", "bias"],
  GRU: [undefined, "weight", "weight", "bias"],
  RNN: [undefined, "weight", "weight", "bias"],
  BatchNormalization: [undefined, "norm-weight", "norm-bias", "running-statistic", "running-statistic"],
  InstanceNormalization: [undefined, "norm-weight", "norm-bias"],
  LayerNormalization: [undefined, "norm-weight", "norm-bias"],
  GroupNormalization: [undefined, "norm-weight", "norm-bias"],
  RMSNormalization: [undefined, "norm-weight"],
};

/** Operators behind which a tensor is still what it was. */
const transparent = new Set([
  "Identity",
  "Transpose",
  "Reshape",
  "Squeeze",
  "Unsqueeze",
  "Flatten",
  "Cast",
  "CastLike",
  "Expand",
  "DequantizeLinear",
]);

/**
 * What each floating-point tensor of a file is, guessed from the nodes that read it. Added vectors are biases, those
 * added after a product with a vector the shift of a normalisation; single numbers, and what is only subtracted,
 * divided by, compared with or clipped to, are constants, and so are added masks.
 */
export function guessRoles(
  graph: GraphProto,
  tensors: ReadonlyMap<string, TensorData>,
): Map<string, TensorRole> {
  const readers = new Map<string, [NodeProto, number][]>();
  const makers = new Map<string, NodeProto>();
  for (const node of graph.node) {
    for (const output of node.output) makers.set(output, node);
    for (const [index, input] of node.input.entries()) {
      const list = readers.get(input);
      if (list) list.push([node, index]);
      else readers.set(input, [[node, index]]);
    }
  }
  const roles = new Map<string, TensorRole>();
  for (const [name, tensor] of tensors) {
    if (!isFloatingPoint(tensor)) continue;
    const uses = usesOf(name, readers).map(([node, index, at]) => roleIn(node, index, at, tensor));
    roles.set(name, uses.find((role) => role !== "constant") ?? "constant");
  }
  return roles;

  function roleIn(node: NodeProto, index: number, name: string, tensor: TensorData): TensorRole {
    const { shape } = tensor;
    if (isInGroupNormalization(node)) return "constant";
    const stated = rolesByInput[node.opType]?.[index];
    if (stated) return stated;
    if (elementCount(shape) <= 1) return "constant";
    const wide = shape.filter((size) => size > 1).length > 1;
    if (node.opType === "Mul") return wide ? "weight" : "norm-weight";
    if (node.opType === "Concat") return isForSizes(node) ? "constant" : "weight";
    if (node.opType !== "Add" || isMask(tensor)) return "constant";
    const other = makers.get(node.input.find((input) => input !== name) ?? "");
    if (other?.opType === "Mul" && other.input.some((input) => tensors.has(input))) return "norm-bias";
    return wide ? "weight" : "bias";
  }

  /** Whether what a node makes says how large something becomes: PyTorch puts the scales of Resize together. */
  function isForSizes({ output }: NodeProto): boolean {
    return (readers.get(output[0]) ?? []).every(([{ opType }, index]) => opType === "Resize" && index > 0);
  }

  /** PyTorch exports group normalisation as one of instances, in another shape and with ones and zeros. */
  function isInGroupNormalization({ opType, input, output }: NodeProto): boolean {
    if (opType !== "InstanceNormalization" || makers.get(input[0])?.opType !== "Reshape") return false;
    return (readers.get(output[0]) ?? []).every(([reader]) => reader.opType === "Reshape");
  }
}

/** Whether adding a tensor only hides places from a softmax: zeros, and numbers that leave nothing of an exponential. */
function isMask(tensor: TensorData): boolean {
  const data = tensor.data as Float32Array;
  return data.some((value) => value <= -100) && data.every((value) => value === 0 || value <= -100);
}

/** The nodes that read a tensor, those behind transparent ones included, and the name they read it under. */
function usesOf(
  name: string,
  readers: ReadonlyMap<string, [NodeProto, number][]>,
): [NodeProto, number, string][] {
  const found: [NodeProto, number, string][] = [];
  const pending = [name];
  const seen = new Set(pending);
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    for (const [node, index] of readers.get(at) ?? []) {
      if (!(transparent.has(node.opType) && index === 0)) found.push([node, index, at]);
      else {
        for (const output of node.output) {
          if (seen.has(output)) continue;
          seen.add(output);
          pending.push(output);
        }
      }
    }
  }
  return found;
}
