import { UserError } from "../common/errors.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { readAttributes } from "../onnx/attributes.ts";
import type { GraphProto, NodeProto } from "../onnx/onnx_pb.ts";
import { type DataType, readTensor } from "../onnx/tensor.ts";
import { differentiabilityOf, opsetOf } from "../ops/operator.ts";
import "../ops/registry.ts";
import { ImportedNode, type TrainingParts } from "./adapter.ts";
import { adapters } from "./adapters.ts";
import { fold } from "./fold.ts";
import { knownValue } from "./known-values.ts";
import { statedTypes, widened, widenedAttributes } from "./narrow-types.ts";
import { modernized } from "./older-forms.ts";
import { neededNodes, nodeLabel, nodesInOrder } from "./order.ts";
import { pathThrough } from "./path.ts";
import { buildSequence, type Entry, isSequence, isTensor } from "./sequences.ts";
import { buildSubgraph, isSubgraphOperator } from "./subgraphs.ts";
import { operatorSupport } from "./support.ts";
import { keyOfConstant, keyOfTensor } from "./weights.ts";

/** What the nodes of a file are built into. */
export interface Building {
  graph: Graph;
  opset: number;
  /** What is there by name: tensors, sequences of them, and optionals without either. Each node's outputs are added. */
  values: Map<string, Entry>;
  /** Of the tensors by name, as the file states them. */
  types: ReadonlyMap<string, DataType>;
  training: TrainingParts | undefined;
  proto: GraphProto;
  /** The inputs of the graph that are weights. */
  trained: ReadonlySet<string>;
  /** What the tensors that the file stores are, by `StoredTensor.key`. */
  stored: ReadonlyMap<object, Value>;
  /** How much bodies have come to so far. */
  writtenOut: { nodes: number };
}

/**
 * Loops in loops can grow without bound when they are written out. Of every body its nodes are counted, and one node for
 * a hundred values that it can read.
 */
const mostNodes = 200_000;

/**
 * Builds what the given outputs need of some nodes, whatever order they have.
 * @throws UserError naming the node that stands in the way
 */
export function buildNodes(
  { node: nodes, output: outputs }: Pick<GraphProto, "node" | "output">,
  building: Building,
): void {
  const order = nodesInOrder(nodes, building.values);
  const names = outputs.map(({ name }) => name);
  for (const node of neededNodes(order, names)) {
    const built = building.graph.scoped(node.name || node.output[0], () =>
      naming(node, () => buildNode(node, building)),
    );
    for (const [index, name] of node.output.entries())
      if (name && built[index] !== undefined) building.values.set(name, built[index]);
  }
}

function buildNode(node: NodeProto, building: Building): readonly Entry[] {
  const { graph, opset, values, types, training } = building;
  const entries = node.input.map((name) => {
    const entry = values.get(name);
    if (name !== "" && entry === undefined) {
      throw new UserError(
        `reads "${name}", an output that is not made here; only the first outputs of its node are`,
      );
    }
    return entry;
  });
  const operator = node.opType;
  const domain = node.domain === "ai.onnx" ? "" : node.domain;
  const attributes = widenedAttributes(readAttributes(node.attribute));
  const imported = new ImportedNode({
    graph,
    operator,
    opset,
    inputs: entries.map((entry) => (isTensor(entry) ? entry : undefined)),
    statedTypes: node.input.map((name) => types.get(name)),
    attributes,
    outputCount: node.output.findLastIndex((name) => name !== "") + 1,
    listedOutputs: node.output.length,
    name: node.output[0],
    training,
  });
  if (domain === "") {
    const held = operator === "Constant" ? keyOfConstant(node) : undefined;
    const stored = held && building.stored.get(held);
    if (stored) return [stored];
    const entry = buildSequence(imported, entries);
    if (entry !== undefined) return [entry];
    if (isSubgraphOperator(operator))
      return buildSubgraph(imported, entries, (body, given) => buildBody(body, given, building));
    const sequence = entries.findIndex(isSequence);
    if (sequence >= 0)
      throw new UserError(`its input ${sequence} is a sequence of tensors, which is not read here`);
  }
  const support = operatorSupport(operator, domain);
  if (support === "none") throw unknownOperator(node, building);
  if (opset < 6 && support !== "constant" && !isUnchangedSince(operator, opset))
    throw new UserError(`its form of opset ${opset} is not read; export the model with opset 6 or later`);
  // What a node means is settled before anything is computed of it: an older form may be another operator today.
  const newest = modernized(imported);
  return (
    knownValue(graph, newest.operator, newest.inputs, newest.attributes) ??
    fold(newest.operator, newest.inputs, newest.attributes) ??
    adapters[newest.operator]?.(newest) ??
    newest.build()
  );
}

function isUnchangedSince(operator: string, opset: number): boolean {
  return differentiabilityOf(operator) !== undefined && opsetOf(operator)! <= opset;
}

/** A graph that a node holds, in its place, with what its inputs are. */
function buildBody(proto: GraphProto, given: readonly Entry[], building: Building): readonly Entry[] {
  building.writtenOut.nodes += 1 + proto.node.length + building.values.size / 100;
  if (building.writtenOut.nodes > mostNodes)
    throw new UserError(`the model's loops, written out, are more than ${mostNodes} nodes`);
  const values = new Map(building.values);
  for (const tensor of proto.initializer) {
    const stored = building.stored.get(keyOfTensor(tensor));
    values.set(tensor.name, stored ?? building.graph.constant(widened(readTensor(tensor))));
  }
  for (const [index, { name }] of proto.input.entries()) values.set(name, given[index]);
  // What is made inside under a name from around it is another value.
  for (const name of proto.node.flatMap(({ output }) => output)) values.delete(name);
  const types = new Map([...building.types, ...statedTypes(proto)]);
  buildNodes(proto, { ...building, values, types });
  return proto.output.map(({ name }) => {
    const value = values.get(name);
    if (value === undefined) throw new UserError(`its output "${name}" is not made here`);
    return value;
  });
}

function unknownOperator(node: NodeProto, { proto, trained }: Building): UserError {
  const operator = node.domain === "" ? node.opType : `${node.domain}.${node.opType}`;
  const path = pathThrough(proto, node, trained);
  const where = path ? `; it stands between a parameter and an output: ${path}` : "";
  return new UserError(`operator ${operator} has no rule here${where}; export the model without it`);
}

/** Errors from inside name the node, in the file's words. */
function naming<T>(node: NodeProto, body: () => T): T {
  try {
    return body();
  } catch (error) {
    // A rule that reads an input which is not there fails in its own way.
    if (error instanceof TypeError)
      throw new UserError(`${nodeLabel(node)}: an input or attribute is missing or of the wrong kind`);
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`${nodeLabel(node)}: ${error.message}`);
  }
}
