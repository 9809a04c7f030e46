import type { NodeProto } from "../onnx/onnx_pb.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { type Channels, channelsOf } from "./channels.ts";
import type { ModelEditor } from "./editor.ts";
import { groupsOf, outputAxis } from "./layers.ts";

// Cross-layer equalization (Nagel et al. 2019, arXiv 1906.04721): a channel between two layers may be divided by s in the
// first and multiplied by s in the second, as ReLU keeps positive factors. With s = √(r₁/r₂) of the largest
// weights of both, every channel uses the same share of the integers.

/** Two layers and whether the second has one weight slice of its own for each channel. */
interface Pair {
  first: NodeProto;
  second: NodeProto;
}

/** Passes over all pairs; each moves what is left to the next. */
const mostPasses = 20;

/**
 * Equalizes every pair of layers with at most a ReLU between them.
 * @returns how many pairs there are
 */
export function equalize(editor: ModelEditor, layers: readonly NodeProto[]): number {
  const pairs = layers.flatMap((first) => pairOf(editor, first, layers));
  for (let pass = 0; pass < mostPasses; pass++) {
    const factors = pairs.map((pair) => equalizePair(editor, pair));
    if (factors.every((factor) => Math.abs(Math.log(factor)) < 1e-3)) break;
  }
  return pairs.length;
}

function pairOf(editor: ModelEditor, first: NodeProto, layers: readonly NodeProto[]): Pair[] {
  const between = editor.onlyReaderOf(first.output[0]);
  const second = between?.opType === "Relu" ? editor.onlyReaderOf(between.output[0]) : between;
  if (!second || !layers.includes(second) || first === second) return [];
  const [output, input] = [outputChannels(editor, first), inputChannels(editor, second)];
  return output && input && output.count === input.count ? [{ first, second }] : [];
}

function outputChannels(editor: ModelEditor, layer: NodeProto): Channels | undefined {
  const weight = editor.weight(layer.input[1]);
  return weight && channelsOf(weight, outputAxis(layer));
}

/** The weights that read each channel. Of a convolution in groups, only one with a group for each channel. */
function inputChannels(editor: ModelEditor, layer: NodeProto): Channels | undefined {
  const weight = editor.weight(layer.input[1]);
  if (!weight) return undefined;
  const axis = inputAxis(layer, weight.shape);
  return axis === undefined ? undefined : channelsOf(weight, axis);
}

function inputAxis(layer: NodeProto, shape: readonly number[]): number | undefined {
  const groups = groupsOf(layer);
  switch (layer.opType) {
    case "Conv":
      if (groups === 1) return 1;
      return shape[1] === 1 && shape[0] === groups ? 0 : undefined;
    case "ConvTranspose":
      return 0;
    case "Gemm":
    case "MatMul":
      return shape.length === 2 ? 1 - outputAxis(layer)! : undefined;
    default:
      return undefined;
  }
}

/** @returns the factor farthest from 1 */
function equalizePair(editor: ModelEditor, { first, second }: Pair): number {
  const largest = (channels: Channels, channel: number) =>
    channels.values(channel).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const [output, input] = [outputChannels(editor, first)!, inputChannels(editor, second)!];
  const factors = Float64Array.from({ length: output.count }, (_, channel) => {
    const factor = Math.sqrt(largest(output, channel) / largest(input, channel));
    return Number.isFinite(factor) && factor > 0 ? factor : 1;
  });
  scale(editor, first, 1, (index) => 1 / factors[output.channelOf(index)]);
  if (first.input[2]) scale(editor, first, 2, (index) => 1 / factors[index % factors.length]);
  scale(editor, second, 1, (index) => factors[input.channelOf(index)]);
  return factors.reduce(
    (most, factor) => (Math.abs(Math.log(factor)) > Math.abs(Math.log(most)) ? factor : most),
    1,
  );
}

function scale(
  editor: ModelEditor,
  layer: NodeProto,
  input: number,
  factor: (index: number) => number,
): void {
  const weight = editor.weight(layer.input[input])!;
  const scaled = Float32Array.from(weight.data, (value, index) => value * factor(index));
  editor.replaceWeight(layer, input, tensorData(scaled, weight.shape, "float32"));
}
