import type { NodeProto } from "../onnx/onnx_pb.ts";
import type { TensorData } from "../onnx/tensor.ts";
import type { Engine } from "../runtime/engine.ts";
import { type Batches, forEachBatch, withOutputs } from "./calibrate.ts";
import { channelsOf } from "./channels.ts";
import { ModelEditor } from "./editor.ts";
import { dequantizedWeights, fakeQuantized, type WeightQuantizer } from "./insert.ts";
import { biasNameOf } from "./layers.ts";
import type { Quantizer } from "./weight-scales.ts";

// Rounding weights and inputs shifts the mean of what a layer gives (Nagel et al. 2019, arXiv 1906.04721, section 4.2). The
// shift is measured on calibration data, for each output channel, and taken off the bias.

/** A layer with what it is quantized by. */
export interface QuantizedLayer {
  layer: NodeProto;
  weight: WeightQuantizer;
  input: Quantizer;
}

/** Corrects the biases of these layers, before they are quantized. Of MatMul, which has none, nothing is. */
export async function correctBiases(
  editor: ModelEditor,
  layers: readonly QuantizedLayer[],
  { engine, batches }: { engine: Engine; batches: Batches },
): Promise<void> {
  const corrected = layers.filter(({ layer }) => layer.opType !== "MatMul");
  const measuring = new ModelEditor(editor.snapshot());
  const differences = new Map(
    corrected.map((one) => [one.layer, addDifference(measuring, editor, one)] as const),
  );
  const means = new Map([...differences.values()].map((name) => [name, new ChannelMeans()]));
  await forEachBatch(
    withOutputs(measuring.finish(), [...differences.values()]),
    { engine, batches },
    (tensors) => {
      for (const [name, mean] of means) mean.add(tensors[name]);
    },
  );
  for (const { layer } of corrected) {
    const error = means.get(differences.get(layer)!)!.result();
    const bias = editor.weight(layer.input[2]);
    const data = error.map(
      (value, channel) => (bias?.data[bias.data.length === 1 ? 0 : channel] ?? 0) - value,
    );
    const tensor: TensorData<"float32"> = {
      type: "float32",
      shape: [data.length],
      data: Float32Array.from(data),
    };
    if (bias) editor.replaceWeight(layer, 2, tensor);
    else layer.input[2] = editor.store(biasNameOf(layer), tensor);
  }
}

/** Adds what the quantized layer gives, less what the layer gives, of the layer's own input; returns its name. */
function addDifference(
  measuring: ModelEditor,
  editor: ModelEditor,
  { layer, weight, input }: QuantizedLayer,
): string {
  const [data, weights] = layer.input;
  const given = editor.weight(weights)!;
  const rounded = measuring.store(`${weights}_rounded`, {
    ...given,
    data: dequantizedWeights(given, weight),
  });
  const own = measuring.addLike(layer, [data, weights], `${layer.output[0]}_own`);
  const quantized = measuring.addLike(
    layer,
    [fakeQuantized(measuring, data, input), rounded],
    `${layer.output[0]}_rounded`,
  );
  return measuring.add("Sub", [quantized, own], `${layer.output[0]}_difference`);
}

/** The mean over everything but channels, which are axis 1. */
class ChannelMeans {
  private sums: Float64Array<ArrayBuffer> | undefined;
  private count = 0;

  add(tensor: TensorData): void {
    const { count, values } = channelsOf(tensor, 1);
    this.sums ??= new Float64Array(count);
    for (let channel = 0; channel < count; channel++)
      this.sums[channel] += values(channel).reduce((sum, value) => sum + value, 0);
    this.count += tensor.data.length / count;
  }

  result(): number[] {
    return Array.from(this.sums ?? [], (sum) => sum / this.count);
  }
}
