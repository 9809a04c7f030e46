import { readAttributes } from "../onnx/attributes.ts";
import type { NodeProto } from "../onnx/onnx_pb.ts";
import { outputAxis } from "./layers.ts";

// Which tensors become integers. A layer computes in integers where what it reads and what it gives are integers, and ONNX
// Runtime fuses QuantizeLinear and DequantizeLinear around it (its rules for CPUs: onnxruntime/core/optimizer/qdq_transformer).

/** A tensor that becomes integers behind what makes it. */
export interface Site {
  name: string;
  /** The site whose integers these are, moved or chosen from but not computed with. */
  like?: string;
}

/** Operators that ONNX Runtime computes in integers, beside layers, when all they read are integers. */
const computing = new Set(["Add", "Concat", "AveragePool", "GlobalAveragePool", "Sigmoid", "LeakyRelu"]);
/** Operators that move integers about or choose from them. */
const moving = new Set([
  ...["MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice"],
  ...["Split", "Pad", "Identity", "DepthToSpace", "SpaceToDepth"],
]);

/** A network as its nodes, for finding layers and sites: a model that is edited, or a graph. */
export interface NetworkView {
  /** In an order of execution. */
  readonly nodes: readonly NodeProto[];
  /** What is given to the network, without weights. */
  readonly inputs: readonly string[];
  /** Whether a float tensor is stored, not computed. */
  isWeight(name: string | undefined): boolean;
  /** The elements of a stored constant. */
  numbersOf(name: string | undefined): ArrayLike<number> | undefined;
  /** The only node that reads a tensor, if there is one and the network does not give it. */
  onlyReaderOf(name: string): NodeProto | undefined;
}

/** The layers that are quantized: those with stored weights that nothing excludes. */
export function quantizedLayers(view: NetworkView, excluded: (node: NodeProto) => boolean): NodeProto[] {
  return view.nodes.filter(
    (node) => outputAxis(node) !== undefined && view.isWeight(node.input[1]) && !excluded(node),
  );
}

/**
 * The tensors that become integers for these layers, each after those it is made of.
 * @param operands whether stored operands of additions and the like become integers too, or leave their node in float
 */
export function sitesOf(
  view: NetworkView,
  layers: readonly NodeProto[],
  { operands = true }: { operands?: boolean } = {},
): Site[] {
  const wanted = new Set(layers);
  const read = new Set(layers.map(({ input }) => input[0]));
  const sites = new Map<string, Site>();
  const put = (name: string, like?: string) => {
    if (!sites.has(name)) sites.set(name, { name, ...(like !== undefined && { like }) });
  };
  const isInteger = (name: string) => sites.has(name) || (operands && view.isWeight(name));
  for (const name of view.inputs) if (read.has(name)) put(name);
  for (const node of view.nodes) {
    const [input] = node.input;
    const [output] = node.output;
    if (wanted.has(node) || (computing.has(node.opType) && node.input.every(isInteger))) {
      if (!wanted.has(node)) for (const name of node.input) if (view.isWeight(name)) put(name);
      put(activatedOutput(view, node));
    } else if (moves(node) && sites.has(input)) {
      for (const name of node.output) put(name, sites.get(input)?.like ?? input);
    } else if (read.has(output)) put(output);
  }
  return [...sites.values()];
}

/** Behind a ReLU or bounds that alone read a result, the integers' own range is what they do. */
export function activatedOutput(view: NetworkView, node: NodeProto): string {
  const [output] = node.output;
  const reader = view.onlyReaderOf(output);
  return reader && (reader.opType === "Relu" || isBounds(view, reader)) ? reader.output[0] : output;
}

/** Clip from 0, whose bounds are stored. */
export function isBounds(view: NetworkView, node: NodeProto): boolean {
  return node.opType === "Clip" && view.numbersOf(node.input[1])?.[0] === 0;
}

export function moves(node: NodeProto): boolean {
  if (node.opType !== "Resize") return moving.has(node.opType);
  const { mode } = readAttributes(node.attribute);
  return !mode || ("string" in mode && mode.string === "nearest");
}
