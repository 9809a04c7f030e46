import { UserError } from "../common/errors.ts";
import { constantNumbers } from "../graph/constants.ts";
import type { Value } from "../graph/graph.ts";
import type { GraphProto } from "../onnx/onnx_pb.ts";
import { concat, reshape } from "../ops/movement.ts";
import type { ImportedNode } from "./adapter.ts";
import { type Entry, isSequence } from "./sequences.ts";

// Operators that hold graphs of their own. What is known before is decided while the graph is built: which branch is
// taken, and how often a body is repeated, each time as nodes of its own.

/** Builds a graph that an operator holds: its outputs, from what its inputs are. */
export type BodyBuilder = (body: GraphProto, given: readonly Entry[]) => readonly Entry[];

type SubgraphOperator = (
  node: ImportedNode,
  entries: readonly (Entry | undefined)[],
  build: BodyBuilder,
) => readonly Entry[];

/** Most repetitions that are written out. */
const mostTimes = 1024;

const operators: Readonly<Record<string, SubgraphOperator>> = {
  If: (node, _, build) => {
    const branch = truthOf(node.inputs[0]) ? "then_branch" : "else_branch";
    return build(graphOf(node, branch), []);
  },
  Loop: repeat,
  SequenceMap: (node, entries, build) => {
    const [sequence] = entries;
    if (!isSequence(sequence)) throw node.error("its first input is no sequence");
    const body = graphOf(node, "body");
    const results = sequence.map((_, index) =>
      build(
        body,
        entries.map((entry) => (isSequence(entry) ? entry[index] : entry!)),
      ),
    );
    return body.output.map((_, output) => results.map((each) => each[output] as Value));
  },
};

export function isSubgraphOperator(operator: string): boolean {
  return Object.hasOwn(operators, operator);
}

/** What an operator gives that holds graphs. */
export function buildSubgraph(
  node: ImportedNode,
  entries: readonly (Entry | undefined)[],
  build: BodyBuilder,
): readonly Entry[] {
  return operators[node.operator](node, entries, build);
}

/** What is carried from one time to the next, and then what all times gave, one after the other. */
function repeat(
  node: ImportedNode,
  entries: readonly (Entry | undefined)[],
  build: BodyBuilder,
): readonly Entry[] {
  const [times = Number.POSITIVE_INFINITY] = node.numbers(0, "number of times") ?? [];
  const body = graphOf(node, "body");
  let condition =
    node.inputs[1] ?? node.graph.constant({ type: "bool", shape: [], data: new Uint8Array([1]) });
  let carried = entries.slice(2) as readonly Entry[];
  const collected: (readonly Entry[])[] = [];
  for (let time = 0; time < times && truthOf(condition); time++) {
    if (time === mostTimes)
      throw node.error(`it repeats more than ${mostTimes} times, which is not written out`);
    const [goesOn, ...results] = build(body, [node.graph.scalar(time, "int64"), condition, ...carried]);
    condition = goesOn as Value;
    collected.push(results.slice(carried.length));
    carried = results.slice(0, carried.length);
  }
  const count = body.output.length - 1 - carried.length;
  if (count > 0 && collected.length === 0)
    throw node.error("it is never repeated, so it gives nothing to put together");
  const rows = Array.from({ length: count }, (_, output) =>
    concat(
      collected.map((each) => {
        const value = each[output] as Value;
        return reshape(value, [1, ...value.shape]);
      }),
      0,
    ),
  );
  return [...carried, ...rows];
}

function truthOf(condition: Value | undefined): boolean {
  const known = constantNumbers(condition);
  if (!known) throw new UserError("its condition is computed while running; it has to be known before");
  return known[0] !== 0;
}

function graphOf(node: ImportedNode, name: string): GraphProto {
  const attribute = node.attributes[name];
  if (!(attribute && "graph" in attribute)) throw new UserError("it has no graph for this case");
  return attribute.graph;
}
