import { UserError } from "../common/errors.ts";
import { readOptions } from "../common/options.ts";
import { randomStream } from "../common/random.ts";
import { elementCount, type Shape } from "../graph/graph.ts";
import { initialTensor, uniformByFanIn } from "../nn/initializers.ts";
import { readAttributes } from "../onnx/attributes.ts";
import type { GraphProto, ModelProto, NodeProto, ValueInfoProto } from "../onnx/onnx_pb.ts";
import { readTensor, writeTensor } from "../onnx/tensor.ts";
import { dataTypeName } from "../onnx/types.ts";
import { adaptSizes } from "./head-sizes.ts";
import { nodeLabel } from "./order.ts";
import { type StoredTensor, storedTensors } from "./weights.ts";

/** The last linear layer of a classifier: Gemm, MatMul with an Add behind it, or a 1×1 convolution. */
export interface Head {
  /** `node "fc" (Gemm)` */
  label: string;
  /** Numbers that one class sees. */
  inputs: number;
  classes: number;
  /** Names of its tensors. */
  weight: string;
  bias?: string;
}

interface FoundHead extends Head {
  node: NodeProto;
  /** The weight as the file stores it, and which of its axes is that of the classes. */
  stored: StoredTensor;
  classAxis: number;
}

/** Operators between the last linear layer and the output that keep classes apart. */
const behindHead = new Set([
  "Softmax",
  "LogSoftmax",
  "Sigmoid",
  "Identity",
  "Cast",
  "Flatten",
  "Reshape",
  "Squeeze",
  "Dropout",
  "Relu",
  "GlobalAveragePool",
  "AveragePool",
  "ReduceMean",
]);

/**
 * The layer that gives an output its classes.
 * @param name the node's name or first output; default: the last linear layer before the output
 * @throws UserError where there is none, or it is not one of its own
 */
export function findHead(model: ModelProto, options: { output?: string; name?: string } = {}): Head {
  const { output, name } = readOptions("findHead", options, { output: "text", name: "text" });
  const { label, inputs, classes, weight, bias } = locate(model.graph!, output, name);
  return { label, inputs, classes, weight, ...(bias !== undefined && { bias }) };
}

/**
 * Gives a model another number of classes: weight and bias of its last linear layer are re-initialized as PyTorch's
 * `Linear` is, drawn by the seed, and sizes behind it follow. The model is changed in place; names stay. Returns the layer
 * as it was.
 * @throws UserError where something behind the layer is made for the old number of classes and cannot follow
 */
export function replaceHead(
  model: ModelProto,
  classes: number,
  options: { output?: string; name?: string; seed?: number } = {},
): Head {
  const kinds = { output: "text", name: "text", seed: "number" } as const;
  const { output, name, seed = 1 } = readOptions("replaceHead", options, kinds);
  if (!(Number.isSafeInteger(classes) && classes >= 1)) {
    throw new UserError(`classes is ${classes}; it has to be a whole number of 1 or more`);
  }
  const graph = model.graph!;
  const head = locate(graph, output, name);
  const tensors = new Map(storedTensors(graph).map((place) => [place.name, place]));
  const behind = tensorsBehind(graph, head.node);
  const isPart = (node: NodeProto) =>
    node === head.node || (head.bias !== undefined && node.input.includes(head.bias));
  if (classes !== head.classes) adaptSizes(graph, behind, { before: head.classes, after: classes }, isPart);
  const initializer = uniformByFanIn(head.inputs);
  const renew = (place: StoredTensor, shape: Shape) => {
    const type = dataTypeName(place.tensor.dataType, place.name);
    if (type !== "float32" && type !== "float64") {
      throw new UserError(
        `${head.label}: its weights are ${type}; only float32 and float64 heads are re-initialized`,
      );
    }
    const random = randomStream(seed, `initialisation of ${place.name}`);
    const drawn = initialTensor(initializer, shape, random, type);
    place.replace(writeTensor(place.tensor.name, drawn));
    for (const info of graph.input) if (info.name === place.name) setShape(info, shape);
  };
  const shape = head.stored.tensor.dims.map(Number);
  renew(
    head.stored,
    shape.map((size, axis) => (axis === head.classAxis ? classes : size)),
  );
  const bias = head.bias === undefined ? undefined : tensors.get(head.bias);
  if (bias) {
    renew(
      bias,
      bias.tensor.dims.map((size) => (Number(size) === head.classes ? classes : Number(size))),
    );
  }
  graph.valueInfo = graph.valueInfo.filter(({ name: tensor }) => !behind.has(tensor));
  for (const info of graph.output) {
    if (!behind.has(info.name) || info.type?.value.case !== "tensorType") continue;
    for (const { value } of info.type.value.value.shape?.dim ?? []) {
      if (value.case === "dimValue" && Number(value.value) === head.classes) value.value = BigInt(classes);
    }
  }
  return head;
}

function locate(graph: GraphProto, output: string | undefined, name: string | undefined): FoundHead {
  const makers = new Map(graph.node.flatMap((node) => node.output.map((made) => [made, node] as const)));
  const stored = new Map(storedTensors(graph).map((place) => [place.name, place]));
  if (name !== undefined) {
    const node = graph.node.find((one) => one.name === name) ?? makers.get(name);
    if (!node) throw new UserError(`head: the model has no node "${name}"`);
    const bias = graph.node.find(
      (one) => one.opType === "Add" && one.input.includes(node.output[0]) && biasOf(one, stored),
    );
    return linearLayer(graph, node, bias && biasOf(bias, stored), stored, makers);
  }
  const outputs = graph.output.map((info) => info.name);
  const end = output ?? (outputs.length === 1 ? outputs[0] : undefined);
  if (end === undefined) {
    throw new UserError(
      `the model has the outputs ${outputs.join(", ")}; say which one holds the logits (output)`,
    );
  }
  let bias: string | undefined;
  for (let at = makers.get(end); at; ) {
    if (["Gemm", "MatMul", "Conv"].includes(at.opType)) return linearLayer(graph, at, bias, stored, makers);
    if (at.opType === "Add" && bias === undefined && biasOf(at, stored)) {
      bias = biasOf(at, stored);
      at = makers.get(at.input.find((input) => input !== bias)!);
    } else if (behindHead.has(at.opType)) at = makers.get(at.input[0]);
    else {
      throw new UserError(
        `the last linear layer is not found: before output "${end}" there is ${nodeLabel(at)}; name the layer (head)`,
      );
    }
  }
  throw new UserError(`the last linear layer is not found before output "${end}"; name it (head)`);
}

function biasOf(node: NodeProto, stored: ReadonlyMap<string, StoredTensor>): string | undefined {
  return node.input.find((input) => stored.has(input));
}

function linearLayer(
  graph: GraphProto,
  node: NodeProto,
  addedBias: string | undefined,
  stored: ReadonlyMap<string, StoredTensor>,
  makers: ReadonlyMap<string, NodeProto>,
): FoundHead {
  const refuse = (reason: string) =>
    new UserError(`${nodeLabel(node)} cannot be re-initialized as a head: ${reason}`);
  const attributes = readAttributes(node.attribute);
  const { transB } = attributes;
  const isTransposed = transB !== undefined && "int" in transB && transB.int === 1;
  let weight = node.input[1] ?? "";
  let turned = false;
  for (let maker = makers.get(weight); maker && !stored.has(weight); maker = makers.get(weight)) {
    if (maker.opType === "Transpose") {
      const { perm } = readAttributes(maker.attribute);
      // A permutation may leave the axes as they are.
      if (!(perm && "ints" in perm) || perm.ints[0] !== 0) turned = !turned;
    } else if (maker.opType !== "Identity") break;
    weight = maker.input[0];
  }
  const place = stored.get(weight);
  if (!place) throw refuse("its weight is not stored in the file");
  // Refuses a tensor whose numbers are not those its sizes tell.
  const { shape } = readTensor(place.tensor, `tensor "${place.name}"`);
  const isConv = node.opType === "Conv";
  if (!isConv && node.opType !== "Gemm" && node.opType !== "MatMul") {
    throw refuse("only Gemm, MatMul and 1×1 Conv can be");
  }
  if (isConv ? shape.length < 3 || elementCount(shape.slice(2)) !== 1 : shape.length !== 2) {
    throw refuse(`its weight is [${shape.join(", ")}]`);
  }
  const isRowPerClass = isConv || (node.opType === "Gemm" && isTransposed) !== turned;
  const classAxis = isRowPerClass ? 0 : 1;
  const bias = addedBias ?? (node.opType === "MatMul" ? undefined : node.input[2] || undefined);
  for (const name of [weight, bias]) {
    if (name !== undefined && graph.node.filter(({ input }) => input.includes(name)).length > 1) {
      throw refuse(`"${name}" is also used elsewhere`);
    }
  }
  return {
    label: nodeLabel(node),
    inputs: shape[1 - classAxis],
    classes: shape[classAxis],
    weight,
    ...(bias !== undefined && { bias }),
    node,
    stored: place,
    classAxis,
  };
}

/** Everything that is computed from a node. */
function tensorsBehind(graph: GraphProto, start: NodeProto): Set<string> {
  const behind = new Set(start.output);
  // Nodes may stand in any order.
  for (let grown = -1; grown !== behind.size; ) {
    grown = behind.size;
    for (const { input, output } of graph.node) {
      if (input.some((name) => behind.has(name))) for (const name of output) behind.add(name);
    }
  }
  return behind;
}

function setShape({ type }: ValueInfoProto, shape: Shape): void {
  if (type?.value.case !== "tensorType") return;
  for (const [axis, dim] of (type.value.value.shape?.dim ?? []).entries()) {
    dim.value = { case: "dimValue", value: BigInt(shape[axis]) };
  }
}
