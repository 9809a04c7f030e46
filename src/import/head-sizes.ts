import { clone, create } from "@bufbuild/protobuf";
import { UserError } from "../common/errors.ts";
import { AttributeProtoSchema, type GraphProto, type NodeProto, TensorProtoSchema } from "../onnx/onnx_pb.ts";
import { readTensor, writeTensor } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { dataTypeName } from "../onnx/types.ts";
import { nodeLabel } from "./order.ts";

// A file has the number of its classes written into what is behind its head too.

/** Inputs of operators that say sizes or places, one of which may be the classes. */
const sizeInputs: Readonly<Record<string, number>> = { Reshape: 1, Expand: 1, Slice: 2 };

/** Operators that pass sizes on as they are. */
const passing = new Set(["Identity", "Cast", "Unsqueeze", "Squeeze", "Reshape", "Concat"]);

interface Classes {
  before: number;
  after: number;
}

/**
 * Writes another number of classes into the sizes that nodes behind a head are given.
 * @param behind the tensors that are computed from the head
 * @param isPartOfHead tells the head's own nodes
 * @throws UserError naming a node for which it is not plain what the sizes become
 */
export function adaptSizes(
  graph: GraphProto,
  behind: ReadonlySet<string>,
  classes: Classes,
  isPartOfHead: (node: NodeProto) => boolean,
): void {
  const makers = new Map(graph.node.flatMap((node) => node.output.map((name) => [name, node] as const)));
  for (const node of graph.node) {
    if (!node.input.some((name) => behind.has(name)) || isPartOfHead(node)) continue;
    const attribute = node.attribute.find(({ name }) => name === "shape" && node.opType === "Reshape");
    if (attribute) {
      const next = adapted(attribute.ints.map(Number), classes, node);
      if (next) attribute.ints = next.map(BigInt);
    }
    const index = sizeInputs[node.opType];
    if (index !== undefined && node.input[index]) adaptInput(graph, makers, { node, index }, node, classes);
    if (index === undefined) refuseTensors(graph, node, behind, classes);
  }
}

/** Follows sizes back to what is stored. */
function adaptInput(
  graph: GraphProto,
  makers: ReadonlyMap<string, NodeProto>,
  { node, index }: { node: NodeProto; index: number },
  sized: NodeProto,
  classes: Classes,
): void {
  const name = node.input[index];
  const maker = makers.get(name);
  const stored = graph.initializer.find((tensor) => tensor.name === name);
  const constant = maker?.opType === "Constant" ? maker : undefined;
  if (!stored && !constant) {
    if (!maker || !passing.has(maker.opType)) return;
    const followed = maker.opType === "Concat" ? maker.input.keys() : [0];
    for (const input of followed) adaptInput(graph, makers, { node: maker, index: input }, sized, classes);
    return;
  }
  const sizes = stored ? integersOf(readTensor(stored)) : constant && constantIntegers(constant);
  const next = sizes && adapted(sizes.values, classes, sized);
  if (!sizes || !next) return;
  const isShared = graph.node.flatMap(({ input }) => input).filter((input) => input === name).length > 1;
  const tensor = writeTensor(isShared || constant ? `${name}.classes` : name, {
    ...tensorData(next, sizes.shape, sizes.type),
  });
  if (stored && !isShared) {
    graph.initializer[graph.initializer.indexOf(stored)] = tensor;
    return;
  }
  if (constant && !isShared) {
    constant.attribute = [create(AttributeProtoSchema, { name: "value", type: 4, t: tensor })];
    return;
  }
  if (!graph.initializer.some((other) => other.name === tensor.name))
    graph.initializer.push(clone(TensorProtoSchema, tensor));
  node.input[index] = tensor.name;
}

interface Integers {
  values: number[];
  shape: readonly number[];
  type: "int64" | "int32";
}

function integersOf({ type, shape, data }: ReturnType<typeof readTensor>): Integers | undefined {
  if (type !== "int64" && type !== "int32") return undefined;
  return { values: Array.from(data as ArrayLike<bigint | number>, Number), shape, type };
}

function constantIntegers({ attribute: [held] }: NodeProto): Integers | undefined {
  if (held?.t) return integersOf(readTensor(held.t));
  if (held?.name === "value_int") return { values: [Number(held.i)], shape: [], type: "int64" };
  if (held?.name !== "value_ints") return undefined;
  return { values: held.ints.map(Number), shape: [held.ints.length], type: "int64" };
}

/** Sizes with the new number of classes; undefined where the old one is not among them. */
function adapted(
  sizes: readonly number[],
  { before, after }: Classes,
  node: NodeProto,
): number[] | undefined {
  const found = sizes.filter((size) => size === before).length;
  if (found === 1) return sizes.map((size) => (size === before ? after : size));
  // A product of the classes and something else stands behind the batch.
  const isProduct =
    node.opType === "Reshape" && sizes.slice(1).some((size) => size > before && size % before === 0);
  if (found === 0 && !(before > 1 && isProduct)) return undefined;
  throw new UserError(
    `${nodeLabel(node)} behind the head has the sizes [${sizes.join(", ")}], and it is not plain which of them become other ones for ${after} classes in place of ${before}; export the model for ${after} classes`,
  );
}

/** A stored tensor of one element per class, which has none for the new ones. */
function refuseTensors(
  graph: GraphProto,
  node: NodeProto,
  behind: ReadonlySet<string>,
  { before, after }: Classes,
): void {
  if (before < 2) return;
  for (const { name, dims, dataType } of graph.initializer) {
    if (!node.input.includes(name) || behind.has(name) || !dims.some((size) => Number(size) === before))
      continue;
    throw new UserError(
      `${nodeLabel(node)} behind the head reads "${name}", ${dataTypeName(dataType, name)} [${dims.join(", ")}], which is made for ${before} classes; export the model for ${after} classes`,
    );
  }
}
