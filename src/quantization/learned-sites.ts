import { UserError } from "../common/errors.ts";
import type { NodeProto } from "../onnx/onnx_pb.ts";
import { layerNames, siteBits } from "./bits.ts";
import type { LayerBits } from "./choices.ts";
import { activatedOutput, moves, type NetworkView, quantizedLayers, type Site, sitesOf } from "./sites.ts";

// What is quantized with learned steps in a network: layers, and the tensors between them, each with the name of its step. The
// same layers and names are found in the network that trains and in the file that is written.

/** A tensor with a step of its own. */
export interface LearnedSite extends Site {
  /** Name of the step; of a site like another one, that of the other. */
  step: string;
  bits: number;
  /** Whether it is known to be 0 or more. */
  isUnsigned: boolean;
}

export interface LearnedLayer {
  name: string;
  node: NodeProto;
  bits: LayerBits;
  /** The step of what it reads. */
  inputStep: string;
}

/**
 * The layers and sites of a network.
 * @param bits of the layers that are quantized, by their names
 */
export function learnedSites(
  view: NetworkView,
  bits: ReadonlyMap<string, LayerBits>,
): { layers: LearnedLayer[]; sites: LearnedSite[] } {
  const names = layerNames(view);
  const nodes = quantizedLayers(view, (node) => !bits.has(names.get(node)!));
  const found = sitesOf(view, nodes, { operands: false });
  const bitsOf = siteBits(found, new Map(nodes.map((node) => [node, bits.get(names.get(node)!)!])));
  const steps = stepNames(view, found, new Map(nodes.map((node) => [node, names.get(node)!])));
  const unsigned = unsignedTensors(view);
  const sites = found.map((site) => ({
    ...site,
    step: steps.get(site.like ?? site.name)!,
    bits: bitsOf(site.name),
    isUnsigned: unsigned.has(site.like ?? site.name),
  }));
  const stepOf = new Map(sites.map(({ name, step }) => [name, step]));
  const layers = nodes.map((node) => ({
    name: names.get(node)!,
    node,
    bits: bits.get(names.get(node)!)!,
    inputStep: stepOf.get(node.input[0])!,
  }));
  return { layers, sites };
}

/** The name of a layer's step of its weights. */
export function weightStepName(layer: string): string {
  return `${layer}.weightStep`;
}

/**
 * Names of steps by the sites that have them: of the first layer by name that reads a site, or else of the layer that makes it,
 * or of the node behind it.
 */
function stepNames(
  view: NetworkView,
  sites: readonly Site[],
  layers: ReadonlyMap<NodeProto, string>,
): Map<string, string> {
  const origin = new Map(sites.map(({ name, like = name }) => [name, like]));
  const readers = new Map<string, string[]>();
  for (const [node, name] of layers) {
    const site = origin.get(node.input[0])!;
    readers.set(site, [...(readers.get(site) ?? []), name]);
  }
  const makers = new Map<string, NodeProto>(
    view.nodes.flatMap((node) => node.output.map((name) => [name, node])),
  );
  const made = new Map(
    view.nodes.map((node) => [activatedOutput(view, node), layers.get(node) ?? undefined] as const),
  );
  const taken = new Map<string, number>();
  const names = new Map<string, string>();
  for (const { name, like } of sites) {
    if (like !== undefined) continue;
    const [reader] = (readers.get(name) ?? []).toSorted();
    const maker = made.get(name);
    const wanted =
      reader !== undefined
        ? `${reader}.inputStep`
        : maker !== undefined
          ? `${maker}.outputStep`
          : behind(name, makers, layers);
    const count = (taken.get(wanted) ?? 0) + 1;
    taken.set(wanted, count);
    names.set(name, count === 1 ? wanted : `${wanted}${count}`);
  }
  return names;
}

/** The name of a step of what no layer makes or reads: by its operator and the next layer before it. */
function behind(
  name: string,
  makers: ReadonlyMap<string, NodeProto>,
  layers: ReadonlyMap<NodeProto, string>,
): string {
  const maker = makers.get(name);
  let before = maker;
  while (before && !layers.has(before)) before = makers.get(before.input[0]);
  const layer = before && layers.get(before);
  const operator = maker ? maker.opType.charAt(0).toLowerCase() + maker.opType.slice(1) : "input";
  return `${layer ?? "network"}.${operator}Step`;
}

/** Operators whose results are 0 or more. */
const nonNegative = new Set(["Relu", "Sigmoid", "HardSigmoid", "Softmax", "Abs", "Softplus", "Exp", "Sqrt"]);
/** Operators whose results are 0 or more where all they read is. */
const keepingSigns = new Set([
  "Add",
  "Mul",
  "Concat",
  "AveragePool",
  "GlobalAveragePool",
  "ReduceMean",
  "Max",
]);

/** The tensors that are 0 or more by how they are made. */
function unsignedTensors(view: NetworkView): Set<string> {
  const found = new Set<string>();
  for (const node of view.nodes) {
    const isClipped = node.opType === "Clip" && (view.numbersOf(node.input[1])?.[0] ?? -1) >= 0;
    const follows = moves(node)
      ? found.has(node.input[0])
      : keepingSigns.has(node.opType) && node.input.every((name) => name === "" || found.has(name));
    if (isClipped || nonNegative.has(node.opType) || follows) for (const name of node.output) found.add(name);
  }
  return found;
}

/** Operators of models that are quantized already. */
const integerOperators =
  /^(QuantizeLinear|DequantizeLinear|DynamicQuantizeLinear|FakeQuantize|QLinear\w+|QGemm|ConvInteger|MatMulInteger\w*)$/;

/** The nodes that make integers, compute with them or take them back. */
export function integerNodes(nodes: readonly NodeProto[]): NodeProto[] {
  return nodes.filter(({ opType }) => integerOperators.test(opType));
}

/**
 * @param advice what to do with the float model instead
 * @throws UserError for a network that is quantized already
 */
export function requireFloat(
  { nodes }: Pick<NetworkView, "nodes">,
  advice = "quantize the float model that it was made of",
): void {
  const found = integerNodes(nodes);
  if (found.length === 0) return;
  const operators = [...new Set(found.map(({ opType }) => opType))].join(", ");
  throw new UserError(`the model is quantized already (${found.length} nodes: ${operators}); ${advice}`);
}
