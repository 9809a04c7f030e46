import type { GraphProto, ModelProto, NodeProto, TensorProto } from "../onnx/onnx_pb.ts";
import { readTensor } from "../onnx/tensor.ts";
import { dataTypeNumber } from "../onnx/types.ts";
import { withoutFunctions } from "./functions.ts";
import { nodeLabel } from "./order.ts";
import { keyOfConstant, keyOfTensor, storedTensors } from "./weights.ts";

// Who makes and who reads each tensor of a file, through its functions, branches and loops. Sizes need not be known.

/** A tensor of a file. What several copies of a function or body hold in common is one. */
export interface Wire {
  name: string;
  /** What makes it: of an If's output each branch, of what a loop carries both what is given and what comes back. */
  makers: FileNode[];
  readers: { node: FileNode; index: number }[];
  /** Of a stored tensor of integers: how many elements. */
  integers?: number;
  /** Of a stored truth value. */
  truth?: boolean;
}

/** A node of a file. What leads into and out of a branch or loop is an Identity. */
export interface FileNode {
  operator: string;
  domain: string;
  /** `node "conv1" (Conv)` */
  label: string;
  inputs: readonly (Wire | undefined)[];
  outputs: readonly (Wire | undefined)[];
  proto: NodeProto;
}

export interface Uses {
  /** The model's inputs, initializers not among them. */
  inputs: readonly Wire[];
  outputs: readonly Wire[];
  /** The stored tensors by the names of `storedTensors`. */
  stored: ReadonlyMap<string, Wire>;
}

type Scope = (name: string) => Wire | undefined;

/** The tensors and nodes of a model. Of an If whose condition the file does not state, both branches count. */
export function usesOf(model: ModelProto): Uses {
  const stored = new Map<string, Wire>();
  const byKey = new Map<object, Wire>();
  for (const { name, key, tensor } of storedTensors(model.graph!, model.functions)) {
    const wire = known(tensor, name);
    stored.set(name, wire);
    byKey.set(key, wire);
  }
  const graph = withoutFunctions(model);
  const { inputs, outputs } = visit(graph, () => undefined);
  const initializers = new Set(graph.initializer.map(({ name }) => name));
  return { inputs: inputs.filter(({ name }) => !initializers.has(name)), outputs, stored };

  function visit({ node, input, initializer, output }: GraphProto, around: Scope) {
    const own = new Map<string, Wire>();
    for (const tensor of initializer) own.set(tensor.name, byKey.get(keyOfTensor(tensor)) ?? known(tensor));
    for (const { name } of input) if (!own.has(name)) own.set(name, { name, makers: [], readers: [] });
    for (const one of node) {
      const [constant] = one.opType === "Constant" ? one.output : [];
      if (constant !== undefined) own.set(constant, heldBy(one));
      for (const name of one.output)
        if (name && !own.has(name)) own.set(name, { name, makers: [], readers: [] });
    }
    const find: Scope = (name) => (name === "" ? undefined : (own.get(name) ?? around(name)));
    for (const one of node) {
      if (one.opType === "Constant") continue;
      const [read, made] = [one.input.map(find), one.output.map(find)];
      const bodies = one.attribute.flatMap(({ name, g }) => (g ? [{ name, graph: g }] : []));
      if (bodies.length === 0) add(one, read, made);
      else for (const body of bodies) enter(one, body, read, made, find);
    }
    const wires = (infos: readonly { name: string }[]) => infos.flatMap(({ name }) => find(name) ?? []);
    return { inputs: wires(input), outputs: wires(output) };
  }

  /** A branch or the body of a loop: what goes in and comes out. */
  function enter(
    node: NodeProto,
    body: { name: string; graph: GraphProto },
    read: readonly (Wire | undefined)[],
    made: readonly (Wire | undefined)[],
    find: Scope,
  ): void {
    const taken = node.opType === "If" ? read[0]?.truth : undefined;
    if (taken !== undefined && body.name !== (taken ? "then_branch" : "else_branch")) return;
    const { inputs, outputs } = visit(body.graph, find);
    // A loop has the count before what it carries, its body the count and the condition; only the latter comes out.
    const skipped = node.opType === "Loop" ? 1 : 0;
    for (const [index, wire] of read.entries()) if (node.opType !== "If") link(node, wire, inputs[index]);
    for (const [index, wire] of made.entries()) link(node, outputs[index + skipped], wire);
    if (node.opType !== "Loop") return;
    for (const [index, wire] of inputs.slice(2).entries()) link(node, outputs[index + 1], wire);
  }

  function link(proto: NodeProto, from: Wire | undefined, to: Wire | undefined): void {
    if (from && to && from !== to) add(proto, [from], [to], "Identity");
  }

  function add(
    proto: NodeProto,
    inputs: FileNode["inputs"],
    outputs: FileNode["outputs"],
    operator = proto.opType,
  ): void {
    const domain = operator === "Identity" || proto.domain === "ai.onnx" ? "" : proto.domain;
    const node: FileNode = { operator, domain, label: nodeLabel(proto), inputs, outputs, proto };
    for (const [index, wire] of inputs.entries()) wire?.readers.push({ node, index });
    for (const wire of outputs) if (wire) wire.makers.push(node);
  }

  function heldBy(node: NodeProto): Wire {
    const key = keyOfConstant(node);
    const [attribute] = node.attribute;
    const wire = key && byKey.get(key);
    return (
      wire ??
      (attribute?.t ? known(attribute.t, node.output[0]) : { name: node.output[0], makers: [], readers: [] })
    );
  }
}

function known(tensor: TensorProto, name = tensor.name): Wire {
  const wire: Wire = { name, makers: [], readers: [] };
  const count = tensor.dims.reduce((product, size) => product * Number(size), 1);
  if (tensor.dataType === dataTypeNumber("bool") && count === 1)
    return { ...wire, truth: Number(readTensor(tensor).data[0]) !== 0 };
  return integerTypes.has(tensor.dataType) ? { ...wire, integers: count } : wire;
}

const integerTypes: ReadonlySet<number> = new Set(
  (["int8", "uint8", "int4", "uint4", "int16", "uint16", "int32"] as const).map(dataTypeNumber),
);
