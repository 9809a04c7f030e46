import { gradients } from "../autodiff/gradients.ts";
import { attempt } from "../common/errors.ts";
import { readOptions } from "../common/options.ts";
import { elementCount, type Graph, type Shape, type Value } from "../graph/graph.ts";
import { nodesOf } from "../graph/walk.ts";
import { withoutFunctions } from "../import/functions.ts";
import {
  type ImportedNetwork,
  type LoadModelOptions,
  loadModelOptions,
  readModelFile,
  TrainableModel,
} from "../import/load.ts";
import { countedOperators, multiplyAdds } from "../import/multiply-adds.ts";
import { nodeLabel } from "../import/order.ts";
import type { ImportedParameter } from "../import/parameter.ts";
import { pathThrough } from "../import/path.ts";
import type { TensorRole } from "../import/roles.ts";
import { type OperatorSupport, operatorSupport } from "../import/support.ts";
import { isStoredWeight, storedTensors } from "../import/weights.ts";
import type { GraphProto, ValueInfoProto } from "../onnx/onnx_pb.ts";
import { dataTypeName } from "../onnx/types.ts";
import { operatorRule } from "../ops/operator.ts";
import { reduceSum } from "../ops/reduction.ts";

// What is in an ONNX file, and what of it can be trained.

export interface ModelDescription {
  name: string;
  producer: string;
  irVersion: number;
  opsets: readonly { domain: string; version: number }[];
  inputs: readonly TensorDescription[];
  outputs: readonly TensorDescription[];
  nodes: number;
  operators: readonly { name: string; count: number; gradient: OperatorSupport }[];
  parameters: readonly ParameterDescription[];
  totals: { parameters: number; trainable: number; bytes: number };
  /** Sizes that were taken for what the file leaves open. */
  sizes: { batchSize: number; dimensions: Readonly<Record<string, number>> };
  /** Multiply-adds of one batch, by operator; absent when the graph cannot be built. */
  multiplyAdds?: { total: number; byOperator: Readonly<Record<string, number>>; counted: readonly string[] };
  training: TrainingDescription;
}

export interface TensorDescription {
  name: string;
  type: string;
  /** A name where the file leaves an axis open, "?" where it has no name; absent when the file states no shape. */
  shape?: readonly (number | string)[];
}

export interface ParameterDescription {
  name: string;
  shape: Shape;
  count: number;
  role: TensorRole;
  trainable: boolean;
  /** Why it is a constant, or else does not train. */
  reason?: string;
}

export interface TrainingDescription {
  possible: boolean;
  /** Why not. */
  reason?: string;
  /** What a loss is taken of, and what is left out behind it; or why an output of probabilities has no logits. */
  logits: readonly { output: string; shape: Shape; without?: string; obstacle?: string }[];
  blockers: readonly Blocker[];
  /** How many elements train and why the others do not; what makes the trained file other than it looks. */
  notes: readonly string[];
}

/** A node that stands in the way. */
export interface Blocker {
  operator: string;
  node: string;
  /** From a parameter over the node to an output. */
  path?: string;
  /** The parameters that do not train because of it. */
  parameters: readonly string[];
  advice: string;
}

/**
 * Describes an ONNX file: what goes in and out, its operators and parameters, what it costs, and what of it can be
 * trained.
 *
 * ```ts
 * const { totals, training } = await inspectModel("classifier.onnx", { dimensions: { height: 64 } });
 * ```
 * @throws UserError if the file cannot be read as an ONNX model
 */
export async function inspectModel(
  source: string | Uint8Array,
  options: LoadModelOptions = {},
): Promise<ModelDescription> {
  readOptions("inspectModel", options, loadModelOptions);
  const proto = await readModelFile(source);
  const graph = proto.graph!;
  const model = new TrainableModel(proto, options);
  const sizes = { batchSize: options.batchSize ?? 1, dimensions: options.dimensions ?? {} };
  const weights = new Set([
    ...graph.initializer.map(({ name }) => name),
    ...model.parameters.map(({ name }) => name),
  ]);
  const flat = withoutFunctions(proto);
  const nodes = flat.node.filter((node) => !isStoredWeight(node));
  const built = attempt(() => model.build({ training: false, ...sizes }));
  const trained = attempt(() => model.build({ training: true, ...sizes }));
  const unreached = new Map([
    ...behindWalls(model),
    ...(trained.value ? withoutGradient(trained.value, nodeNames(flat)) : []),
  ]);
  const derived = trained.value ? attempt(() => differentiate(trained.value!)) : trained;
  const parameters = model.parameters.map((parameter) =>
    describeParameter(parameter, unreached, trained.value?.parameters),
  );
  const reason = derived.error ?? noneTrains(parameters);
  return {
    name: graph.name,
    producer: [proto.producerName, proto.producerVersion].filter(Boolean).join(" ") || "producer not stated",
    irVersion: Number(proto.irVersion),
    opsets: proto.opsetImport.map(({ domain, version }) => ({
      domain: domain || "ai.onnx",
      version: Number(version),
    })),
    inputs: graph.input.filter(({ name }) => !weights.has(name)).map(describeTensor),
    outputs: graph.output.map((info) => withBuiltShape(describeTensor(info), built.value?.outputs)),
    nodes: nodes.length,
    operators: countOperators(nodes),
    parameters,
    totals: {
      parameters: sum(parameters.map(({ count }) => count)),
      trainable: sum(parameters.filter(({ trainable }) => trainable).map(({ count }) => count)),
      bytes: sum(
        storedTensors(graph, proto.functions).map(
          ({ name, tensor: { dims, dataType } }) =>
            elementCount(dims.map(Number)) * bytesPerNumber(dataType, name),
        ),
      ),
    },
    sizes,
    ...(built.value && { multiplyAdds: describeCost(built.value.graph) }),
    training: {
      possible: reason === undefined,
      ...(reason !== undefined && { reason }),
      logits: [...((trained.value ?? built.value)?.ends ?? [])].map(
        ([output, { logits, without, obstacle }]) => ({
          output,
          shape: logits.shape,
          ...(without !== undefined && { without }),
          ...(obstacle !== undefined && { obstacle }),
        }),
      ),
      blockers: [...unknownOperators(flat, model), ...new Set(unreached.values())],
      notes: model.notes(trained.value),
    },
  };
}

function describeTensor({ name, type }: ValueInfoProto): TensorDescription {
  if (type?.value.case !== "tensorType") return { name, type: type?.value.case ?? "not stated" };
  const { elemType, shape } = type.value.value;
  return {
    name,
    type: attempt(() => dataTypeName(elemType, name)).value ?? `type ${elemType}`,
    ...(shape && {
      shape: shape.dim.map(({ value }) => {
        if (value.case === "dimParam" && value.value !== "") return value.value;
        return value.case === "dimValue" && value.value > 0 ? Number(value.value) : "?";
      }),
    }),
  };
}

function withBuiltShape(
  described: TensorDescription,
  outputs: ReadonlyMap<string, Value> | undefined,
): TensorDescription {
  const value = outputs?.get(described.name);
  return described.shape || !value ? described : { ...described, type: value.type, shape: value.shape };
}

function countOperators(nodes: GraphProto["node"]): ModelDescription["operators"] {
  const counts = new Map<string, { name: string; count: number; gradient: OperatorSupport }>();
  for (const { opType, domain } of nodes) {
    const name = domain === "" || domain === "ai.onnx" ? opType : `${domain}.${opType}`;
    const entry = counts.get(name) ?? { name, count: 0, gradient: operatorSupport(opType, domain) };
    entry.count++;
    counts.set(name, entry);
  }
  return [...counts.values()].sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1));
}

function describeParameter(
  { name, storedName, shape, role, trainable, reason }: ImportedParameter,
  unreached: ReadonlyMap<string, Blocker>,
  built: ReadonlyMap<string, Value> | undefined,
): ParameterDescription {
  const own = { name: storedName, shape, count: elementCount(shape), role };
  const blocker = unreached.get(name);
  const why =
    blocker && trainable ? blocker.advice : trainable && built?.has(name) === false ? unread : reason;
  const trains = trainable && why === reason;
  return { ...own, trainable: trains, ...(why !== undefined && { reason: why }) };
}

const unread = "no output depends on it";

function noneTrains(parameters: readonly ParameterDescription[]): string | undefined {
  if (parameters.some(({ trainable }) => trainable)) return undefined;
  return parameters.length === 0 ? "the file stores no floating-point tensor" : "no parameter can be trained";
}

function describeCost(graph: Graph): NonNullable<ModelDescription["multiplyAdds"]> {
  const byOperator = multiplyAdds(graph);
  return {
    total: sum([...byOperator.values()]),
    byOperator: Object.fromEntries(byOperator),
    counted: countedOperators,
  };
}

/** Builds the gradients, which tells whether every rule on the way takes the nodes it meets. */
function differentiate({ logits, parameters }: ImportedNetwork): void {
  const outputs = [...logits.values()].filter(({ type }) => type === "float32" || type === "float64");
  for (const output of outputs) gradients(reduceSum(output), [...parameters.values()]);
}

/** The parameters before a node that is constant almost everywhere, by their names. */
function behindWalls({ parameters }: TrainableModel): Map<string, Blocker> {
  const walls = new Map<string, Blocker & { parameters: string[] }>();
  const found = new Map<string, Blocker>();
  for (const { name, storedName, wall } of parameters) {
    if (!wall) continue;
    const advice = `no gradient comes back through ${wall.operator}: what is before it does not train`;
    const blocker = walls.get(wall.node) ?? { ...wall, parameters: [], advice };
    blocker.parameters.push(storedName);
    walls.set(wall.node, blocker);
    found.set(name, blocker);
  }
  return found;
}

/** The parameters that no gradient reaches, with the node that ends the way to them. */
function withoutGradient(
  { logits, parameters }: ImportedNetwork,
  names: ReadonlyMap<string, string>,
): Map<string, Blocker> {
  const nodes = nodesOf(logits.values());
  const reached = new Set<Value>(logits.values());
  for (const node of nodes.toReversed()) {
    if (!comesBack(node.operator) || !node.outputs.some((output) => reached.has(output))) continue;
    for (const input of node.inputs) if (input) reached.add(input);
  }
  const found = new Map<string, Blocker>();
  const ofNode = new Map<string, Blocker & { parameters: string[] }>();
  for (const [name, parameter] of parameters) {
    if (reached.has(parameter)) continue;
    // The first node after it that nothing comes back through.
    const behind = new Set<Value>([parameter]);
    const wall = nodes.find((node) => {
      if (!node.inputs.some((input) => input && behind.has(input))) return false;
      for (const output of node.outputs) behind.add(output);
      return !comesBack(node.operator);
    });
    const key = wall ? `${wall.scope} ${wall.operator}` : "";
    const blocker = ofNode.get(key) ?? {
      operator: wall?.operator ?? "none",
      node: wall ? (names.get(wall.scope) ?? wall.scope) : "none",
      parameters: [],
      advice: wall ? `no gradient comes back through ${wall.operator}: freeze what is before it` : unread,
    };
    blocker.parameters.push(name);
    ofNode.set(key, blocker);
    found.set(name, blocker);
  }
  return found;
}

function comesBack(operator: string): boolean {
  return typeof operatorRule(operator).gradient !== "string";
}

function nodeNames({ node }: GraphProto): Map<string, string> {
  return new Map(node.map((one) => [one.name || one.output[0], nodeLabel(one)]));
}

/** Operators without a rule, each with its first node. */
function unknownOperators(graph: GraphProto, model: TrainableModel): Blocker[] {
  const trainable = new Set(model.trainable.map(({ storedName }) => storedName));
  const first = new Map<string, Blocker>();
  for (const node of graph.node) {
    const { opType, domain } = node;
    if (operatorSupport(opType, domain) !== "none" || first.has(`${domain}.${opType}`)) continue;
    const path = pathThrough(graph, node, trainable);
    first.set(`${domain}.${opType}`, {
      operator: domain === "" ? opType : `${domain}.${opType}`,
      node: nodeLabel(node),
      ...(path && { path }),
      parameters: [],
      advice: "it has no rule here: export the model without it",
    });
  }
  return [...first.values()];
}

function bytesPerNumber(dataType: number, name: string): number {
  const type = attempt(() => dataTypeName(dataType, name)).value ?? "";
  const bits = Number(/\d+/.exec(type)?.[0] ?? 8);
  return bits / 8;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
