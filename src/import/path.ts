import type { GraphProto, NodeProto } from "../onnx/onnx_pb.ts";

/**
 * How a node stands between a parameter and an output of a file, for messages:
 * `"conv1.weight" → conv1 → act → "logits"`. Undefined when no parameter is before it, or no output behind it.
 */
export function pathThrough(
  graph: GraphProto,
  node: NodeProto,
  parameters: ReadonlySet<string>,
): string | undefined {
  const makers = new Map(
    graph.node.flatMap((maker) => maker.output.map((output) => [output, maker] as const)),
  );
  const readers = new Map<string, NodeProto[]>();
  for (const reader of graph.node) {
    for (const input of reader.input) {
      const list = readers.get(input);
      if (list) list.push(reader);
      else readers.set(input, [reader]);
    }
  }
  const outputs = new Set(graph.output.map(({ name }) => name));
  const before = search(
    node,
    ({ input }) => input,
    (name) => (makers.has(name) ? [makers.get(name)!] : []),
    parameters,
  );
  const after = search(
    node,
    ({ output }) => output,
    (name) => readers.get(name) ?? [],
    outputs,
  );
  if (!before || !after) return undefined;
  const names = [...before.nodes.reverse(), node, ...after.nodes].map(({ name, opType }) => name || opType);
  return [`"${before.end}"`, ...shortened(names), `"${after.end}"`].join(" → ");
}

/** The shortest way from a node over its neighbors to one of the tensors in `ends`, without the node itself. */
function search(
  start: NodeProto,
  tensorsOf: (node: NodeProto) => readonly string[],
  neighborsOf: (tensor: string) => readonly NodeProto[],
  ends: ReadonlySet<string>,
): { end: string; nodes: NodeProto[] } | undefined {
  const from = new Map<NodeProto, NodeProto | undefined>([[start, undefined]]);
  for (const node of from.keys()) {
    const end = tensorsOf(node).find((tensor) => ends.has(tensor));
    if (end !== undefined) {
      const nodes: NodeProto[] = [];
      for (let at: NodeProto | undefined = node; at && at !== start; at = from.get(at)) nodes.unshift(at);
      return { end, nodes };
    }
    for (const neighbor of tensorsOf(node).flatMap(neighborsOf)) {
      if (!from.has(neighbor)) from.set(neighbor, node);
    }
  }
  return undefined;
}

function shortened(names: readonly string[]): readonly string[] {
  return names.length <= 9 ? names : [...names.slice(0, 4), "…", ...names.slice(-4)];
}
