import { readAttributes } from "../onnx/attributes.ts";
import type { NodeProto } from "../onnx/onnx_pb.ts";
import type { ModelEditor } from "./editor.ts";
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

/** The layers that are quantized: those with stored weights that nothing excludes. */
export function quantizedLayers(editor: ModelEditor, excluded: (node: NodeProto) => boolean): NodeProto[] {
  return editor.graph.node.filter(
    (node) => outputAxis(node) !== undefined && editor.weight(node.input[1]) && !excluded(node),
  );
}

/** The tensors that become integers for these layers, each after those it is made of. */
export function sitesOf(editor: ModelEditor, layers: readonly NodeProto[]): Site[] {
  const wanted = new Set(layers);
  const read = new Set(layers.map(({ input }) => input[0]));
  const sites = new Map<string, Site>();
  const put = (name: string, like?: string) => {
    if (!sites.has(name)) sites.set(name, { name, ...(like !== undefined && { like }) });
  };
  for (const name of editor.inputs) if (read.has(name)) put(name);
  for (const node of editor.graph.node) {
    const [input] = node.input;
    const [output] = node.output;
    if (wanted.has(node) || (computing.has(node.opType) && node.input.every((name) => isInteger(name)))) {
      for (const name of node.input) if (editor.weight(name) && !wanted.has(node)) put(name);
      put(activatedOutput(editor, node));
    } else if (moves(node) && sites.has(input)) {
      for (const name of node.output) put(name, sites.get(input)?.like ?? input);
    } else if (read.has(output)) put(output);
  }
  return [...sites.values()];

  function isInteger(name: string): boolean {
    return sites.has(name) || editor.weight(name) !== undefined;
  }
}

/** Behind a ReLU or bounds that alone read a result, the integers' own range is what they do. */
function activatedOutput(editor: ModelEditor, node: NodeProto): string {
  const [output] = node.output;
  const reader = editor.onlyReaderOf(output);
  return reader && (reader.opType === "Relu" || isBounds(editor, reader)) ? reader.output[0] : output;
}

/** Clip from 0, whose bounds are stored. */
function isBounds(editor: ModelEditor, node: NodeProto): boolean {
  return node.opType === "Clip" && editor.weight(node.input[1])?.data[0] === 0;
}

function moves(node: NodeProto): boolean {
  if (node.opType !== "Resize") return moving.has(node.opType);
  const { mode } = readAttributes(node.attribute);
  return !mode || ("string" in mode && mode.string === "nearest");
}
