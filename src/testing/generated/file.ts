import { create } from "@bufbuild/protobuf";
import { type Random, randomStream } from "../../common/random.ts";
import { writeAttributes } from "../../onnx/attributes.ts";
import {
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  type TensorProto,
  type ValueInfoProto,
} from "../../onnx/onnx_pb.ts";
import { writeTensor } from "../../onnx/tensor.ts";
import { valueInfo } from "../onnx-models.ts";
import { moveOut, rename } from "./disguise.ts";
import type { DrawnModel, DrawnNode, Numbers, StoredNumbers } from "./drawing.ts";
import { constantNode, isConstantIn, tensorOf } from "./tensors.ts";
import { type Typed, wrapInBranch, wrapInFunction } from "./wraps.ts";

// The file of a drawn model: where its tensors lie and how its nodes are wrapped.

/** How a file was made of a model. */
export interface GeneratedFile {
  proto: ModelProto;
  /** What lies in the file beside it, where something does. */
  external: { name: string; bytes: Uint8Array } | undefined;
  /** The sizes that the file leaves open, by name. */
  dimensions: Readonly<Record<string, number>>;
  /** Of each tensor of the model its name in the file. */
  names: ReadonlyMap<string, string>;
  /** The ways in which the file is packed, for the summary. */
  packing: readonly string[];
}

/** A model with its nodes as they were drawn and its tensors as initializers; `fed` of these are inputs instead. */
export function plainFile(model: DrawnModel, fed: ReadonlySet<string> = new Set()): ModelProto {
  const isFed = ({ name }: Numbers) => fed.has(name);
  return modelProto(model.opset, {
    input: [...model.inputs, ...model.stored.filter(isFed)].map((one) => valueInfo(one.name, one)),
    output: model.outputs.map((one) => valueInfo(one.name, one)),
    initializer: model.stored.filter((one) => !isFed(one)).map((one) => writeTensor(one.name, tensorOf(one))),
    node: model.nodes.map(nodeProto),
  });
}

function modelProto(opset: number, graph: Partial<GraphProto>): ModelProto {
  return create(ModelProtoSchema, {
    irVersion: 10n,
    opsetImport: [create(OperatorSetIdProtoSchema, { version: BigInt(opset) })],
    graph: create(GraphProtoSchema, { name: "generated", ...graph } as GraphProto),
  });
}

function nodeProto({ operator, inputs, outputs, attributes }: DrawnNode): NodeProto {
  return create(NodeProtoSchema, {
    opType: operator,
    input: [...inputs],
    output: [...outputs],
    attribute: writeAttributes(attributes),
  });
}

/**
 * The file of a number's model.
 * @param batch whether the first axis is left open or stated; default: any sizes may be open
 */
export function packedFile(
  model: DrawnModel,
  seed: number,
  number: number,
  { batch }: { batch?: "open" | "stated" } = {},
): GeneratedFile {
  const random = randomStream(seed, "packing", number);
  const chance = (share: number) => random.uniform() < share;
  const proto = plainFile(model);
  const packing: string[] = [];
  const note = (name: string) => packing.push(name);
  const graph = proto.graph!;
  const types = typesOf(model);
  const dimensions = batch === undefined && chance(0.25) ? openSizes(graph, random) : {};
  if (Object.keys(dimensions).length > 0) note("open sizes");
  if (chance(0.2)) for (const output of graph.output) output.type!.value = withoutShape(output);
  if (model.nodes.length > 0 && chance(0.15)) {
    wrapInFunction(proto, random);
    note("function");
  }
  if (graph.node.length > 0 && chance(0.15) && wrapInBranch(proto, random, types)) note("branch");
  if (chance(0.25)) {
    const share = random.uniform();
    storeAsConstants(graph, (tensor) => isConstantIn(model.opset, tensor) && random.uniform() < share);
    note("Constant nodes");
  } else if (model.opset <= 8 && !packing.includes("branch") && chance(0.4)) {
    proto.irVersion = 3n;
    for (const tensor of graph.initializer) graph.input.push(ofTensor(tensor));
    note("initializers that are inputs");
  }
  if (batch === "open") openBatch(graph);
  const parameters = new Set(parametersOf(model).map(({ name }) => name));
  const names = chance(0.12) ? rename(proto, random, parameters) : new Map<string, string>();
  if (names.size > 0) note("odd names");
  const external = chance(0.08) ? moveOut(graph) : undefined;
  if (external) note("external data");
  if (chance(0.3)) for (const [index, node] of graph.node.entries()) node.name = `${node.opType}_${index}`;
  const all = [...model.inputs, ...model.stored, ...model.outputs].map(({ name }) => name);
  return {
    proto,
    external,
    dimensions,
    packing,
    names: new Map(all.map((name) => [name, names.get(name) ?? name])),
  };
}

function typesOf(model: DrawnModel): Map<string, Typed> {
  return new Map<string, Typed>(
    [...model.inputs, ...model.stored, ...model.outputs].map(({ name, type, shape }) => [
      name,
      { type, shape },
    ]),
  );
}

/** Some sizes of inputs get names instead; sizes that agree may share one. */
function openSizes({ input }: GraphProto, random: Random): Record<string, number> {
  const sizes: Record<string, number> = {};
  for (const { type } of input) {
    if (type?.value.case !== "tensorType") continue;
    for (const dim of type.value.value.shape?.dim ?? []) {
      if (random.uniform() < 0.5) continue;
      const size = Number(dim.value.value);
      const name = `size ${size}`;
      sizes[name] = size;
      dim.value = { case: "dimParam", value: name };
    }
  }
  return sizes;
}

/** Gives the first axis of inputs and outputs a name; branches state nothing. */
function openBatch({ input, output, initializer, node }: GraphProto): void {
  const stored = new Set(initializer.map(({ name }) => name));
  for (const { name, type } of [...input, ...output]) {
    const dim = type?.value.case === "tensorType" ? type.value.value.shape?.dim[0] : undefined;
    if (dim && !stored.has(name)) dim.value = { case: "dimParam", value: "N" };
  }
  for (const { attribute } of node)
    for (const { g } of attribute) for (const one of g?.output ?? []) one.type!.value = withoutShape(one);
}

function withoutShape({ type }: ValueInfoProto) {
  const { value } = type!;
  if (value.case === "tensorType") value.value.shape = undefined;
  return value;
}

function storeAsConstants(graph: GraphProto, isChosen: (tensor: TensorProto) => boolean): void {
  const chosen = graph.initializer.filter(isChosen);
  graph.initializer = graph.initializer.filter((tensor) => !chosen.includes(tensor));
  graph.node.unshift(...chosen.map(constantNode));
}

function ofTensor({ name, dataType, dims }: TensorProto): ValueInfoProto {
  const info = valueInfo(name, { type: "float32", shape: dims.map(Number) });
  if (info.type?.value.case === "tensorType") info.type.value.value.elemType = dataType;
  return info;
}

/** Tensors that are stored as parameters. */
export function parametersOf({ stored }: DrawnModel): StoredNumbers[] {
  return stored.filter(({ meaning }) => meaning === "parameter");
}
