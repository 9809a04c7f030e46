import { clone } from "@bufbuild/protobuf";
import { elementCount } from "../graph/graph.ts";
import { type GraphProto, type NodeProto, type TensorProto, TensorProtoSchema } from "../onnx/onnx_pb.ts";
import { readTensor } from "../onnx/tensor.ts";
import { dataTypeNumber } from "../onnx/types.ts";

/**
 * Gives tensors of their own to those that an exporter or optimizer stored once because their elements happened to be
 * equal: all the ones and zeros of a fresh network, running statistics and biases among them. In training they part.
 * Weights that are tied on purpose, whose elements are not all alike, stay tied; running statistics never are.
 *
 * PyTorch writes such a copy as an Identity of an initializer; others let several nodes read the same initializer.
 */
export function separateAliases(graph: GraphProto): void {
  const stored = storedFloats(graph);
  const taken = new Set([...graph.input, ...graph.output, ...graph.initializer].map(({ name }) => name));
  for (const name of graph.node.flatMap(({ output }) => output)) taken.add(name);
  const add = (name: string, source: TensorProto) => {
    const copy = clone(TensorProtoSchema, source);
    copy.name = name;
    taken.add(name);
    stored.set(name, copy);
    graph.initializer.push(copy);
  };
  const statistics = new Set(
    graph.node.filter(isBatchNormalization).flatMap(({ input }) => input.slice(3, 5)),
  );
  const outputs = new Set(graph.output.map(({ name }) => name));
  graph.node = graph.node.filter((node) => {
    const source = node.opType === "Identity" ? stored.get(node.input[0]) : undefined;
    const isCopied = source && !outputs.has(node.output[0]);
    if (!isCopied || !(statistics.has(node.output[0]) || isUniform(source))) return true;
    add(node.output[0], source);
    return false;
  });
  for (const [name, places] of placesOf(graph, stored)) {
    const source = stored.get(name)!;
    // The first of the others keeps the name, or the first statistic if there is nothing else.
    const [kept] = places.filter((place) => !isStatistic(place)).concat(places);
    const isShared = places.length > 1 && isUniform(source);
    for (const place of places) {
      const { node, index } = place;
      if (place === kept || !(isStatistic(place) || (isShared && isOwn(place, source)))) continue;
      const base = `${node.output.find((output) => output !== "")}.${kindOf(place)}`;
      let own = base;
      for (let count = 2; taken.has(own); count++) own = `${base}.${count}`;
      node.input[index] = own;
      add(own, source);
    }
  }
}

interface Place {
  node: NodeProto;
  index: number;
}

/** What the inputs of operators are called that are parameters whatever is in them. */
const kinds: Readonly<Record<string, readonly (string | undefined)[]>> = {
  Conv: [undefined, "weight", "bias"],
  ConvTranspose: [undefined, "weight", "bias"],
  Gemm: [undefined, "weight", "bias"],
  BatchNormalization: [undefined, "weight", "bias", "running_mean", "running_var"],
  InstanceNormalization: [undefined, "weight", "bias"],
  LayerNormalization: [undefined, "weight", "bias"],
  GroupNormalization: [undefined, "weight", "bias"],
  RMSNormalization: [undefined, "weight"],
  PRelu: [undefined, "slope"],
};

/** Where tensors are read by nodes of the graph itself, in its order. */
function placesOf(graph: GraphProto, stored: ReadonlyMap<string, TensorProto>): Map<string, Place[]> {
  const places = new Map<string, Place[]>();
  for (const node of graph.node) {
    for (const [index, name] of node.input.entries()) {
      if (!stored.has(name)) continue;
      const list = places.get(name);
      if (list) list.push({ node, index });
      else places.set(name, [{ node, index }]);
    }
  }
  return places;
}

/** Operators that read a parameter of their own, in the form it has, if it has several elements. */
const readers = new Set([
  ...["Add", "Sub", "Mul", "Div", "Sum"],
  ...["Reshape", "Unsqueeze", "Squeeze", "Expand", "Cast"],
]);

/**
 * Whether a uniform tensor is a parameter of the node that reads it. Parts that are cut of one tensor are not, nor are a
 * factor or an epsilon of one element.
 */
function isOwn({ node, index }: Place, { dims }: TensorProto): boolean {
  if (kinds[node.opType]?.[index] !== undefined) return true;
  const isCall = node.domain !== "" && node.domain !== "ai.onnx";
  return (isCall || readers.has(node.opType)) && elementCount(dims.map(Number)) > 1;
}

function isStatistic({ node, index }: Place): boolean {
  return isBatchNormalization(node) && index >= 3;
}

function kindOf({ node, index }: Place): string {
  return kinds[node.opType]?.[index] ?? `input${index}`;
}

function isBatchNormalization({ opType }: NodeProto): boolean {
  return opType === "BatchNormalization";
}

/** Initializers, and what Constant nodes hold. */
function storedFloats({ initializer, node }: GraphProto): Map<string, TensorProto> {
  const constants = node.flatMap(({ opType, output, attribute }): [string, TensorProto][] => {
    const tensor = opType === "Constant" ? attribute.find(({ name }) => name === "value")?.t : undefined;
    return tensor ? [[output[0], tensor]] : [];
  });
  const all = [...initializer.map((tensor): [string, TensorProto] => [tensor.name, tensor]), ...constants];
  return new Map(all.filter(([, { dataType }]) => floats.has(dataType)));
}

const floats: ReadonlySet<number> = new Set(
  (["float32", "float64", "float16", "bfloat16"] as const).map(dataTypeNumber),
);

function isUniform(tensor: TensorProto): boolean {
  const { data } = readTensor(tensor);
  return (data as ArrayLike<unknown> & { every: Float32Array["every"] }).every((value) => value === data[0]);
}
