import type { Node, Value } from "../graph/graph.ts";
import { nodesOf } from "../graph/walk.ts";
import type { Model } from "./module.ts";

// The parts of a network one after another, for training some of them, or each at a rate of its own.

/** A part of a network. */
export interface Stage {
  /** The module that its parameters begin with, or its first weight. */
  name: string;
  /** Names of its parameters. */
  parameters: readonly string[];
  /** Names of its BatchNorm statistics. */
  buffers: readonly string[];
  /** Names of the random inputs of its Dropout. */
  randomInputs: readonly string[];
}

/** Fewest modules at a level of names for it to be searched for stages. */
const leastModules = 3;

/**
 * The stages of a network, from its input to its output; the last one is its head.
 *
 * A _block_ is what lies between two values that every path from the input to the output goes through: a linear layer, or
 * a residual block with its shortcut. _Modules_ are what the names of parameters begin with (`layer1`, `fc`), at the
 * shallowest level that has three or more. Stages are the modules, where these follow one another in the graph and are no
 * more than the blocks, or else the blocks. What has no weight of its own, such as a BatchNorm or a bias, belongs to the
 * stage before it, and a Dropout to the stage behind it.
 * @param model built in training mode
 */
export function stagesOf(model: Model): Stage[] {
  const places = placesOf(model);
  const weights = new Set(model.parameters.flatMap(({ name, kind }) => (kind === "weight" ? [name] : [])));
  const ordered = places.parameters.sort((a, b) => a.block - b.block || a.node - b.node);
  const moduleOf = moduleAt(ordered.map(({ name }) => name));
  const blocks = withWeights(
    groupsOf(ordered, ({ block }) => String(block)),
    weights,
  );
  const modules = withWeights(groupsOf(ordered, moduleOf), weights);
  const isInOrder = modules.every(
    (group, index) => index === 0 || group[0].node > Math.max(...modules[index - 1].map(({ node }) => node)),
  );
  const isByModules = isInOrder && modules.length <= blocks.length;
  const chosen = isByModules ? modules : blocks;
  const stages = chosen.map((group) => ({
    name: isByModules ? moduleOf(group[0]) : blockName(group, weights),
    parameters: group.map(({ name }) => name),
    buffers: [] as string[],
    randomInputs: [] as string[],
  }));
  if (stages.length === 0) return [];
  const stageOf = new Map(chosen.flatMap((group, index) => group.map((place) => [place, stages[index]])));
  const before = ({ node }: Place, among = ordered) => among.findLast((place) => place.node <= node);
  for (const buffer of places.buffers) {
    const own = before(buffer) ?? ordered[0];
    stageOf.get(own)!.buffers.push(buffer.name);
  }
  for (const random of places.randomInputs) {
    const around = ordered.filter(({ block }) => block === random.block);
    const behind = ordered.find(({ node }) => node > random.node) ?? ordered[ordered.length - 1];
    const own = before(random, around) ?? around[0] ?? behind;
    stageOf.get(own)!.randomInputs.push(random.name);
  }
  return stages;
}

/** Where something comes into the way from input to output: in which block, at which node. */
interface Place {
  name: string;
  block: number;
  node: number;
}

function placesOf({ input, logits, bufferUpdates, parameters, buffers, randomInputs }: Model) {
  const nodes = nodesOf([logits, ...bufferUpdates.values()]);
  const blockOf = blocksOf(nodesOf([logits]), input, logits);
  /** The inputs that a value which does not depend on the data is computed from. */
  const sources = new Map<Value, ReadonlySet<Value>>();
  const sourcesOf = (value: Value) =>
    sources.get(value) ?? new Set(value.origin.kind === "input" ? [value] : []);
  const dependent = new Set([input]);
  const found = new Map<string, Place>();
  for (const node of nodes) {
    const read = node.inputs.filter((value) => value !== undefined);
    const met = new Set(read.flatMap((value) => (dependent.has(value) ? [] : [...sourcesOf(value)])));
    if (!read.some((value) => dependent.has(value))) {
      for (const output of node.outputs) sources.set(output, met);
      continue;
    }
    for (const output of node.outputs) dependent.add(output);
    // What only the statistics of a BatchNorm need is in its block.
    const block = blockOf.get(node) ?? Math.max(0, ...read.map((value) => blockBefore(value, blockOf)));
    blockOf.set(node, block);
    for (const { origin } of met) {
      if (origin.kind !== "input" || found.has(origin.name)) continue;
      found.set(origin.name, { name: origin.name, block, node: node.id });
    }
  }
  const placed = (names: readonly string[]) => names.flatMap((name) => found.get(name) ?? []);
  return {
    parameters: placed(parameters.map(({ name }) => name)),
    buffers: placed(buffers.map(({ name }) => name)),
    randomInputs: placed(randomInputs.map(({ origin }) => (origin.kind === "input" ? origin.name : ""))),
  };
}

function blockBefore({ origin }: Value, blockOf: ReadonlyMap<Node, number>): number {
  return origin.kind === "node" ? (blockOf.get(origin.node) ?? 0) : 0;
}

/**
 * Numbers the blocks of nodes on the way from the input to the output. In any order of execution a value that every path
 * goes through is, once it is computed, the only one that is still to be read.
 */
function blocksOf(nodes: readonly Node[], input: Value, output: Value): Map<Node, number> {
  const dependent = new Set([input]);
  const onTheWay = nodes.filter((node) => {
    const isOn = node.inputs.some((value) => value && dependent.has(value));
    if (isOn) for (const made of node.outputs) dependent.add(made);
    return isOn;
  });
  const lastRead = new Map<Value, number>([[output, onTheWay.length]]);
  for (const [index, node] of onTheWay.entries()) {
    for (const value of node.inputs)
      if (value && dependent.has(value) && value !== output) lastRead.set(value, index);
  }
  const blocks = new Map<Node, number>();
  const open = new Set([input]);
  let block = 0;
  for (const [index, node] of onTheWay.entries()) {
    blocks.set(node, block);
    for (const made of node.outputs) if (lastRead.has(made)) open.add(made);
    for (const value of node.inputs) if (value && lastRead.get(value) === index) open.delete(value);
    if (open.size === 1) block++;
  }
  return blocks;
}

function groupsOf(places: readonly Place[], keyOf: (place: Place) => string): Place[][] {
  const groups = new Map<string, Place[]>();
  for (const place of places) {
    const group = groups.get(keyOf(place));
    if (group) group.push(place);
    else groups.set(keyOf(place), [place]);
  }
  return [...groups.values()];
}

/** Groups without a weight join the one before, or the first with a weight. */
function withWeights(groups: readonly Place[][], weights: ReadonlySet<string>): Place[][] {
  const hasWeight = (places: readonly Place[]) => places.some(({ name }) => weights.has(name));
  const joined: Place[][] = [];
  for (const group of groups) {
    const last = joined.at(-1);
    if (last && !(hasWeight(group) && hasWeight(last))) last.push(...group);
    else joined.push([...group]);
  }
  return joined;
}

/** The module of a parameter, at the shallowest level at which there are enough. */
function moduleAt(names: readonly string[]): (place: Pick<Place, "name">) => string {
  const pathOf = (name: string) => (name.includes(".") ? name.split(".").slice(0, -1) : [name]);
  const deepest = Math.max(1, ...names.map((name) => pathOf(name).length));
  const at = (level: number) => (name: string) => pathOf(name).slice(0, level).join(".");
  let level = 1;
  while (level < deepest && new Set(names.map(at(level))).size < leastModules) level++;
  return ({ name }) => at(level)(name);
}

/** What the names of a block's parameters begin with, or else its first weight. */
function blockName(places: readonly Place[], weights: ReadonlySet<string>): string {
  const paths = places.map(({ name }) => name.split("."));
  const shared = paths[0].findIndex((part, index) => paths.some((path) => path[index] !== part));
  const length = Math.min(shared < 0 ? paths[0].length : shared, paths[0].length - 1);
  if (length > 0) return paths[0].slice(0, length).join(".");
  return (places.find(({ name }) => weights.has(name)) ?? places[0]).name;
}
