import { readAttributes } from "../onnx/attributes.ts";
import type { NodeProto } from "../onnx/onnx_pb.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { channelsOf } from "./channels.ts";
import type { ModelEditor } from "./editor.ts";
import { biasNameOf, outputAxis } from "./layers.ts";
import type { NetworkView } from "./sites.ts";

// BatchNorm in inference is y = factor·x + shift for each channel. Behind a convolution or linear layer it becomes a part of
// its weights and bias, so that the layer gives what is quantized.

/** What BatchNorm's inference mode multiplies each channel by and adds. */
export interface Affine {
  factor: Float64Array;
  shift: Float64Array;
}

/** factor = scale / √(variance + ε), shift = bias − mean·factor. */
export function batchNormAffine(
  [scale, bias, mean, variance]: readonly ArrayLike<number>[],
  epsilon: number,
): Affine {
  const factor = Float64Array.from(scale, (value, index) => value / Math.sqrt(variance[index] + epsilon));
  return { factor, shift: Float64Array.from(bias, (value, index) => value - mean[index] * factor[index]) };
}

/** Weights whose output channels are multiplied, and the bias to them. */
export function foldedLayer(
  weight: TensorData,
  axis: number,
  bias: ArrayLike<number> | undefined,
  { factor, shift }: Affine,
): { weight: Float64Array<ArrayBuffer>; bias: Float64Array<ArrayBuffer> } {
  const { channelOf } = channelsOf(weight, axis);
  return {
    weight: Float64Array.from(
      weight.data as Float32Array,
      (value, index) => value * factor[channelOf(index)],
    ),
    bias: Float64Array.from(shift, (value, index) => value + (bias?.[index] ?? 0) * factor[index]),
  };
}

/**
 * Folds every BatchNorm that alone reads a layer whose weights are stored.
 * @returns what was folded into which layer
 */
export function foldBatchNorms(editor: ModelEditor): Map<NodeProto, Affine> {
  const folded = new Map<NodeProto, Affine>();
  for (const norm of editor.nodes.filter(({ opType }) => opType === "BatchNormalization")) {
    const layer = editor.makerOf(norm.input[0]);
    const affine = layer && folds(editor, layer, norm) && fold(editor, layer, norm);
    if (affine) folded.set(layer, affine);
  }
  return folded;
}

/** Whether a BatchNorm can be a part of the layer that it reads. */
export function folds(view: NetworkView, layer: NodeProto, norm: NodeProto): boolean {
  const { training_mode: training } = readAttributes(norm.attribute);
  const isTraining = training !== undefined && "int" in training && training.int !== 0;
  const [, weight, bias] = layer.input;
  return (
    layer.opType !== "MatMul" &&
    outputAxis(layer) !== undefined &&
    !isTraining &&
    view.onlyReaderOf(norm.input[0]) === norm &&
    [weight, ...(bias ? [bias] : []), ...norm.input.slice(1)].every((name) => view.isWeight(name))
  );
}

function fold(editor: ModelEditor, layer: NodeProto, norm: NodeProto): Affine | undefined {
  const given = norm.input.slice(1).map((name) => editor.weight(name)!);
  const { epsilon } = readAttributes(norm.attribute);
  const axis = outputAxis(layer)!;
  const weight = editor.weight(layer.input[1])!;
  const biasName = layer.input[2];
  const bias = editor.weight(biasName);
  const affine = batchNormAffine(
    given.map(({ data }) => data),
    epsilon && "float" in epsilon ? epsilon.float : 1e-5,
  );
  // A linear layer's bias may be one number for all.
  if (weight.shape[axis] !== affine.factor.length || (bias && bias.data.length !== affine.factor.length))
    return undefined;
  const folded = foldedLayer(weight, axis, bias?.data, affine);
  editor.replaceWeight(layer, 1, tensorData(folded.weight, weight.shape, "float32"));
  if (biasName) editor.replaceWeight(layer, 2, biasOf(folded.bias));
  else layer.input[2] = editor.store(biasNameOf(layer), biasOf(folded.bias));
  layer.output[0] = norm.output[0];
  editor.remove(norm);
  return affine;
}

function biasOf(values: Float64Array): TensorData<"float32"> {
  return { type: "float32", shape: [values.length], data: Float32Array.from(values) };
}
