import { UserError } from "../common/errors.ts";
import type { ModelProto, NodeProto } from "../onnx/onnx_pb.ts";
import type { Engine } from "../runtime/engine.ts";
import { type ActivationMethod, activationQuantizer } from "./activation-ranges.ts";
import { correctBiases, type QuantizedLayer } from "./bias-correction.ts";
import { chosenBits, type LayerBits, type LayerChoices, layerNames, siteBits } from "./bits.ts";
import { type Batches, calibrate } from "./calibrate.ts";
import { channelsOf } from "./channels.ts";
import { ModelEditor } from "./editor.ts";
import { equalize } from "./equalize.ts";
import { foldBatchNorms } from "./fold-batch-norm.ts";
import { quantizeLayer, quantizeSites } from "./insert.ts";
import { outputAxis } from "./layers.ts";
import { quantizedLayers, type Site, sitesOf } from "./sites.ts";
import { largestWeight, type Quantizer, type WeightMethod, weightScales } from "./weight-scales.ts";

// Post-training quantization: a trained float network to one whose layers compute in integers.

export interface QuantizeOptions {
  /** 2 to 8. Default: 8. */
  weights?: number;
  /** 2 to 8. Default: 8. */
  activations?: number;
  /** Layers that differ, by patterns of their names, the last that fits. Default: the first and the last have 8 bits. */
  layers?: LayerChoices;
  /** Default: `min-max`. */
  weightMethod?: WeightMethod;
  /** Default: `min-max`. */
  activationMethod?: ActivationMethod;
  /** For both methods of that name. Default: 99.99. */
  percentile?: number;
  /** A scale for each output channel. Default: true. */
  perChannel?: boolean;
  /** Default: false. */
  equalize?: boolean;
  /** Default: false. */
  correctBiases?: boolean;
}

/** What became of a layer. */
export interface QuantizedLayerRecord {
  name: string;
  operator: string;
  /** Absent for a layer that stays float. */
  bits?: LayerBits;
  /** Elements of its weights. */
  elements: number;
}

/**
 * Quantizes a model for integer kernels, in the form that ONNX files have it: QuantizeLinear and DequantizeLinear
 * around every layer.
 * @param batches calibration data: some hundred examples as the model reads them
 * @throws UserError for bits out of range, a pattern that fits no layer, a model that is quantized or has no layers
 */
export async function quantizeModel(
  given: ModelProto,
  options: QuantizeOptions,
  source: { engine: Engine; batches: Batches },
): Promise<{ model: ModelProto; layers: QuantizedLayerRecord[]; equalizedPairs: number }> {
  const { perChannel = true, percentile = 99.99 } = options;
  const { weightMethod = "min-max", activationMethod = "min-max" } = options;
  const editor = new ModelEditor(given);
  requireFloat(editor);
  const names = layerNames(editor);
  const elements = new Map(
    [...names.keys()].map((node) => [node, editor.weight(node.input[1])!.data.length]),
  );
  foldBatchNorms(editor);
  const bitsOf = chosenBits([...names.values()], options);
  const layers = quantizedLayers(editor, (node) => bitsOf(names.get(node)!) === "float");
  if (layers.length === 0)
    throw new UserError(
      "no layer is quantized; the model has no convolution or linear layer with stored weights, or all stay float",
    );
  const equalizedPairs = options.equalize ? equalize(editor, layers) : 0;

  const bits = new Map(layers.map((layer) => [layer, bitsOf(names.get(layer)!) as LayerBits]));
  const sites = sitesOf(editor, layers);
  const activationBits = siteBits(sites, bits);
  const ranges = await calibrate(editor, sites, {
    ...source,
    optionsOf: (name) => ({ method: activationMethod, percentile, bits: activationBits(name) }),
  });
  const quantizerOf = ({ name, like = name }: Site): Quantizer =>
    activationQuantizer(ranges.get(like)!, activationBits(like));
  const byName = new Map(sites.map((site) => [site.name, quantizerOf(site)]));

  const quantized = (): QuantizedLayer[] =>
    layers.map((layer) => {
      const high = largestWeight(bits.get(layer)!.weights);
      const axis = perChannel ? outputAxis(layer) : undefined;
      const channels = channelsOf(editor.weight(layer.input[1])!, axis);
      const scales = weightScales(channels, { high, method: weightMethod, percentile });
      return { layer, weight: { axis, scales, high }, input: byName.get(layer.input[0])! };
    });
  const records = quantized();
  if (options.correctBiases) await correctBiases(editor, records, source);
  quantizeSites(editor, sites, quantizerOf);
  for (const { layer, weight, input } of records) quantizeLayer(editor, layer, weight, input);
  for (const layer of names.keys()) if (!bits.has(layer)) keepFloat(editor, layer);

  const record = ([node, name]: [NodeProto, string]): QuantizedLayerRecord => ({
    ...{ name, operator: node.opType, elements: elements.get(node)! },
    ...(bits.has(node) && { bits: bits.get(node) }),
  });
  return { model: editor.finish(), layers: [...names].map(record), equalizedPairs };
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

/** Operators of models that are quantized already. */
const integerOperators =
  /^(QuantizeLinear|DequantizeLinear|DynamicQuantizeLinear|QLinear\w+|QGemm|ConvInteger|MatMulInteger\w*)$/;

function requireFloat(editor: ModelEditor): void {
  const found = editor.graph.node.filter(({ opType }) => integerOperators.test(opType));
  if (found.length === 0) return;
  const operators = [...new Set(found.map(({ opType }) => opType))].join(", ");
  throw new UserError(
    `the model is quantized already (${found.length} nodes: ${operators}); quantize the float model that it was made of`,
  );
}
