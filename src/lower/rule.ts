import type { Node, Value } from "../graph/graph.ts";
import type { Target } from "./target.ts";

/** Builds what stands for a node in the lowered graph, from the node's inputs there; undefined keeps the node. */
export type LoweringRule = (
  inputs: readonly Value[],
  node: Node,
  target: Target,
) => readonly Value[] | undefined;
