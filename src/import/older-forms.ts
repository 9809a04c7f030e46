import { elementCount, type Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { expand, reshape } from "../ops/movement.ts";
import { floatAttribute, int, intAttribute, normalizeAxes, stringAttribute } from "../ops/operator.ts";
import type { ImportedNode } from "./adapter.ts";
import { without } from "./adapter.ts";
import { unknownAttributes } from "./attribute-names.ts";

// What a node of an older opset means, said in the newest form of its operator. Opsets 6 and later. Each change of
// meaning is a row of docs/opset-changes.md, with tests on both sides of it.

/** How nodes of opsets before one are written today. */
type OlderForm = readonly [before: number, rewrite: (node: ImportedNode) => ImportedNode];

/** The node in the newest of its forms. */
export function modernized(node: ImportedNode): ImportedNode {
  const forms = Object.hasOwn(olderForms, node.operator) ? olderForms[node.operator] : [];
  const newest = forms.reduce(
    (form, [before, rewrite]) => (node.opset < before ? rewrite(form) : form),
    node,
  );
  const [unknown] = unknownAttributes(newest.operator, newest.attributes);
  if (unknown === undefined) return newest;
  throw node.error(
    `attribute "${unknown}" is not one of opset ${node.opset} that is read; export the model without it`,
  );
}

/** Whether nodes of an operator are read in different ways in two opsets. */
export function changedBetween(operator: string, one: number, other: number): boolean {
  const [low, high] = [Math.min(one, other), Math.max(one, other)];
  const rewritten = Object.hasOwn(olderForms, operator) ? olderForms[operator].map(([before]) => before) : [];
  const adapted = Object.hasOwn(adaptedForms, operator) ? adaptedForms[operator] : [];
  return [...rewritten, ...adapted].some((before) => low < before && before <= high);
}

/** The opsets at which the adapter of an operator takes another form. */
const adaptedForms: Readonly<Record<string, readonly number[]>> = {
  Dropout: [10, 12],
  Hardmax: [13],
  LogSoftmax: [13],
  Resize: [11],
  Softmax: [13],
  Upsample: [11],
};

/** An attribute that became an input: int64 numbers, or one number of the first input's type. */
const moved =
  (attribute: string, input: number, kind: "ints" | "number"): OlderForm[1] =>
  (node) => {
    const value = node.attributes[attribute];
    if (value === undefined) return node;
    const values =
      "ints" in value ? value.ints : "int" in value ? [value.int] : "float" in value ? [value.float] : [];
    const stored =
      kind === "ints" ? node.sizes(values) : node.graph.constant(tensorData(values, [], node.input(0).type));
    return withInput(node, input, stored).with({ attributes: without(node.attributes, attribute) });
  };

/** An attribute that says nothing about what is computed here. */
const dropped =
  (...attributes: readonly string[]): OlderForm[1] =>
  (node) =>
    node.with({ attributes: without(node.attributes, ...attributes) });

/** An attribute whose default was another one. */
const defaulting =
  (attribute: string, value: ImportedNode["attributes"][string]): OlderForm[1] =>
  (node) =>
    node.with({ attributes: { [attribute]: value, ...node.attributes } });

/** The second input lay along the axes of the first from `axis` on: today axes of size 1 follow it. */
const limitedBroadcast: OlderForm[1] = (node) => {
  const [a, b] = [node.input(0), node.input(1)];
  const plain = dropped("broadcast", "axis")(node);
  if (intAttribute(node.attributes, "broadcast", 0) === 0 || !node.attributes.axis) return plain;
  if (elementCount(b.shape) === 1) return plain;
  const [axis] = normalizeAxes(node.operator, a, [intAttribute(node.attributes, "axis", 0)]);
  const after = a.shape.length - axis - b.shape.length;
  if (after < 0) throw node.error(`its second input has more axes than the first has from axis ${axis} on`);
  return withInput(plain, 1, reshape(b, [...b.shape, ...Array.from({ length: after }, () => 1)]));
};

/** One slope for each channel: today axes of size 1 follow it. */
const slopeOfChannels: OlderForm[1] = (node) => {
  const [x, slope] = [node.input(0), node.input(1)];
  if (slope.shape.length !== 1 || slope.shape[0] === 1 || x.shape.length < 2) return node;
  return withInput(node, 1, reshape(slope, [slope.shape[0], ...x.shape.slice(2).map(() => 1)]));
};

/** Infinities were clipped to the largest float32 where no bound was given. */
const finiteBounds: OlderForm[1] = (node) => {
  const largest = 2 ** 128 - 2 ** 104;
  const [min, max] = [
    floatAttribute(node.attributes, "min", -largest),
    floatAttribute(node.attributes, "max", largest),
  ];
  return node.with({ attributes: { min: { float: min }, max: { float: max } } });
};

/** The parts were as many as the outputs, and equal. */
const equalSplit: OlderForm[1] = (node) => {
  if (node.inputs[1] || node.attributes.num_outputs) return node;
  const x = node.input(0);
  const [axis] = normalizeAxes(node.operator, x, [intAttribute(node.attributes, "axis", 0)]);
  if (x.shape[axis] % node.listedOutputs !== 0)
    throw node.error(`axis ${axis} of size ${x.shape[axis]} has no ${node.listedOutputs} equal parts`);
  return node.with({ attributes: { ...node.attributes, num_outputs: int(node.listedOutputs) } });
};

/** Scale and shift were those of groups: today each channel has its group's. */
const scalesOfGroups: OlderForm[1] = (node) => {
  const channels = node.input(0).shape[1];
  const ofChannels = (value: Value) => {
    const [groups] = value.shape;
    return reshape(expand(reshape(value, [groups, 1]), [groups, channels / groups]), [channels]);
  };
  const groups = intAttribute(node.attributes, "num_groups", 0);
  const fits = [1, 2].every((index) => elementCount(node.input(index).shape) === groups);
  if (!fits || channels % groups !== 0)
    throw node.error(`before opset 21 scale and bias hold one number for each of num_groups ${groups}`);
  return withInput(withInput(node, 1, ofChannels(node.input(1))), 2, ofChannels(node.input(2)));
};

/** Further outputs meant training, as an attribute does today. */
const trainingByOutputs: OlderForm[1] = (node) => {
  const trains = node.listedOutputs > 1 && intAttribute(node.attributes, "is_test", 0) === 0;
  const attributes = without(node.attributes, "is_test");
  return node.with({ attributes: { ...attributes, training_mode: int(trains ? 1 : 0) } });
};

/** Scales were an attribute, for all axes or for height and width. */
const scalesOfUpsample: OlderForm[1] = (node) => {
  const { scales: stated } = node.attributes;
  const scales =
    stated && "floats" in stated
      ? stated.floats
      : [1, 1, ...["height_scale", "width_scale"].map((name) => floatAttribute(node.attributes, name, 1))];
  const constant = node.graph.constant(tensorData(scales, [scales.length], "float32"));
  return withInput(dropped("scales", "height_scale", "width_scale")(node), 1, constant);
};

/** Places were counted from the first element, without half an element. */
const asymmetricResize: OlderForm[1] = (node) => {
  const mode = stringAttribute(node.attributes, "mode", "nearest");
  return node.with({
    operator: "Resize",
    inputs: [node.inputs[0], undefined, node.inputs[1]],
    attributes: {
      ...node.attributes,
      mode: { string: mode === "bilinear" ? "linear" : mode },
      coordinate_transformation_mode: { string: "asymmetric" },
      nearest_mode: { string: "floor" },
    },
  });
};

const always = Number.POSITIVE_INFINITY;
const broadcastForms: readonly OlderForm[] = [[7, limitedBroadcast]];
const reductionForms: readonly OlderForm[] = [[18, moved("axes", 1, "ints")]];
const recurrentForms: readonly OlderForm[] = [[7, dropped("output_sequence")]];

const olderForms: Readonly<Record<string, readonly OlderForm[]>> = {
  Add: broadcastForms,
  And: broadcastForms,
  Div: broadcastForms,
  Equal: broadcastForms,
  Greater: broadcastForms,
  Less: broadcastForms,
  Mul: broadcastForms,
  Or: broadcastForms,
  Pow: broadcastForms,
  Sub: broadcastForms,
  Xor: broadcastForms,
  BatchNormalization: [[14, trainingByOutputs]],
  Clip: [
    [11, finiteBounds],
    [11, moved("min", 1, "number")],
    [11, moved("max", 2, "number")],
  ],
  Dropout: [
    [7, dropped("is_test")],
    [12, moved("ratio", 1, "number")],
  ],
  GRU: recurrentForms,
  Gemm: [[7, dropped("broadcast")]],
  GroupNormalization: [[21, scalesOfGroups]],
  LSTM: recurrentForms,
  PRelu: [[7, slopeOfChannels]],
  Pad: [
    [11, moved("pads", 1, "ints")],
    [11, moved("value", 2, "number")],
  ],
  RNN: recurrentForms,
  ReduceL1: reductionForms,
  ReduceL2: reductionForms,
  ReduceLogSum: reductionForms,
  ReduceLogSumExp: reductionForms,
  ReduceMax: reductionForms,
  ReduceMean: reductionForms,
  ReduceMin: reductionForms,
  ReduceProd: reductionForms,
  ReduceSum: [[13, moved("axes", 1, "ints")]],
  ReduceSumSquare: reductionForms,
  Resize: [[11, asymmetricResize]],
  RoiAlign: [[16, defaulting("coordinate_transformation_mode", { string: "output_half_pixel" })]],
  Scatter: [[always, (node) => node.with({ operator: "ScatterElements" })]],
  Slice: [
    [10, moved("starts", 1, "ints")],
    [10, moved("ends", 2, "ints")],
    [10, moved("axes", 3, "ints")],
  ],
  Split: [
    [13, moved("split", 1, "ints")],
    [18, equalSplit],
  ],
  Squeeze: [[13, moved("axes", 1, "ints")]],
  TopK: [[10, moved("k", 1, "ints")]],
  Unsqueeze: [[13, moved("axes", 1, "ints")]],
  Upsample: [
    [9, scalesOfUpsample],
    [always, asymmetricResize],
  ],
};

function withInput(node: ImportedNode, index: number, value: Value): ImportedNode {
  const inputs = Array.from({ length: Math.max(node.inputs.length, index + 1) }, (_, at) => node.inputs[at]);
  return node.with({ inputs: inputs.with(index, value) });
}
