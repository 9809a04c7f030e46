import { create } from "@bufbuild/protobuf";
import { UserError } from "../common/errors.ts";
import {
  type AttributeProto,
  type FunctionProto,
  type GraphProto,
  type ModelProto,
  type NodeProto,
  NodeProtoSchema,
} from "../onnx/onnx_pb.ts";
import { changedBetween } from "./older-forms.ts";
import { isOnnxDomain, opsetOf } from "./opset.ts";
import { nodeLabel } from "./order.ts";

/** A file whose functions call one another can grow without bound when they are written out. */
const mostNodes = 1_000_000;

/**
 * The graph of a model in which the calls of its own functions, those in branches and loops too, are replaced by what the
 * functions do. A node of a function goes by the name of the call and its own; so do the tensors in between. Without
 * functions it is the model's own graph.
 * @throws UserError for a function that calls itself, or calls without an end
 */
export function withoutFunctions(model: ModelProto): GraphProto {
  const graph = model.graph!;
  if (model.functions.length === 0) return graph;
  const functions = new Map(model.functions.map((one) => [keyOf(one.domain, one.name, one.overload), one]));
  const opset = opsetOf(model);
  let count = 0;
  return writtenOut(graph, []);

  function writtenOut(body: GraphProto, callers: readonly FunctionProto[]): GraphProto {
    const nodes: NodeProto[] = [];
    for (const node of body.node) write(node, callers, nodes);
    return withFields(body, { node: nodes });
  }

  function write(node: NodeProto, callers: readonly FunctionProto[], nodes: NodeProto[]): void {
    const called = functions.get(keyOf(node.domain, node.opType, node.overload));
    if (!called) {
      if (++count > mostNodes)
        throw new UserError(`the model's functions, written out, are more than ${mostNodes} nodes`);
      nodes.push(withBodies(node, callers));
      return;
    }
    if (callers.includes(called)) throw new UserError(`${nodeLabel(node)}: the function calls itself`);
    requireSameMeaning(called, opset);
    for (const inner of bodyOf(called, node)) write(inner, [...callers, called], nodes);
  }

  function withBodies(node: NodeProto, callers: readonly FunctionProto[]): NodeProto {
    if (!node.attribute.some(({ g }) => g)) return node;
    const attribute = node.attribute.map((one) =>
      one.g ? withFields(one, { g: writtenOut(one.g, callers) }) : one,
    );
    return withFields(node, { attribute });
  }
}

/** A function may state an opset of its own; its nodes are read in that of the model. */
function requireSameMeaning(called: FunctionProto, opset: number): void {
  const own = opsetOf(called, opset);
  const other =
    own === opset
      ? undefined
      : nodesWithin(called.node).find(
          ({ domain, opType }) => isOnnxDomain(domain) && changedBetween(opType, own, opset),
        );
  if (!other) return;
  throw new UserError(
    `function "${called.name}" is of opset ${own} and the model of ${opset}, where ${other.opType} has another form; export both with one opset`,
  );
}

/** Nodes, and those of the graphs that they hold. */
function nodesWithin(nodes: readonly NodeProto[]): NodeProto[] {
  return nodes.flatMap((node) => [
    node,
    ...node.attribute.flatMap(({ g }) => (g ? nodesWithin(g.node) : [])),
  ]);
}

function keyOf(domain: string, name: string, overload: string): string {
  return [domain, name, overload].join("\n");
}

/** The nodes of a function for one call of it. */
function bodyOf(called: FunctionProto, call: NodeProto): NodeProto[] {
  const scope = call.name || call.output.find((name) => name !== "") || called.name;
  const names = new Map<string, string>();
  for (const [index, name] of called.input.entries()) names.set(name, call.input[index] ?? "");
  for (const [index, name] of called.output.entries()) {
    if (call.output[index] && !names.has(name)) names.set(name, call.output[index]);
  }
  const rename = (name: string): string => {
    if (name === "") return "";
    const known = names.get(name);
    if (known !== undefined) return known;
    names.set(name, `${scope}/${name}`);
    return `${scope}/${name}`;
  };
  const given = new Map<string, AttributeProto>();
  for (const attribute of [...called.attributeProto, ...call.attribute]) given.set(attribute.name, attribute);
  const nodes = called.node.map((node) => instantiate(node, rename, given, scope));
  // An output that is one of the inputs is a copy of it.
  for (const [index, output] of called.output.entries()) {
    if (!call.output[index] || !called.input.includes(output)) continue;
    const source = call.input[called.input.indexOf(output)];
    nodes.push(
      create(NodeProtoSchema, { opType: "Identity", input: [source], output: [call.output[index]] }),
    );
  }
  return nodes;
}

/**
 * A node of a function, or of a subgraph in one, with the names and attributes of a call. Tensors are not copied: their
 * sizes and numbers stay the file's own objects, which tells `storedTensors` that calls share them.
 */
function instantiate(
  node: NodeProto,
  rename: (name: string) => string,
  given: ReadonlyMap<string, AttributeProto>,
  scope: string,
): NodeProto {
  const attribute = node.attribute.flatMap((own) => {
    const value = own.refAttrName === "" ? own : given.get(own.refAttrName);
    if (!value) return [];
    const g = value.g && own.refAttrName === "" ? bodyFor(value.g) : value.g;
    return [withFields(value, { name: own.name, g })];
  });
  return withFields(node, {
    name: node.name && `${scope}/${node.name}`,
    input: node.input.map(rename),
    output: node.output.map(rename),
    attribute,
  });

  function bodyFor(body: GraphProto): GraphProto {
    const named = <T extends { name: string }>(one: T): T =>
      withFields(one, { name: rename(one.name) } as Partial<T>);
    return withFields(body, {
      input: body.input.map(named),
      output: body.output.map(named),
      initializer: body.initializer.map(named),
      node: body.node.map((inner) => instantiate(inner, rename, given, scope)),
    });
  }
}

/** A copy of a message with other values of some fields; what the others hold is shared. */
function withFields<T extends object>(message: T, changes: Partial<T>): T {
  return Object.assign(Object.create(Object.getPrototypeOf(message)), message, changes);
}
