import { UserError } from "../common/errors.ts";
import type { ModelProto, NodeProto } from "../onnx/onnx_pb.ts";
import type { TensorData, Tensors } from "../onnx/tensor.ts";
import { layerNames } from "./bits.ts";
import { channelsOf } from "./channels.ts";
import type { LayerBits } from "./choices.ts";
import { ModelEditor } from "./editor.ts";
import { type Affine, foldBatchNorms } from "./fold-batch-norm.ts";
import { type IntegerWeights, insertIntegers, type LayerIntegers, type QuantizedModel } from "./insert.ts";
import { outputAxis } from "./layers.ts";
import { type LearnedSite, learnedSites, weightStepName } from "./learned-sites.ts";
import { weightRange } from "./lsq.ts";
import { type Quantizer, quantized } from "./weight-scales.ts";

/**
 * The file of a network that was trained with learned steps: the same integers, for integer kernels.
 * @param float the network's file without quantization, with the trained float weights
 * @param steps trained steps by their names
 * @param bits of the layers that are quantized, by their names
 */
export function learnedModel(
  float: ModelProto,
  steps: Tensors,
  bits: ReadonlyMap<string, LayerBits>,
): QuantizedModel {
  const editor = new ModelEditor(float);
  const names = layerNames(editor);
  const stepOf = (name: string): ArrayLike<number> => {
    if (!Object.hasOwn(steps, name))
      throw new UserError(`the file has a tensor with the step ${name}, which the trained network has not`);
    return steps[name].data as ArrayLike<number>;
  };
  const unfolded = new Map(
    Array.from(names)
      .filter(([, name]) => bits.has(name))
      .map(([node, name]) => [
        node,
        learnedIntegers(editor, node, { bits: bits.get(name)!.weights, step: stepOf(weightStepName(name)) }),
      ]),
  );
  const norms = foldBatchNorms(editor);
  const { layers, sites } = learnedSites(editor, bits);
  const quantizerOf = ({ step, bits: own, isUnsigned }: LearnedSite): Quantizer => ({
    scale: stepOf(step)[0],
    zeroPoint: isUnsigned ? 0 : 2 ** (own - 1),
    low: 0,
    high: 2 ** own - 1,
  });
  const quantizers = new Map(sites.map((site) => [site.name, quantizerOf(site)]));
  const integers = layers.map(({ node, bits: own }): [NodeProto, LayerIntegers] => {
    const affine = norms.get(node);
    const weights = unfolded.get(node)!;
    return [
      node,
      {
        bits: own,
        weights: affine ? folded(weights, outputAxis(node)!, affine) : weights,
        input: quantizers.get(node.input[0])!,
      },
    ];
  });
  return insertIntegers(editor, names, {
    sites,
    quantizerOf: ({ name }) => quantizers.get(name)!,
    layers: new Map(integers),
  });
}

/** The integers of a layer's trained weights. */
function learnedIntegers(
  editor: ModelEditor,
  node: NodeProto,
  { bits, step }: { bits: number; step: ArrayLike<number> },
): IntegerWeights {
  const weight = editor.weight(node.input[1])!;
  const axis = step.length > 1 || weight.shape[outputAxis(node)!] === 1 ? outputAxis(node) : undefined;
  const { channelOf } = channelsOf(weight, axis);
  const range = weightRange(bits);
  const data = Int8Array.from(weight.data, (value, index) =>
    // As float32 divides, so that ties fall alike.
    quantized(Math.fround(value / step[channelOf(index)]), { scale: 1, zeroPoint: 0, ...range }),
  );
  return { axis, scales: Float64Array.from(step), integers: { type: "int8", shape: weight.shape, data } };
}

/** Integers of a layer with the BatchNorm behind it: a channel that this turns around has the opposite integers. */
function folded(
  { axis, scales, integers }: IntegerWeights,
  outputs: number,
  { factor }: Affine,
): IntegerWeights {
  const { channelOf } = channelsOf(integers as TensorData, outputs);
  return {
    axis: outputs,
    scales: factor.map((value, channel) => scales[axis === undefined ? 0 : channel] * (Math.abs(value) || 1)),
    integers: {
      ...integers,
      data: Int8Array.from(integers.data, (value, index) => value * Math.sign(factor[channelOf(index)])),
    },
  };
}
