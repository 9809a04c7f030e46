import { create } from "@bufbuild/protobuf";
import { type Random, randomStream } from "../../common/random.ts";
import { tensorData } from "../../graph/constants.ts";
import { narrowed } from "../../import/narrow-types.ts";
import { isModuleName, isParameterName } from "../../import/tensor-names.ts";
import { writeAttributes } from "../../onnx/attributes.ts";
import {
  AttributeProtoSchema,
  FunctionProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  StringStringEntryProtoSchema,
  type TensorProto,
  type ValueInfoProto,
} from "../../onnx/onnx_pb.ts";
import { type TensorData, writeTensor } from "../../onnx/tensor.ts";
import { attributeTypes, type DataType, dataLocations, dataTypeName, isFloat } from "../../onnx/types.ts";
import { valueInfo } from "../onnx-models.ts";
import type { DrawnModel, DrawnNode, Numbers, StoredNumbers } from "./drawing.ts";

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

/** A tensor's numbers in its type in the file. */
export function tensorOf({ type, shape, values }: Pick<Numbers, "type" | "shape" | "values">): TensorData {
  if (type === "float16") return narrowed(tensorData(values, shape, "float32"), "float16");
  return tensorData(values, shape, type);
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

type Typed = { type: DataType; shape: readonly number[] };

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

/** A stretch of a graph's nodes, the tensors that it reads from outside and those that are read outside of it. */
function stretch(graph: GraphProto, random: Random) {
  const first = random.integer(graph.node.length);
  const last = first + random.integer(graph.node.length - first);
  const nodes = graph.node.slice(first, last + 1);
  const made = new Set(nodes.flatMap(({ output }) => output));
  const read = [...new Set(nodes.flatMap(({ input }) => input))].filter(
    (name) => name !== "" && !made.has(name),
  );
  const others = graph.node.filter((node) => !nodes.includes(node));
  const outside = new Set([...others.flatMap(({ input }) => input), ...graph.output.map(({ name }) => name)]);
  const given = [...made].filter((name) => name !== "" && outside.has(name));
  const isInside = (name: string) => read.includes(name) && !outside.has(name);
  return { first, count: nodes.length, nodes, read, given, isInside };
}

/** Makes a function of the file of some nodes. Tensors that only they read may be Constant nodes in it. */
function wrapInFunction(proto: ModelProto, random: Random): void {
  const graph = proto.graph!;
  const opset = Number(proto.opsetImport[0].version);
  const { first, count, nodes, read, given, isInside } = stretch(graph, random);
  if (given.length === 0) return;
  const inside = graph.initializer.filter(
    (tensor) => isInside(tensor.name) && isConstantIn(opset, tensor) && random.uniform() < 0.4,
  );
  graph.initializer = graph.initializer.filter((tensor) => !inside.includes(tensor));
  const constants = inside.map(constantNode);
  const inner = new Set(inside.map(({ name }) => name));
  const inputs = read.filter((name) => !inner.has(name));
  const local = random.uniform() < 0.5 ? (name: string) => name && `inner ${name}` : (name: string) => name;
  for (const node of [...constants, ...nodes]) {
    node.input = node.input.map(local);
    node.output = node.output.map(local);
  }
  const attribute: string[] = [];
  const attributes = liftedAttributes(nodes, attribute, random);
  const domains = [create(OperatorSetIdProtoSchema, { version: proto.opsetImport[0].version })];
  proto.functions.push(
    create(FunctionProtoSchema, {
      name: "Part",
      domain: "local",
      input: inputs.map(local),
      output: given.map(local),
      attribute,
      node: [...constants, ...nodes],
      opsetImport: domains,
    }),
  );
  proto.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: "local", version: 1n }));
  const call = create(NodeProtoSchema, {
    opType: "Part",
    domain: "local",
    name: "part",
    input: inputs,
    output: given,
    attribute: attributes,
  });
  graph.node.splice(first, count, call);
}

/** Takes some attributes of a function's nodes out of it: the call gives them. */
function liftedAttributes(nodes: readonly NodeProto[], names: string[], random: Random) {
  const lifted = [];
  for (const node of nodes) {
    for (const [index, attribute] of node.attribute.entries()) {
      if (attribute.type !== attributeTypes.int || random.uniform() < 0.7) continue;
      const name = `setting${names.length}`;
      names.push(name);
      lifted.push(create(AttributeProtoSchema, { name, type: attribute.type, i: attribute.i }));
      node.attribute[index] = create(AttributeProtoSchema, {
        name: attribute.name,
        type: attribute.type,
        refAttrName: name,
      });
    }
  }
  return lifted;
}

/** Puts some nodes into the branch of an If that is taken; the other one gives zeros. */
function wrapInBranch(proto: ModelProto, random: Random, types: Map<string, Typed>): boolean {
  const graph = proto.graph!;
  const { first, count, nodes, given, isInside } = stretch(graph, random);
  const known = given.map((name) => types.get(name));
  if (given.length === 0 || known.includes(undefined)) return false;
  const inside = graph.initializer.filter(({ name }) => isInside(name) && random.uniform() < 0.5);
  graph.initializer = graph.initializer.filter((tensor) => !inside.includes(tensor));
  const inner = new Map(given.map((name) => [name, `branch ${name}`]));
  for (const node of nodes) {
    node.input = node.input.map((name) => inner.get(name) ?? name);
    node.output = node.output.map((name) => inner.get(name) ?? name);
  }
  const outputs = given.map((name, index) => valueInfo(inner.get(name)!, known[index]!));
  const taken = create(GraphProtoSchema, {
    name: "taken",
    node: nodes,
    initializer: inside,
    output: outputs,
  });
  const zeros = given.map((_, index) => {
    const { type, shape } = known[index]!;
    const values = Array<number>(shape.reduce((a, b) => a * b, 1)).fill(0);
    return constantNode(writeTensor(`other ${index}`, tensorOf({ type, shape, values })));
  });
  const other = create(GraphProtoSchema, {
    name: "other",
    node: zeros,
    output: given.map((_, index) => valueInfo(`other ${index}`, known[index]!)),
  });
  const holds = random.uniform() < 0.5;
  graph.initializer.push(writeTensor("condition", tensorData([holds ? 1 : 0], [], "bool")));
  const branch = (name: string, g: GraphProto) =>
    create(AttributeProtoSchema, { name, type: attributeTypes.graph, g });
  const node = create(NodeProtoSchema, {
    opType: "If",
    input: ["condition"],
    output: given,
    attribute: [branch("then_branch", holds ? taken : other), branch("else_branch", holds ? other : taken)],
  });
  graph.node.splice(first, count, node);
  return true;
}

function constantNode(tensor: TensorProto): NodeProto {
  return create(NodeProtoSchema, {
    opType: "Constant",
    output: [tensor.name],
    attribute: [create(AttributeProtoSchema, { name: "value", type: attributeTypes.tensor, t: tensor })],
  });
}

/** A Constant held floating-point numbers only, before opset 9. */
function isConstantIn(opset: number, { dataType }: TensorProto): boolean {
  return opset >= 9 || isFloat(dataTypeName(dataType, "tensor"));
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

const oddNames = [
  "input",
  "learning_rate",
  "loss",
  "weight.next",
  "a b",
  "ü/∂[0]",
  "0",
  "constructor",
  "toString",
  'quoted "name"',
  "target",
  "momentum",
  "weight.momentum",
  "/layer1/layer1.0/conv/Conv_output_0",
  "rho",
  "sequential/dense/MatMul/ReadVariableOp:0",
  "训练",
  "x'",
] as const;

/** Gives odd names to some tensors of the main graph; names that say that something is a parameter to parameters only. */
function rename(proto: ModelProto, random: Random, parameters: ReadonlySet<string>): Map<string, string> {
  const graph = proto.graph!;
  const found = [...graph.initializer, ...graph.input, ...graph.output].map(({ name }) => name);
  const made = graph.node.flatMap(({ output }) => output).filter((name) => name !== "");
  const odd = random.shuffle([...oddNames]);
  const names = new Map<string, string>();
  for (const name of new Set([...found, ...made])) {
    if (random.uniform() < 0.4) continue;
    const at = odd.findLastIndex(
      (one) => parameters.has(name) || !(isParameterName(one) || isModuleName(one)),
    );
    if (at >= 0) names.set(name, odd.splice(at, 1)[0]);
  }
  const renamed = (name: string) => names.get(name) ?? name;
  const inside = (nodes: readonly NodeProto[]): void => {
    for (const node of nodes) {
      node.input = node.input.map(renamed);
      node.output = node.output.map(renamed);
      for (const { g } of node.attribute) {
        if (!g) continue;
        inside(g.node);
        for (const info of [...g.initializer, ...g.output]) info.name = renamed(info.name);
      }
    }
  };
  inside(graph.node);
  const infos = new Set([...graph.initializer, ...graph.input, ...graph.output]);
  for (const info of infos) info.name = renamed(info.name);
  for (const { attribute } of graph.node) for (const { t } of attribute) if (t) t.name = renamed(t.name);
  return names;
}

/** Moves the numbers of the initializers into a file beside the model. */
function moveOut(graph: GraphProto): { name: string; bytes: Uint8Array } | undefined {
  const parts: Uint8Array[] = [];
  let offset = 0;
  for (const tensor of graph.initializer) {
    const { rawData } = tensor;
    // ONNX Runtime reads sizes and limits while it loads a model, and then only from the model itself.
    if (tensor.dims.length === 0 || !isFloat(dataTypeName(tensor.dataType, "tensor"))) continue;
    const entries = { location: "weights.bin", offset: String(offset), length: String(rawData.length) };
    tensor.externalData = Object.entries(entries).map(([key, value]) =>
      create(StringStringEntryProtoSchema, { key, value }),
    );
    tensor.dataLocation = dataLocations.external;
    parts.push(rawData);
    offset += rawData.length;
    tensor.rawData = new Uint8Array();
  }
  if (parts.length === 0) return undefined;
  return { name: "weights.bin", bytes: Buffer.concat(parts) };
}

/** Tensors that are stored as parameters. */
export function parametersOf({ stored }: DrawnModel): StoredNumbers[] {
  return stored.filter(({ meaning }) => meaning === "parameter");
}
