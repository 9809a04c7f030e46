import { UserError } from "../common/errors.ts";
import { type OptionKinds, readOptions } from "../common/options.ts";
import type { ModelProto, NodeProto } from "../onnx/onnx_pb.ts";
import type { Engine } from "../runtime/engine.ts";
import {
  type ActivationMethod,
  activationMethods,
  activationQuantizer,
  type Range,
} from "./activation-ranges.ts";
import { correctBiases } from "./bias-correction.ts";
import { chosenBits, layerNames, siteBits } from "./bits.ts";
import { type Batches, calibrate } from "./calibrate.ts";
import { channelsOf } from "./channels.ts";
import type { LayerBits, LayerChoices } from "./choices.ts";
import { ModelEditor } from "./editor.ts";
import { equalize } from "./equalize.ts";
import { foldBatchNorms } from "./fold-batch-norm.ts";
import { insertIntegers, integerWeights, type QuantizedModel } from "./insert.ts";
import { outputAxis } from "./layers.ts";
import { requireFloat } from "./learned-sites.ts";
import { quantizedLayers, type Site, sitesOf } from "./sites.ts";
import {
  largestWeight,
  type Quantizer,
  scalesForBiases,
  type WeightMethod,
  weightMethods,
  weightScales,
} from "./weight-scales.ts";

// Post-training quantization: a trained float network becomes one whose layers compute in integers.

export const weightRanges = ["8bit", "7bit"] as const;
export type WeightRange = (typeof weightRanges)[number];

export interface QuantizeOptions {
  /** Bits of weights, 2 to 8. Default: 8. */
  weights?: number;
  /** Bits of what layers read, 2 to 8. Default: 8. */
  activations?: number;
  /** Layers that differ: by name, or else by the last pattern that fits. Default: 8 bits for the first and the last layer. */
  layers?: LayerChoices;
  /** `7bit`: weights of 8 bits keep within ±63, which is exact in every kernel of every processor. Default: `8bit`. */
  weightRange?: WeightRange;
  /** Default: `min-max`. */
  weightMethod?: WeightMethod;
  /** Default: `min-max`. */
  activationMethod?: ActivationMethod;
  /** For both methods of that name. Default: 99.99. */
  percentile?: number;
  /** A scale for each output channel. Default: true. */
  perChannel?: boolean;
  /** Whether channels between two layers are brought to the same range. Default: false. */
  equalize?: boolean;
  /** Whether the mean that rounding shifts is put right. Default: false. */
  correctBiases?: boolean;
}

const optionKinds: OptionKinds<QuantizeOptions> = {
  ...{ weights: "number", activations: "number", layers: "object", percentile: "number" },
  ...{ weightRange: weightRanges, weightMethod: weightMethods, activationMethod: activationMethods },
  ...{ perChannel: "boolean", equalize: "boolean", correctBiases: "boolean" },
};

/**
 * Quantizes a model for integer kernels, in the form that ONNX files have it: QuantizeLinear and DequantizeLinear
 * around every layer.
 * @param source an engine, and calibration data: some hundred examples as the model reads them
 * @throws UserError for bits out of range, a pattern that fits no layer, a model that is quantized or has no layers
 */
export async function quantizeModel(
  given: ModelProto,
  options: QuantizeOptions,
  source: { engine: Engine; batches: Batches },
): Promise<QuantizedModel> {
  readOptions("quantizeModel", options, optionKinds);
  return new PostTraining(given, options, source).quantize();
}

/** A model that is quantized in several ways: its ranges are measured once. */
export class PostTraining {
  /** Names of the layers, in their order. */
  readonly layers: readonly string[];
  /** Pairs of layers whose channels were brought to the same range. */
  readonly equalizedPairs: number;
  private readonly options: QuantizeOptions;
  private readonly source: { engine: Engine; batches: Batches };
  private readonly prepared: ModelProto;
  /** By names of activations and, where a range depends on them, their bits. */
  private readonly ranges = new Map<string, Range>();

  /** @throws UserError for a percentile of 50 or less, a model that is quantized, or of operators from before opset 13 */
  constructor(given: ModelProto, options: QuantizeOptions, source: { engine: Engine; batches: Batches }) {
    const { percentile = 99.99 } = options;
    if (!(percentile > 50 && percentile <= 100))
      throw new UserError(`percentile is ${percentile}; it has to be above 50 and at most 100`);
    const editor = new ModelEditor(given);
    requireFloat(editor);
    foldBatchNorms(editor);
    const names = layerNames(editor);
    this.equalizedPairs = options.equalize ? equalize(editor, [...names.keys()]) : 0;
    this.layers = [...names.values()];
    this.prepared = editor.snapshot();
    this.options = options;
    this.source = source;
  }

  /** @param choices in place of the options' */
  async quantize(choices: LayerChoices | undefined = this.options.layers): Promise<QuantizedModel> {
    const editor = new ModelEditor(this.prepared);
    const names = layerNames(editor);
    const bitsOf = chosenBits([...names.values()], { ...this.options, layers: choices });
    const quantized = quantizedLayers(editor, (node) => bitsOf(names.get(node)!) === "float");
    if (quantized.length === 0)
      throw new UserError(
        names.size === 0
          ? "the model has no convolution or linear layer with stored weights, so nothing of it is quantized"
          : "every layer stays float, so nothing is quantized",
      );
    const bits = new Map(quantized.map((layer) => [layer, bitsOf(names.get(layer)!) as LayerBits]));
    const sites = sitesOf(editor, quantized);
    const quantizers = await this.quantizers(editor, sites, siteBits(sites, bits));
    const records = quantized.map((layer) => ({
      layer,
      weight: this.weightQuantizer(editor, layer, bits.get(layer)!, quantizers.get(layer.input[0])!),
      input: quantizers.get(layer.input[0])!,
    }));
    if (this.options.correctBiases) await correctBiases(editor, records, this.source);
    const layers = new Map(
      records.map(({ layer, weight, input }) => [
        layer,
        {
          bits: bits.get(layer)!,
          weights: integerWeights(editor.weight(layer.input[1])!, weight),
          input,
        },
      ]),
    );
    return insertIntegers(editor, names, { sites, quantizerOf: ({ name }) => quantizers.get(name)!, layers });
  }

  /** The integers of each site by its name, from ranges that are measured where they are not known yet. */
  private async quantizers(
    editor: ModelEditor,
    sites: readonly Site[],
    bitsOf: (name: string) => number,
  ): Promise<Map<string, Quantizer>> {
    const { activationMethod: method = "min-max", percentile = 99.99 } = this.options;
    // Only the least squared error depends on the bits.
    const key = (name: string) => (method === "mse" ? `${name} ${bitsOf(name)}` : name);
    const unknown = sites.filter(({ name, like }) => like === undefined && !this.ranges.has(key(name)));
    if (unknown.length > 0) {
      const optionsOf = (name: string) => ({ method, percentile, bits: bitsOf(name) });
      const measured = await calibrate(editor, unknown, { ...this.source, optionsOf });
      for (const [name, range] of measured) this.ranges.set(key(name), range);
    }
    return new Map(
      sites.map(({ name, like = name }) => {
        const { low, high } = this.ranges.get(key(like))!;
        // Biases are multiples of the scale: that of a range of nothing would leave little of them.
        const range = low === 0 && high === 0 ? { low, high: 1 } : { low, high };
        return [name, activationQuantizer(range, bitsOf(like))];
      }),
    );
  }

  private weightQuantizer(editor: ModelEditor, layer: NodeProto, { weights }: LayerBits, input: Quantizer) {
    const { perChannel = true, percentile = 99.99, weightMethod: method = "min-max" } = this.options;
    const high = largestWeight(Math.min(weights, this.options.weightRange === "7bit" ? 7 : 8));
    const axis = perChannel ? outputAxis(layer) : undefined;
    const channels = channelsOf(editor.weight(layer.input[1])!, axis);
    const scales = weightScales(channels, { high, method, percentile });
    const biases = editor.weight(layer.input[2])?.data ?? [0];
    return { axis, scales: scalesForBiases(scales, { channels, biases, inputScale: input.scale }), high };
  }
}
