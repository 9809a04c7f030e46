import type { ModelProto, NodeProto } from "../onnx/onnx_pb.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { channelsOf } from "./channels.ts";
import type { LayerBits } from "./choices.ts";
import type { ModelEditor } from "./editor.ts";
import { outputAxis } from "./layers.ts";
import { isBounds, type Site } from "./sites.ts";
import { type Quantizer, quantized, roundHalfToEven } from "./weight-scales.ts";

// QuantizeLinear and DequantizeLinear at every site, integers in place of weights and biases: the form that ONNX Runtime
// turns into integer kernels, and that any other runtime computes as it stands.

/** How a layer's weights become integers. */
export interface WeightQuantizer {
  /** The axis that has a scale for each place; none: one scale for all. */
  axis: number | undefined;
  /** [channels], or [1]. */
  scales: Float64Array;
  /** Integers from −high to high. */
  high: number;
}

/** The integers of a layer's weights, and what they are multiplied by. */
export interface IntegerWeights extends Pick<WeightQuantizer, "axis" | "scales"> {
  integers: TensorData<"int8">;
}

/** What became of a layer. */
export interface QuantizedLayerRecord {
  /** That of its weights, without `.weight`. */
  name: string;
  operator: string;
  /** Absent for a layer that stays float. */
  bits?: LayerBits;
  /** Elements of its weights. */
  elements: number;
}

export interface QuantizedModel {
  model: ModelProto;
  layers: QuantizedLayerRecord[];
}

/** What becomes of a layer. */
export interface LayerIntegers {
  bits: LayerBits;
  weights: IntegerWeights;
  /** Of what it reads. */
  input: Quantizer;
}

/**
 * A model in which sites and layers are integers, and the other layers stay float.
 * @param names of all layers
 */
export function insertIntegers(
  editor: ModelEditor,
  names: ReadonlyMap<NodeProto, string>,
  {
    sites,
    quantizerOf,
    layers,
  }: {
    sites: readonly Site[];
    quantizerOf: (site: Site) => Quantizer;
    layers: ReadonlyMap<NodeProto, LayerIntegers>;
  },
): QuantizedModel {
  const elements = new Map(
    [...names.keys()].map((node) => [node, editor.weight(node.input[1])!.data.length]),
  );
  quantizeSites(editor, sites, quantizerOf);
  for (const [layer, { weights, input }] of layers) quantizeLayer(editor, layer, weights, input);
  for (const layer of names.keys()) if (!layers.has(layer)) keepFloat(editor, layer);
  return {
    model: editor.finish(),
    layers: Array.from(names, ([node, name]) => ({
      ...{ name, operator: node.opType, elements: elements.get(node)! },
      ...(layers.has(node) && { bits: layers.get(node)!.bits }),
    })),
  };
}

/**
 * Keeps ONNX Runtime from quantizing a layer that stays float, as it does on its own where integers are all around (its
 * WeightBiasQuantization): a Max of one tensor is that tensor, and no optimizer removes it.
 */
function keepFloat(editor: ModelEditor, layer: NodeProto): void {
  const [input, ...parameters] = layer.input;
  if (editor.makerOf(input)?.opType !== "DequantizeLinear") return;
  layer.input = [editor.add("Max", [input], `${input}_float`), ...parameters];
}

/**
 * Puts integers behind each site.
 * @returns the quantizer that each tensor's readers now see, by the name that they read
 */
export function quantizeSites(
  editor: ModelEditor,
  sites: readonly Site[],
  quantizerOf: (site: Site) => Quantizer,
): Map<string, Quantizer> {
  const seen = new Map<string, Quantizer>();
  for (const site of sites) {
    const quantizer = quantizerOf(site);
    seen.set(quantizeSite(editor, site.name, quantizer), quantizer);
  }
  return seen;
}

function quantizeSite(editor: ModelEditor, name: string, quantizer: Quantizer): string {
  const readers = editor.readersOf(name);
  const isOutput = editor.outputs.includes(name);
  const maker = editor.makerOf(name);
  const source = isOutput ? editor.fresh(`${name}_float`) : name;
  if (isOutput && maker) maker.output[maker.output.indexOf(name)] = source;
  const numbers = fakeQuantized(
    editor,
    source,
    isOutput ? quantizer : withinBounds(editor, source, quantizer),
  );
  for (const reader of readers)
    if (reader) reader.input = reader.input.map((input) => (input === name ? numbers : input));
  if (!isOutput) return numbers;
  // The model's output keeps its name.
  for (const node of editor.graph.node) {
    node.input = node.input.map((input) => (input === numbers ? name : input));
    node.output = node.output.map((output) => (output === numbers ? name : output));
  }
  return name;
}

/**
 * The bounds of a Clip become those of the integers, where what these stand for goes beyond them: ONNX Runtime computes a layer
 * in integers only if no Clip is left between it and its integers.
 */
function withinBounds(editor: ModelEditor, name: string, quantizer: Quantizer): Quantizer {
  const bounds = editor.makerOf(name);
  const largest = bounds && isBounds(editor, bounds) ? editor.weight(bounds.input[2])?.data[0] : undefined;
  if (!bounds || largest === undefined || quantizer.zeroPoint !== 0) return quantizer;
  const high = quantized(largest, quantizer);
  if (high >= 255) return quantizer;
  const [input] = bounds.input;
  editor.remove(bounds);
  const maker = editor.makerOf(input);
  if (maker) maker.output = maker.output.map((output) => (output === input ? name : output));
  return { ...quantizer, high };
}

/** A tensor rounded to what integers stand for; returns its name. */
export function fakeQuantized(
  editor: ModelEditor,
  name: string,
  { scale, zeroPoint, high }: Quantizer,
): string {
  const byte = (value: number, end: string) =>
    editor.store(`${name}_${end}`, { type: "uint8", shape: [], data: Uint8Array.of(value) });
  const parameters = [
    editor.store(`${name}_scale`, { type: "float32", shape: [], data: Float32Array.of(scale) }),
    byte(zeroPoint, "zero_point"),
  ];
  const rounded = editor.add("QuantizeLinear", [name, ...parameters], `${name}_quantized`);
  const integers =
    high < 255
      ? editor.add("Clip", [rounded, byte(0, "least"), byte(high, "most")], `${name}_clipped`)
      : rounded;
  return editor.add("DequantizeLinear", [integers, ...parameters], `${name}_dequantized`);
}

/**
 * Replaces a layer's weights and bias by integers.
 * @param input of what the layer reads
 */
export function quantizeLayer(
  editor: ModelEditor,
  layer: NodeProto,
  { axis, scales, integers }: IntegerWeights,
  input: Quantizer,
): void {
  const [, weightName, biasName] = layer.input;
  const weight = editor.weight(weightName);
  if (!weight) throw new Error(`${layer.name}: its weights are not stored`);
  const shape = axis === undefined ? [] : [scales.length];
  layer.input[1] = dequantized(editor, weightName, integers, {
    scale: { type: "float32", shape, data: Float32Array.from(scales) },
    zeroPoint: { type: "int8", shape, data: new Int8Array(scales.length) },
    axis,
  });
  const bias = biasName ? editor.weight(biasName) : undefined;
  if (!biasName || !bias) return;
  const channels = weight.shape[outputAxis(layer)!];
  const steps = Float32Array.from({ length: channels }, (_, channel) =>
    Math.fround(Math.fround(input.scale) * Math.fround(scales[axis === undefined ? 0 : channel])),
  );
  const values = Int32Array.from({ length: channels }, (_, channel) =>
    within32Bits(roundHalfToEven(bias.data[bias.data.length === 1 ? 0 : channel] / steps[channel])),
  );
  const integerBias: TensorData = { type: "int32", shape: [channels], data: values };
  layer.input[2] = dequantized(editor, biasName, integerBias, {
    scale: { type: "float32", shape: [channels], data: steps },
    zeroPoint: { type: "int32", shape: [channels], data: new Int32Array(channels) },
    axis: 0,
  });
}

/**
 * Stored integers as the numbers that they stand for; returns their name. The zero points are written out: ONNX Runtime
 * adds one that does not fit where a scale for each channel has none.
 */
function dequantized(
  editor: ModelEditor,
  name: string,
  integers: TensorData,
  { scale, zeroPoint, axis }: { scale: TensorData; zeroPoint: TensorData; axis: number | undefined },
): string {
  return editor.add(
    "DequantizeLinear",
    [
      editor.store(`${name}_integers`, integers),
      editor.store(`${name}_scale`, scale),
      editor.store(`${name}_zero_point`, zeroPoint),
    ],
    `${name}_dequantized`,
    axis === undefined ? {} : { axis: { int: axis } },
  );
}

function within32Bits(value: number): number {
  return Math.min(2 ** 31 - 1, Math.max(-(2 ** 31), value));
}

/** The integers that stand for weights. */
export function integerWeights(
  weight: TensorData<"float32">,
  { axis, scales, high }: WeightQuantizer,
): IntegerWeights {
  const { channelOf } = channelsOf(weight, axis);
  const data = Int8Array.from(weight.data, (value, index) =>
    Math.min(high, Math.max(-high, roundHalfToEven(value / scales[channelOf(index)]))),
  );
  return { axis, scales, integers: { type: "int8", shape: weight.shape, data } };
}

/** The weights that the integers stand for. */
export function dequantizedWeights(
  weight: TensorData<"float32">,
  quantizer: WeightQuantizer,
): Float32Array<ArrayBuffer> {
  const { channelOf } = channelsOf(weight, quantizer.axis);
  const { integers } = integerWeights(weight, quantizer);
  return Float32Array.from(integers.data, (value, index) => value * quantizer.scales[channelOf(index)]);
}
