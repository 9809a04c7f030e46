import { UserError } from "../common/errors.ts";
import { readAttributes } from "../onnx/attributes.ts";
import type { ModelProto, NodeProto } from "../onnx/onnx_pb.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { intAttribute } from "../ops/operator.ts";
import { channelsOf } from "./channels.ts";
import { ModelEditor } from "./editor.ts";
import { integerNodes } from "./learned-sites.ts";

// A quantized model whose weights are float tensors again, with the values that its integers stand for. So they can be moved.

/**
 * What becomes of activations. `rounded`: they stay rounded to integers, and the model gives what it gave. `clipped`: they keep
 * to the ranges of their integers, which is what ReLU has become, but are not rounded, so that the model is differentiable.
 */
export type ActivationForm = "rounded" | "clipped";

/** Whether a model stores weights as integers. Float weights that the graph rounds (fake quantization) are no integers. */
export function isQuantized({ graph }: ModelProto): boolean {
  const stored = new Set(graph?.initializer.map(({ name }) => name));
  return (
    graph?.node.some(({ opType, input }) => opType === "DequantizeLinear" && stored.has(input[0])) ?? false
  );
}

/**
 * The model with float weights and biases under the names that they had before they were quantized.
 * @throws UserError for a model in another form than QuantizeLinear and DequantizeLinear
 */
export function withFloatWeights(given: ModelProto, activations: ActivationForm): ModelProto {
  const editor = new ModelEditor(given);
  const others = integerNodes(editor.nodes).filter(({ opType }) => !conversions.has(opType));
  if (others.length > 0)
    throw new UserError(
      `the model computes with ${[...new Set(others.map(({ opType }) => opType))].join(", ")}; weights are moved in models of QuantizeLinear and DequantizeLinear (QDQ), so export it in that form`,
    );
  for (const node of editor.nodes.filter(({ opType }) => opType === "DequantizeLinear")) {
    const stored = editor.stored(node.input[0]);
    if (stored) replaceWeight(editor, node, stored);
    else replaceActivation(editor, node, activations);
  }
  for (const opType of ["Clip", "QuantizeLinear"]) removeUnread(editor, opType);
  return editor.finish();
}

const conversions = new Set(["QuantizeLinear", "DequantizeLinear"]);

function replaceWeight(editor: ModelEditor, node: NodeProto, integers: TensorData): void {
  const [output] = node.output;
  const name = editor.store(nameOf(node), dequantized(editor, node, integers));
  for (const reader of editor.readersOf(output))
    if (reader) reader.input = reader.input.map((input) => (input === output ? name : input));
  editor.remove(node);
}

/** The name of the float tensor, as far as that of the integers tells it. */
function nameOf({ input: [integers] }: NodeProto): string {
  return integers.replace(/_(integers|quantized|int8|uint8)$/, "");
}

function dequantized(editor: ModelEditor, node: NodeProto, integers: TensorData): TensorData<"float32"> {
  const attributes = readAttributes(node.attribute);
  const scale = numbersOf(editor, node.input[1]);
  const zero = node.input[2] ? numbersOf(editor, node.input[2]) : undefined;
  if (!scale || intAttribute(attributes, "block_size", 0) !== 0)
    throw new UserError(
      `${node.input[0]} has scales that are computed, or one for each block; weights are moved where a scale for all or for each channel is stored`,
    );
  const { length } = integers.shape;
  const axis = (intAttribute(attributes, "axis", 1) + length) % Math.max(length, 1);
  const { channelOf } = channelsOf(integers, scale.length === 1 ? undefined : axis);
  const data = Float32Array.from(integers.data as ArrayLike<number>, (value, index) => {
    const channel = scale.length === 1 ? 0 : channelOf(index);
    return (Number(value) - (zero?.[channel] ?? 0)) * scale[channel];
  });
  return { type: "float32", shape: integers.shape, data };
}

function replaceActivation(editor: ModelEditor, node: NodeProto, form: ActivationForm): void {
  const { bounds, quantize } = madeBy(editor, node);
  if (form === "rounded" && !bounds) return;
  const range = rangeOf(editor, quantize, bounds);
  const end = (value: number, name: string) =>
    editor.store(`${node.output[0]}_${name}`, { type: "float32", shape: [], data: Float32Array.of(value) });
  const [x, ...parameters] = quantize.input;
  const clip = [x, end(range.low, "low"), end(range.high, "high")];
  if (form === "clipped") {
    node.opType = "Clip";
    node.input = clip;
    node.attribute = [];
  } else {
    const within = editor.add("Clip", clip, `${x}_within`);
    node.input[0] = editor.addLike(quantize, [within, ...parameters], `${x}_rounded`);
  }
}

/** The nodes that make the integers that a node takes back. */
function madeBy(editor: ModelEditor, { input: [integers, ...parameters] }: NodeProto) {
  const maker = editor.makerOf(integers);
  const bounds = maker?.opType === "Clip" ? maker : undefined;
  const quantize = bounds ? editor.makerOf(bounds.input[0]) : maker;
  const alike = (name = "", other = "") =>
    name === other ||
    String(numbersOf(editor, name) ?? [name]) === String(numbersOf(editor, other) ?? [other]);
  if (
    quantize?.opType === "QuantizeLinear" &&
    parameters.every((one, at) => alike(one, quantize.input[at + 1]))
  )
    return { bounds, quantize };
  throw new UserError(
    `${integers} are integers that the model computes with, not only numbers that it rounds; weights are moved in models where QuantizeLinear and DequantizeLinear follow one another`,
  );
}

/** What integers stand for at their ends. */
function rangeOf(editor: ModelEditor, { input, output }: NodeProto, bounds: NodeProto | undefined) {
  const scale = numbersOf(editor, input[1]);
  const zero = editor.stored(input[2] ?? "");
  if (scale?.length !== 1 || (input[2] && !zero))
    throw new UserError(
      `${output[0]} has scales that are computed, or one for each channel; activations are left unrounded where one scale is stored`,
    );
  const type = zero?.type ?? "uint8";
  const bits = Number(/\d+$/.exec(type)?.[0] ?? 8);
  const [least, most] = type.startsWith("u") ? [0, 2 ** bits - 1] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
  const bound = (index: number, otherwise: number) =>
    numbersOf(editor, bounds?.input[index])?.[0] ?? otherwise;
  const number = (integer: number) => (integer - Number(zero?.data[0] ?? 0)) * scale[0];
  return { low: number(Math.max(least, bound(1, least))), high: number(Math.min(most, bound(2, most))) };
}

function numbersOf(editor: ModelEditor, name: string | undefined): number[] | undefined {
  const stored = name === undefined ? undefined : editor.stored(name);
  return stored && Array.from(stored.data as ArrayLike<number>, Number);
}

function removeUnread(editor: ModelEditor, opType: string): void {
  for (const node of editor.nodes.filter((one) => one.opType === opType))
    if (node.output.every((name) => editor.readersOf(name).length === 0)) editor.remove(node);
}
