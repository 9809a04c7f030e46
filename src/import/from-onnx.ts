import { UserError } from "../common/errors.ts";
import { tensorData } from "../graph/constants.ts";
import { elementCount, Graph, type Value } from "../graph/graph.ts";
import { type AttributeValue, readAttributes } from "../onnx/attributes.ts";
import type { GraphProto, ModelProto, NodeProto } from "../onnx/onnx_pb.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { expand } from "../ops/movement.ts";
import { differentiabilityOf } from "../ops/operator.ts";
import "../ops/index.ts";
import { type Adapter, ImportedNode, type TrainingMode, type TrainingParts } from "./adapter.ts";
import { arithmeticAdapters } from "./arithmetic-adapters.ts";
import { type DimensionOptions, inputType } from "./dimensions.ts";
import { fold } from "./fold.ts";
import { movementAdapters } from "./movement-adapters.ts";
import { modernized } from "./older-forms.ts";
import { nodeLabel, nodesInOrder } from "./order.ts";
import { pathThrough } from "./path.ts";
import { quantizationAdapters } from "./quantization-adapters.ts";
import { guessRoles } from "./roles.ts";
import { trainingAdapters } from "./training-adapters.ts";
import { isStoredWeight, readWeights } from "./weights.ts";
import { windowAdapters } from "./window-adapters.ts";

export interface FromOnnxOptions extends DimensionOptions {
  /** The tensors that the file stores, where they have been read already. */
  weights?: ReadonlyMap<string, TensorData>;
  /** Which of them become inputs. Default: the floating-point ones, but for those that no layer has as a weight. */
  isInput?: (name: string) => boolean;
  /** Build the graph for training. Default: as it is, for inference. */
  training?: TrainingMode;
}

/** A file as a graph. */
export interface ImportedGraph {
  /** With the file's outputs. */
  graph: Graph;
  /** The file's inputs, weights not among them. */
  inputs: ReadonlyMap<string, Value>;
  outputs: ReadonlyMap<string, Value>;
  /** The numbers of the weights that are inputs of the graph. */
  initializers: ReadonlyMap<string, TensorData>;
  /** In training: what the running statistics become, by name. */
  bufferUpdates: ReadonlyMap<string, Value>;
  /** In training: inputs to fill with random numbers from [0, 1) at every step. */
  randomInputs: readonly Value[];
}

/** Versions of ONNX's operator set that are read. */
const opsets = { first: 6, last: 24 };

const adapters: Readonly<Record<string, Adapter>> = {
  ...arithmeticAdapters,
  ...movementAdapters,
  ...windowAdapters,
  ...trainingAdapters,
  ...quantizationAdapters,
};

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
  const proto = model.graph!;
  const opset = opsetOf(model);
  const weights = options.weights ?? readWeights(proto);
  const roles = guessRoles(proto, weights);
  const isInput = options.isInput ?? ((name: string) => (roles.get(name) ?? "constant") !== "constant");
  const graph = new Graph();
  const training: TrainingParts | undefined = options.training && {
    mode: options.training,
    bufferUpdates: new Map(),
    randomInputs: [],
  };
  const infos = proto.input.filter(({ name }) => !weights.has(name));
  const order = nodesInOrder(
    { ...proto, node: proto.node.filter((node) => !isStoredWeight(node)) },
    new Set([...weights.keys(), ...infos.map(({ name }) => name)]),
  );
  const values = new Map<string, Value>();
  for (const info of infos) {
    const { type, shape } = inputType(info, options);
    values.set(info.name, graph.input(info.name, type, shape));
  }
  const inputs = new Map(values);
  const initializers = new Map<string, TensorData>();
  for (const [name, tensor] of weights) {
    if (isInput(name)) initializers.set(name, tensor);
    values.set(name, isInput(name) ? graph.input(name, tensor.type, tensor.shape) : graph.constant(tensor));
  }
  const trained = new Set(initializers.keys());
  for (const node of neededNodes(order, proto)) {
    const built = graph.scoped(node.name || node.output[0], () =>
      naming(node, () => buildNode(node, { graph, opset, values, training, proto, trained })),
    );
    for (const [index, name] of node.output.entries())
      if (name && built[index]) values.set(name, built[index]);
  }
  const outputs = new Map(proto.output.map(({ name }) => [name, values.get(name)!]));
  for (const [name, value] of outputs) {
    if (!value) throw missingOutput(name, proto);
    graph.output(name, value);
  }
  const { bufferUpdates = new Map(), randomInputs = [] } = training ?? {};
  return { graph, inputs, outputs, initializers, bufferUpdates, randomInputs };
}

function missingOutput(name: string, { node }: GraphProto): UserError {
  const maker = node.find(({ output }) => output.includes(name));
  return new UserError(
    maker
      ? `output "${name}" is a further output of ${nodeLabel(maker)}, which is not made here`
      : `output "${name}" is neither an input, an initializer nor made by a node`,
  );
}

interface Building {
  graph: Graph;
  opset: number;
  values: ReadonlyMap<string, Value>;
  training: TrainingParts | undefined;
  proto: GraphProto;
  trained: ReadonlySet<string>;
}

function buildNode(node: NodeProto, building: Building): readonly Value[] {
  const { graph, opset, values, training } = building;
  const attributes = readAttributes(node.attribute);
  const domain = node.domain === "ai.onnx" ? "" : node.domain;
  const inputs = node.input.map((name) => {
    const value = values.get(name);
    if (name !== "" && !value) {
      throw new UserError(
        `reads "${name}", an output that is not made here; only the first outputs of its node are`,
      );
    }
    return value;
  });
  const operator = node.opType;
  if (domain === "") {
    const known = makeConstant(graph, operator, inputs, attributes) ?? fold(operator, inputs, attributes);
    if (known) return known;
  }
  const outputCount = node.output.findLastIndex((name) => name !== "") + 1;
  const name = node.output[0];
  const imported = new ImportedNode({
    graph,
    operator,
    opset,
    inputs,
    attributes,
    outputCount,
    name,
    training,
  });
  const newest = modernized(imported);
  const adapter = adapters[newest.operator];
  const hasRule = domain === "" && differentiabilityOf(newest.operator) !== undefined;
  if (domain !== "" || !(hasRule || adapterBuildsAll(newest.operator))) throw unknownOperator(node, building);
  return adapter ? adapter(newest) : newest.build();
}

/** Operators that become others, and so need no rule of their own. */
function adapterBuildsAll(operator: string): boolean {
  return (
    operator in movementAdapters ||
    operator in trainingAdapters ||
    ["Identity", "CastLike", "Sum", "Mean"].includes(operator)
  );
}

function unknownOperator(node: NodeProto, { proto, trained }: Building): UserError {
  const operator = node.domain === "" ? node.opType : `${node.domain}.${node.opType}`;
  const path = pathThrough(proto, node, trained);
  const where = path ? `; it stands between a parameter and an output: ${path}` : "";
  return new UserError(`operator ${operator} has no rule here${where}; export the model without it`);
}

/** Operators that are constants once shapes are known. */
function makeConstant(
  graph: Graph,
  operator: string,
  inputs: readonly (Value | undefined)[],
  attributes: Readonly<Record<string, AttributeValue>>,
): Value[] | undefined {
  const [x] = inputs;
  if (operator === "Constant") return [graph.constant(constantOf(attributes))];
  if (operator === "Shape" && x) {
    const bound = (name: string, fallback: number) => {
      const value = attributes[name];
      return value && "int" in value ? value.int : fallback;
    };
    const sizes = x.shape.slice(bound("start", 0), bound("end", x.shape.length));
    return [graph.constant(tensorData(sizes, [sizes.length], "int64"))];
  }
  if (operator === "Size" && x) return [graph.scalar(elementCount(x.shape), "int64")];
  if (operator !== "ConstantOfShape" || x?.origin.kind !== "constant") return undefined;
  const shape = Array.from(x.origin.data.data as ArrayLike<bigint>, Number);
  const value = attributes.value && "tensor" in attributes.value ? attributes.value.tensor : undefined;
  const one = value ? { ...value, shape: [] } : tensorData([0], [], "float32");
  const scalar = graph.constant(one);
  // Small ones are written out, so that what depends on them can be computed too.
  const filled = fold("Expand", [scalar, x], {});
  return filled ?? [expand(scalar, shape)];
}

function constantOf(attributes: Readonly<Record<string, AttributeValue>>): TensorData {
  const [value] = Object.values(attributes);
  if (value && "tensor" in value) return value.tensor;
  if (value && "float" in value) return tensorData([value.float], [], "float32");
  if (value && "int" in value) return tensorData([value.int], [], "int64");
  if (value && "floats" in value) return tensorData(value.floats, [value.floats.length], "float32");
  if (value && "ints" in value) return tensorData(value.ints, [value.ints.length], "int64");
  throw new UserError("a Constant holds numbers here: a tensor, int, ints, float or floats");
}

function neededNodes(order: readonly NodeProto[], proto: GraphProto): NodeProto[] {
  const needed = new Set(proto.output.map(({ name }) => name));
  const nodes = order.toReversed().filter((node) => {
    if (!node.output.some((output) => needed.has(output))) return false;
    for (const input of node.input) needed.add(input);
    return true;
  });
  return nodes.reverse();
}

function opsetOf(model: ModelProto): number {
  const own = model.opsetImport.find(({ domain }) => domain === "" || domain === "ai.onnx");
  const version = Number(own?.version ?? 1);
  if (version >= opsets.first && version <= opsets.last) return version;
  throw new UserError(
    `the model uses opset ${version}; ${opsets.first} to ${opsets.last} are read, so export it with one of them`,
  );
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
