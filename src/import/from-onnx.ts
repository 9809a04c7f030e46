import { UserError } from "../common/errors.ts";
import { readOptions } from "../common/options.ts";
import { Graph, type TensorType, type Value } from "../graph/graph.ts";
import type { GraphProto, ModelProto } from "../onnx/onnx_pb.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { type TrainingMode, type TrainingParts, trainingMode } from "./adapter.ts";
import { buildNodes } from "./build-nodes.ts";
import { type DimensionOptions, dimensionOptions, inputType } from "./dimensions.ts";
import { withoutFunctions } from "./functions.ts";
import { statedTypes } from "./narrow-types.ts";
import { opsetOf } from "./opset.ts";
import { nodeLabel } from "./order.ts";
import { rolesOf, type TensorUse } from "./roles.ts";
import { absent, type Entry, isSequence, isTensor } from "./sequences.ts";
import { readWeights, storedTensors } from "./weights.ts";

export interface FromOnnxOptions extends DimensionOptions {
  /** The tensors that the file stores, where they have been read already. */
  weights?: ReadonlyMap<string, TensorData>;
  /** Which of them become inputs. Default: those that train, and running statistics. */
  isInput?: (name: string) => boolean;
  /** Names of these inputs, where they are others than in the file. */
  inputNames?: ReadonlyMap<string, string>;
  /**
   * What inputs hold that are no tensors: a sequence its tensors, an optional one of these or null. A sequence becomes one
   * input for each tensor, `name.0` and so on.
   */
  entries?: ReadonlyMap<string, TensorType | readonly TensorType[] | null>;
  /** Build the graph for training. Default: as it is, for inference. */
  training?: TrainingMode;
}

/** A file as a graph. */
export interface ImportedGraph {
  /** With the file's outputs; of a sequence each tensor is one, `name.0` and so on. */
  graph: Graph;
  /** The file's inputs, weights not among them. */
  inputs: ReadonlyMap<string, Value>;
  outputs: ReadonlyMap<string, Value>;
  /** The weights that are inputs of the graph, by the inputs' names. */
  initializers: ReadonlyMap<string, TensorData>;
  /** In training: what the running statistics become, by name. */
  bufferUpdates: ReadonlyMap<string, Value>;
  /** In training: inputs to fill with random numbers from [0, 1) at every step. */
  randomInputs: readonly Value[];
}

/** Versions of ONNX's operator set that are read. Before 6 only operators that have not changed since are. */
const opsets = { first: 1, last: 28 };

/**
 * An ONNX model as a graph: symbolic dimensions bound, weights as inputs, other stored tensors as constants, what
 * depends on constants alone computed, and every node in the form that `src/ops` has, whatever opset it is from. What no
 * output needs is left out.
 *
 * ```ts
 * const { graph, initializers } = fromOnnx(readModel(bytes), { batchSize: 32 });
 * ```
 * @throws UserError naming the node, tensor or dimension that stands in the way
 */
export function fromOnnx(model: ModelProto, options: FromOnnxOptions = {}): ImportedGraph {
  readOptions("fromOnnx", options, {
    ...dimensionOptions,
    weights: "object",
    isInput: "function",
    inputNames: "object",
    entries: "object",
    training: "object",
  });
  if (options.training) {
    const mode = { ...trainingMode, statisticsMomentum: "number" } as const;
    readOptions("fromOnnx: training", options.training, mode);
  }
  const proto = withoutFunctions(model);
  const opset = requireOpset(model);
  const stored = storedTensors(model.graph!, model.functions);
  const weights = options.weights ?? readWeights(model.graph!, model.functions);
  const isInput = options.isInput ?? trainsByDefault(rolesOf(model, weights));
  const graph = new Graph();
  const training: TrainingParts | undefined = options.training && {
    mode: options.training,
    bufferUpdates: new Map(),
    randomInputs: [],
  };
  const infos = proto.input.filter(({ name }) => !weights.has(name));
  const inputs = new Map<string, Value>();
  const values = new Map<string, Entry>();
  for (const info of infos) {
    const held = options.entries?.get(info.name);
    if (held !== undefined) {
      values.set(info.name, inputEntry(graph, info.name, held));
      continue;
    }
    const { type, shape } = inputType(info, options);
    inputs.set(info.name, graph.input(info.name, type, shape));
    values.set(info.name, inputs.get(info.name)!);
  }
  const initializers = new Map<string, TensorData>();
  const trained = new Set<string>();
  const places = new Map(stored.map((place) => [place.name, place]));
  const storedValues = new Map<object, Value>();
  for (const [name, tensor] of weights) {
    const own = options.inputNames?.get(name) ?? name;
    const value = isInput(name) ? graph.input(own, tensor.type, tensor.shape) : graph.constant(tensor);
    if (isInput(name)) {
      initializers.set(own, tensor);
      trained.add(name);
    }
    const place = places.get(name);
    if (place) storedValues.set(place.key, value);
    if (place?.isInitializer !== false) values.set(name, value);
  }
  const types = statedTypes(proto);
  buildNodes(proto, {
    graph,
    opset,
    values,
    types,
    training,
    proto,
    trained,
    stored: storedValues,
    writtenOut: { nodes: 0 },
  });
  if (proto.output.length === 0) throw new UserError("the model states no outputs");
  const outputs = new Map<string, Value>();
  for (const { name } of proto.output) {
    const value = values.get(name);
    if (value === undefined) throw missingOutput(name, proto);
    for (const [part, tensor] of tensorsOf(name, value)) {
      if (outputs.has(part)) throw new UserError(`the model states output "${part}" twice`);
      outputs.set(part, tensor);
      graph.output(part, tensor);
    }
  }
  const { bufferUpdates = new Map(), randomInputs = [] } = training ?? {};
  return { graph, inputs, outputs, initializers, bufferUpdates, randomInputs };
}

/** An input of the graph, or several, for an input of the file that is no tensor. */
function inputEntry(graph: Graph, name: string, held: TensorType | readonly TensorType[] | null): Entry {
  if (held === null) return absent;
  if ("type" in held) return graph.input(name, held.type, held.shape);
  return held.map(({ type, shape }, index) => graph.input(`${name}.${index}`, type, shape));
}

/** The tensors of an output by name: of a sequence `name.0` and so on. */
function tensorsOf(name: string, entry: Entry): [name: string, tensor: Value][] {
  if (isSequence(entry)) return entry.map((tensor, index) => [`${name}.${index}`, tensor]);
  return isTensor(entry) ? [[name, entry]] : [];
}

function trainsByDefault(roles: ReadonlyMap<string, TensorUse>): (name: string) => boolean {
  return (name) => {
    const use = roles.get(name);
    return use !== undefined && (use.trains || use.role === "running-statistic");
  };
}

function missingOutput(name: string, { node }: GraphProto): UserError {
  const maker = node.find(({ output }) => output.includes(name));
  return new UserError(
    maker
      ? `output "${name}" is a further output of ${nodeLabel(maker)}, which is not made here`
      : `output "${name}" is neither an input, an initializer nor made by a node`,
  );
}

function requireOpset(model: ModelProto): number {
  const version = opsetOf(model);
  if (version >= opsets.first && version <= opsets.last) return version;
  throw new UserError(
    `the model uses opset ${version}; ${opsets.first} to ${opsets.last} are read, so export it with one of them`,
  );
}
