import { UserError } from "../common/errors.ts";
import type { Value } from "../graph/graph.ts";
import { concat, reshape } from "../ops/movement.ts";
import { intAttribute, normalizeAxes } from "../ops/operator.ts";
import { slice } from "../ops/slicing.ts";
import type { ImportedNode } from "./adapter.ts";

// Sequences of tensors, into which some exporters split: a list while the graph is built, so that the graph holds
// tensors alone. How long they are and which entry is read has to be known before.

// An optional is what it holds, which is known then too.

/** An optional that holds nothing. */
export const absent: unique symbol = Symbol("absent");

/** What an operator on sequences and optionals gives: a tensor, a sequence, or nothing. */
export type Entry = Value | readonly Value[] | typeof absent;

export function isSequence(entry: Entry | undefined): entry is readonly Value[] {
  return Array.isArray(entry);
}

export function isTensor(entry: Entry | undefined): entry is Value {
  return entry !== undefined && entry !== absent && !isSequence(entry);
}

type SequenceOperator = (node: ImportedNode, entries: readonly (Entry | undefined)[]) => Entry;

const operators: Readonly<Record<string, SequenceOperator>> = {
  SequenceEmpty: () => [],
  SequenceConstruct: (_, entries) => entries as readonly Value[],
  SequenceLength: (node, [sequence]) => node.graph.scalar(listOf(node, sequence).length, "int64"),
  SequenceAt: (node, [sequence]) => {
    const list = listOf(node, sequence);
    return list[place(node, list.length - 1)];
  },
  SequenceInsert: (node, [sequence, tensor]) => {
    const list = listOf(node, sequence);
    const at = node.inputs[2] ? place(node, list.length, 2) : list.length;
    return list.toSpliced(at, 0, tensor as Value);
  },
  SequenceErase: (node, [sequence]) => {
    const list = listOf(node, sequence);
    return list.toSpliced(node.inputs[1] ? place(node, list.length - 1) : list.length - 1, 1);
  },
  Optional: (_, [entry]) => entry ?? absent,
  OptionalHasElement: (node, [entry]) =>
    node.graph.scalar(entry === undefined || entry === absent ? 0 : 1, "bool"),
  OptionalGetElement: (node, [entry]) => {
    if (entry === undefined || entry === absent) throw node.error("the optional holds nothing");
    return entry;
  },
  SplitToSequence: splitToSequence,
  ConcatFromSequence: (node, [sequence]) => {
    const list = listOf(node, sequence);
    const given = intAttribute(node.attributes, "axis", 0);
    if (intAttribute(node.attributes, "new_axis", 0) === 0)
      return concat(list, normalizeAxes(node.operator, list[0], [given])[0]);
    const axis = given < 0 ? given + list[0].shape.length + 1 : given;
    return concat(
      list.map((value) => reshape(value, value.shape.toSpliced(axis, 0, 1))),
      axis,
    );
  },
};

export function isSequenceOperator(operator: string): boolean {
  return Object.hasOwn(operators, operator);
}

/** What an operator gives that makes, reads or changes a sequence or an optional; undefined for all others. */
export function buildSequence(
  node: ImportedNode,
  entries: readonly (Entry | undefined)[],
): Entry | undefined {
  if (node.operator === "Identity" && !isTensor(entries[0])) return entries[0];
  return isSequenceOperator(node.operator) ? operators[node.operator](node, entries) : undefined;
}

function listOf(node: ImportedNode, entry: Entry | undefined): readonly Value[] {
  if (isSequence(entry)) return entry;
  throw node.error("its first input is no sequence");
}

/** The place in a sequence that an input says, counted from the end if it is negative. */
function place(node: ImportedNode, last: number, input = 1): number {
  const [given] = node.numbers(input, "positions") ?? [];
  const at = given < 0 ? given + last + 1 : given;
  if (at >= 0 && at <= last) return at;
  throw new UserError(`its position is ${given}, and the sequence has no such entry`);
}

/** Most tensors that a node makes a sequence of. */
const mostTensors = 10_000;

function splitToSequence(node: ImportedNode): readonly Value[] {
  const x = node.input(0);
  const [axis] = normalizeAxes(node.operator, x, [intAttribute(node.attributes, "axis", 0)]);
  const size = x.shape[axis];
  const sizes = node.numbers(1, "sizes");
  const isOne = sizes !== undefined && node.input(1).shape.length === 0;
  const length = isOne ? sizes[0] : 1;
  if (!(length >= 1)) throw node.error(`it splits into parts of ${length}; a part has 1 or more`);
  const count = sizes && !isOne ? sizes.length : Math.ceil(size / length);
  if (count > mostTensors)
    throw node.error(`it splits into ${count} tensors; more than ${mostTensors} are not written out`);
  const lengths =
    sizes && !isOne
      ? sizes
      : Array.from({ length: count }, (_, part) => Math.min(length, size - part * length));
  const keeps = sizes !== undefined || intAttribute(node.attributes, "keepdims", 1) === 1;
  let start = 0;
  return lengths.map((places) => {
    const part = slice(x, { axes: [axis], starts: [start], ends: [start + places] });
    start += places;
    return keeps ? part : reshape(part, part.shape.toSpliced(axis, 1));
  });
}
