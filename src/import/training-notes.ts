import { elementCount, type Value } from "../graph/graph.ts";
import { nodesOf } from "../graph/walk.ts";
import { readAttributes } from "../onnx/attributes.ts";
import type { GraphProto, ModelProto, NodeProto } from "../onnx/onnx_pb.ts";
import { readTensor } from "../onnx/tensor.ts";
import { intAttribute, operatorRule } from "../ops/operator.ts";
import { nodeLabel } from "./order.ts";
import type { ImportedParameter } from "./parameter.ts";
import { integerElements } from "./roles.ts";

// What somebody who trains a file has to know of it.

/** Reasons that are listed one by one. */
const listed = 5;

/** The share of what the loss depends on that may be frozen by a guess before it is worth a warning. */
const silentShare = 0.1;

/** The values that others depend on differentiably. Operators that are not differentiated count: they are refused later. */
export function differentiableLeaves(values: Iterable<Value>): ReadonlySet<Value> {
  const reached = new Set(values);
  for (const node of nodesOf(reached).reverse()) {
    if (operatorRule(node.operator).gradient === "zero") continue;
    if (!node.outputs.some((output) => reached.has(output))) continue;
    for (const input of node.inputs) if (input) reached.add(input);
  }
  return reached;
}

/**
 * How many of a model's elements train and why the others do not; with a warning where many are frozen without anybody
 * having asked for it.
 * @param built what does train, as a graph was built
 */
export function trainingNotes(
  parameters: readonly ImportedParameter[],
  model: ModelProto,
  built?: { parameters: ReadonlyMap<string, unknown> },
): string[] {
  const frozen = new Map<string, number>();
  const guessed = new Map<string, number>();
  const add = (groups: Map<string, number>, reason: string, count: number) =>
    groups.set(reason, (groups.get(reason) ?? 0) + count);
  let [trained, asked] = [0, 0];
  for (const { name, shape, trainable, reason = "", frozenBy } of parameters) {
    const count = elementCount(shape);
    if (trainable && (!built || built.parameters.has(name))) {
      trained += count;
      continue;
    }
    const why = trainable ? "no output depends on them" : plural(reason);
    add(frozen, why, count);
    if (frozenBy === "guess") add(guessed, why, count);
    if (frozenBy === "options") asked += count;
  }
  const integers = integerElements(model);
  if (integers > 0) for (const groups of [frozen, guessed]) add(groups, "stored as integers", integers);
  const total = trained + sum(frozen);
  const line = `trains ${thousands(trained)} of ${thousands(total)} elements`;
  const notes = [frozen.size === 0 ? line : `${line}; frozen: ${listOf(frozen)}`];
  const silent = sum(guessed);
  if (silent > silentShare * (trained + asked + silent)) {
    notes.push(
      `warning: ${thousands(silent)} elements that the loss depends on are frozen without being asked for (${listOf(guessed)}); lowland inspect shows each, and --trainable trains those it names`,
    );
  }
  return notes;
}

/** Which nodes of a file are in training mode, and go on so where the trained file is used. */
export function modeNotes(model: ModelProto): string[] {
  const own = model.opsetImport.find(({ domain }) => domain === "" || domain === "ai.onnx");
  const opset = Number(own?.version ?? 1);
  const nodes = [
    allNodes(model.graph!),
    ...model.functions.map(({ node }) => node.flatMap(withBodies)),
  ].flat();
  const truths = truthsOf(model.graph!);
  const normalizing = nodes.filter((node) => normalizesByBatch(node, opset));
  const dropping = nodes.filter(
    ({ opType, input }) => opType === "Dropout" && input[2] !== undefined && truths.has(input[2]),
  );
  const remedy = "export the model in evaluation mode (model.eval())";
  return [
    ...(normalizing.length > 0
      ? [
          `warning: ${labelsOf(normalizing)} in training mode: the written file normalizes by the batch in inference too, and its running statistics are never used; ${remedy}, or set training_mode to 0 and leave the outputs of the statistics out`,
        ]
      : []),
    ...(dropping.length > 0
      ? [
          `warning: ${labelsOf(dropping)} in training mode: the written file drops elements in inference too; ${remedy}`,
        ]
      : []),
  ];
}

/** Before opset 14 the outputs tell the mode, before opset 7 an attribute does. */
function normalizesByBatch({ opType, output, attribute }: NodeProto, opset: number): boolean {
  if (opType !== "BatchNormalization") return false;
  const attributes = readAttributes(attribute);
  if (opset >= 14) return intAttribute(attributes, "training_mode", 0) === 1;
  const hasStatistics = output.slice(1).some((name) => name !== "");
  return hasStatistics && (opset >= 7 || intAttribute(attributes, "is_test", 0) === 0);
}

function allNodes({ node }: GraphProto): NodeProto[] {
  return node.flatMap(withBodies);
}

function withBodies(node: NodeProto): NodeProto[] {
  return [node, ...node.attribute.flatMap(({ g }) => (g ? allNodes(g) : []))];
}

/** The stored truth values that are true. */
function truthsOf({ initializer, node }: GraphProto): ReadonlySet<string> {
  const constants = node.flatMap(({ opType, output, attribute: [value] }) =>
    opType === "Constant" && value?.t ? [{ name: output[0], tensor: value.t }] : [],
  );
  const stored = [...initializer.map((tensor) => ({ name: tensor.name, tensor })), ...constants];
  const isTrue = ({ tensor }: (typeof stored)[number]) =>
    tensor.dataType === 9 && Number(readTensor(tensor).data[0]) === 1;
  return new Set(stored.filter(isTrue).map(({ name }) => name));
}

function labelsOf(nodes: readonly NodeProto[]): string {
  const labels = nodes.slice(0, 2).map(nodeLabel).join(" and ");
  const more = nodes.length - 2;
  return more > 0 ? `${labels} and ${more} more are` : `${labels} ${nodes.length > 1 ? "are" : "is"}`;
}

function listOf(groups: ReadonlyMap<string, number>): string {
  const sorted = [...groups].sort(([, a], [, b]) => b - a);
  const parts = sorted.slice(0, listed).map(([reason, count]) => `${reason} ${thousands(count)}`);
  const rest = new Map(sorted.slice(listed));
  if (rest.size > 0) parts.push(`other reasons ${thousands(sum(rest))}`);
  return parts.join(", ");
}

function plural(reason: string): string {
  return reason.replace(
    /\b(statistic|scale|point|limit|mask|element|table|sequence|value|region|state|ratio)\b/,
    "$1s",
  );
}

function sum(groups: ReadonlyMap<string, number>): number {
  return [...groups.values()].reduce((total, count) => total + count, 0);
}

function thousands(value: number): string {
  return value.toLocaleString("en");
}
