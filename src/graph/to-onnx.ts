import { create } from "@bufbuild/protobuf";
import { writeAttributes } from "../onnx/attributes.ts";
import {
  GraphProtoSchema,
  type ModelProto,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  type StringStringEntryProto,
  StringStringEntryProtoSchema,
  TensorShapeProto_DimensionSchema,
  TensorShapeProtoSchema,
  TypeProto_TensorSchema,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from "../onnx/onnx_pb.ts";
import { type TensorData, writeTensor } from "../onnx/tensor.ts";
import { dataTypeNumber } from "../onnx/types.ts";
import type { Graph, Node, TensorType, Value } from "./graph.ts";
import { leavesOf, nodesOf } from "./walk.ts";

export interface ToOnnxOptions {
  /** Version of ONNX's operator set; `requiredOpset` finds the smallest that has what the graph uses. */
  opset: number;
  /** Versions of the operator sets beside ONNX's own that the model may use. Default none. */
  domains?: Readonly<Record<string, number>>;
  /** Inputs that become stored weights of the file instead, by name. */
  weights?: ReadonlyMap<string, TensorData>;
  /** Name of the first axis of every input and output, when any size of it will do: a batch. */
  symbolicBatch?: string;
  /** Inputs whose first size is not written: any size of it will do. */
  unsized?: ReadonlySet<string>;
  name?: string;
  /** What the file says of itself (`metadata_props`), by key. */
  metadata?: Readonly<Record<string, string>>;
}

/** Each ONNX version that brought a newer file format: the first opset that needs it and its IR version. */
const irVersions: readonly [opset: number, irVersion: number][] = [
  [25, 13],
  [24, 12],
  [23, 11],
  [21, 10],
  [19, 9],
  [15, 8],
  [0, 7],
];

/** Operators all of whose outputs are named. */
const neededWhole = new Set(["BatchNormalization", "Split", "TopK"]);

/** The graph as an ONNX model: what its outputs need and nothing else. */
export function toOnnx(
  graph: Graph,
  { opset, domains = {}, weights, symbolicBatch, unsized, name = "lowland", metadata = {} }: ToOnnxOptions,
): ModelProto {
  const outputs = [...graph.outputs];
  const nodes = nodesOf(graph.outputs.values());
  const used = new Set(nodes.map((node) => node.domain));
  const foreign = nodes.find(({ domain }) => domain !== "" && !Object.hasOwn(domains, domain));
  if (foreign) throw new Error(`${foreign.operator} has no ONNX form; lower the graph first`);
  const names = nameValues(graph);
  const nameOf = (value: Value | undefined) => (value ? names.get(value)! : "");
  const written = nodes.map((node) =>
    create(NodeProtoSchema, {
      opType: node.operator,
      domain: node.domain,
      name: `${node.scope ? `${node.scope}/` : ""}${node.operator}_${node.id}`,
      input: withoutTrailingBlanks(node.inputs.map(nameOf)),
      output: withoutTrailingBlanks(node.outputs.map((output) => (names.has(output) ? nameOf(output) : ""))),
      attribute: writeAttributes(node.attributes),
    }),
  );
  // A result that is an input, a constant or another result under a second name still needs a node to make it.
  for (const [outputName, value] of outputs) {
    if (nameOf(value) !== outputName) {
      written.push(
        create(NodeProtoSchema, { opType: "Identity", input: [nameOf(value)], output: [outputName] }),
      );
    }
  }
  const leaves = leavesOf(nodes, graph.outputs.values());
  const info = (infoName: string, type: TensorType) => valueInfo(infoName, type, symbolicBatch);
  const initializer = leaves.flatMap((value) => {
    const data = value.origin.kind === "constant" ? value.origin.data : weights?.get(nameOf(value));
    return data ? [writeTensor(nameOf(value), data)] : [];
  });
  return create(ModelProtoSchema, {
    irVersion: BigInt(irVersions.find(([first]) => opset >= first)![1]),
    producerName: "lowland",
    metadataProps: stringEntries(metadata),
    opsetImport: [
      create(OperatorSetIdProtoSchema, { version: BigInt(opset) }),
      ...Object.entries(domains)
        .filter(([domain]) => used.has(domain))
        .map(([domain, version]) => create(OperatorSetIdProtoSchema, { domain, version: BigInt(version) })),
    ],
    graph: create(GraphProtoSchema, {
      name,
      node: written,
      initializer,
      input: leaves
        .filter((value) => value.origin.kind === "input" && !weights?.has(nameOf(value)))
        .map((value) =>
          unsized?.has(nameOf(value)) ? valueInfo(nameOf(value), value, "") : info(nameOf(value), value),
        ),
      output: outputs.map(([outputName, value]) => info(outputName, value)),
    }),
  });
}

/** Strings by key, as ONNX stores them. */
export function stringEntries(values: Readonly<Record<string, string>>): StringStringEntryProto[] {
  return Object.entries(values).map(([key, value]) => create(StringStringEntryProtoSchema, { key, value }));
}

/** Every value that is read, or is a result, under a name of its own. */
function nameValues(graph: Graph): Map<Value, string> {
  const names = new Map<Value, string>();
  const taken = new Set([...graph.inputs.keys(), ...graph.outputs.keys()]);
  for (const [name, value] of graph.inputs) names.set(value, name);
  for (const [name, value] of graph.outputs) {
    if (value.origin.kind === "node" && !names.has(value)) names.set(value, name);
  }
  const nodes = nodesOf(graph.outputs.values());
  // A node's first output is named even when only another one is read, and so is each of those that ONNX Runtime
  // needs whole: BatchNormalization in training mode, TopK, and Split, which ends the process otherwise.
  const kept = ({ operator, outputs }: Node) => (neededWhole.has(operator) ? outputs : [outputs[0]]);
  const read = new Set([
    ...nodes.flatMap((node) => [...node.inputs, ...kept(node)]),
    ...graph.outputs.values(),
  ]);
  for (const value of [
    ...leavesOf(nodes, graph.outputs.values()),
    ...nodes.flatMap((node) => node.outputs),
  ]) {
    if (names.has(value) || !read.has(value)) continue;
    const { origin } = value;
    const stem =
      origin.kind === "node" ? `${origin.node.scope}/${origin.node.operator}`.replace(/^\//, "") : "constant";
    let name = `${stem}_${value.id}`;
    while (taken.has(name)) name += "_";
    taken.add(name);
    names.set(value, name);
  }
  return names;
}

function valueInfo(
  name: string,
  { type, shape }: TensorType,
  symbolicBatch: string | undefined,
): ValueInfoProto {
  const dim = shape.map((size, axis) =>
    create(TensorShapeProto_DimensionSchema, {
      value:
        axis > 0 || symbolicBatch === undefined
          ? { case: "dimValue", value: BigInt(size) }
          : symbolicBatch === ""
            ? { case: undefined }
            : { case: "dimParam", value: symbolicBatch },
    }),
  );
  return create(ValueInfoProtoSchema, {
    name,
    type: create(TypeProtoSchema, {
      value: {
        case: "tensorType",
        value: create(TypeProto_TensorSchema, {
          elemType: dataTypeNumber(type),
          shape: create(TensorShapeProtoSchema, { dim }),
        }),
      },
    }),
  });
}

function withoutTrailingBlanks(names: string[]): string[] {
  const last = names.findLastIndex((name) => name !== "");
  return names.slice(0, last + 1);
}
