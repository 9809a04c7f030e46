import { create } from "@bufbuild/protobuf";
import type { Random } from "../../common/random.ts";
import {
  AttributeProtoSchema,
  FunctionProtoSchema,
  type GraphProto,
  GraphProtoSchema,
  type ModelProto,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
} from "../../onnx/onnx_pb.ts";
import { writeTensor } from "../../onnx/tensor.ts";
import { tensorData } from "../../onnx/tensor-data.ts";
import { attributeTypes, type DataType } from "../../onnx/types.ts";
import { valueInfo } from "../onnx-models.ts";

import { constantNode, isConstantIn, tensorOf } from "./tensors.ts";

// Some nodes of a graph as a function of the file, or as a branch.

export type Typed = { type: DataType; shape: readonly number[] };

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
export function wrapInFunction(proto: ModelProto, random: Random): void {
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
export function wrapInBranch(proto: ModelProto, random: Random, types: Map<string, Typed>): boolean {
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
