import { int64Vector } from "../graph/constants.ts";
import { type Attributes, describe, type Shape, type Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { sub } from "./arithmetic.ts";
import { scatterAdd } from "./indexing.ts";
import { expand, reshape, zeros } from "./movement.ts";
import {
  apply,
  composeOperator,
  defineOperator,
  intsAttribute,
  normalizeAxes,
  operatorError,
  requireConstant,
  stringAttribute,
} from "./operator.ts";
import { reduceSum } from "./reduction.ts";

// Padding with a number, with the edge, with a mirror image or in a circle.

export type PadMode = "constant" | "reflect" | "edge" | "wrap";

defineOperator("Pad", {
  since: 13,
  sinceOf: (attributes, [, , , axes]) => (padMode(attributes) === "wrap" ? 19 : axes === undefined ? 13 : 18),
  infer: (inputs, attributes) => {
    const [x] = inputs;
    const { before, after } = readPads(inputs);
    const mode = padMode(attributes);
    for (const [axis, size] of x!.shape.entries()) {
      const most = {
        constant: Number.POSITIVE_INFINITY,
        reflect: size - 1,
        edge: Number.POSITIVE_INFINITY,
        wrap: size,
      };
      if (Math.max(before[axis], after[axis], 0) > most[mode]) {
        throw operatorError(
          "Pad",
          x!,
          `mode ${mode} adds up to ${most[mode]} elements to axis ${axis} of ${describe(x!)}, not ${Math.max(before[axis], after[axis])}`,
        );
      }
    }
    return [{ type: x!.type, shape: paddedShape(x!, [...before, ...after]) }];
  },
  gradient: ({ inputs, attributes, gradient, wanted }) => {
    const [x] = inputs;
    const { before, after } = readPads(inputs);
    const mode = padMode(attributes);
    if (mode !== "constant") return [foldBack(gradient, x.shape, before, mode)];
    // Cutting is padding by negative amounts; what was cut off is the gradient of the constant.
    const negative = (amounts: readonly number[]) => amounts.map((amount) => -amount);
    const inside = pad(gradient, negative(before), negative(after));
    const value = wanted[2] ? sub(reduceSum(gradient), reduceSum(inside)) : undefined;
    return [inside, undefined, value && reshape(value, inputs[2].shape)];
  },
});

/** Adds zeros before and after each axis; a negative amount cuts instead. Other modes repeat what is there. */
export function pad(
  x: Value,
  before: readonly number[],
  after: readonly number[],
  mode: PadMode = "constant",
): Value {
  const amounts = [...before, ...after];
  if (before.length !== x.shape.length || after.length !== x.shape.length) {
    throw operatorError("Pad", x, `${describe(x)} needs an amount before and after each of its axes`);
  }
  if (amounts.every((amount) => amount === 0)) return x;
  if (paddedShape(x, amounts).some((size) => size < 0)) {
    throw operatorError("Pad", x, `[${amounts.join(", ")}] cuts more than there is in ${describe(x)}`);
  }
  const settings: Attributes = mode === "constant" ? {} : { mode: { string: mode } };
  return apply("Pad", [x, int64Vector(x.graph, amounts), undefined], settings)[0];
}

// Each axis cut or padded to a size on both ends; where that does not go evenly, one more element at the end is padded, or
// one fewer at the front cut.
composeOperator("CenterCropPad", {
  since: 18,
  build: ([x, shape], attributes) => {
    const sizes = requireConstant("CenterCropPad", x!, shape, "sizes");
    const axes = intsAttribute(
      attributes,
      "axes",
      x!.shape.map((_, axis) => axis),
    ).map((axis) => normalizeAxes("CenterCropPad", x!, [axis])[0]);
    const before = x!.shape.map(() => 0);
    const after = x!.shape.map(() => 0);
    for (const [index, axis] of axes.entries()) {
      const added = sizes[index] - x!.shape[axis];
      before[axis] = Math.trunc(added / 2);
      after[axis] = added - before[axis];
    }
    return [pad(x!, before, after)];
  },
});

/** Each axis of the padded gradient added up to where its elements came from. */
function foldBack(gradient: Value, shape: Shape, before: readonly number[], mode: PadMode): Value {
  return shape.reduce((folded, size, axis) => {
    const sources = Array.from({ length: folded.shape[axis] }, (_, at) =>
      sourceOf(at - before[axis], size, mode),
    );
    if (sources.length === size && sources.every((source, at) => source === at)) return folded;
    const along = folded.shape.map((_, other) => (other === axis ? sources.length : 1));
    const places = expand(folded.graph.constant(tensorData(sources, along, "int64")), folded.shape);
    return scatterAdd(zeros(folded.graph, folded.shape.with(axis, size), folded.type), places, folded, axis);
  }, gradient);
}

/** Which element stands at a place outside of 0 … size − 1. */
function sourceOf(place: number, size: number, mode: PadMode): number {
  if (mode === "wrap") return (place + size) % size;
  if (mode === "edge") return Math.min(size - 1, Math.max(0, place));
  return place < 0 ? -place : place >= size ? 2 * (size - 1) - place : place;
}

/** Amounts before and after every axis; ONNX may name only some axes. */
function readPads([x, pads, , axes]: readonly (Value | undefined)[]) {
  const amounts = requireConstant("Pad", x!, pads, "pads");
  const named = axes ? requireConstant("Pad", x!, axes, "axes") : x!.shape.map((_, axis) => axis);
  normalizeAxes("Pad", x!, named);
  if (amounts.length !== 2 * named.length) {
    throw operatorError("Pad", x!, `${amounts.length} amounts are not two for each of ${named.length} axes`);
  }
  const [before, after] = [x!.shape.map(() => 0), x!.shape.map(() => 0)];
  for (const [index, axis] of named.entries()) {
    before[axis < 0 ? axis + before.length : axis] = amounts[index];
    after[axis < 0 ? axis + after.length : axis] = amounts[index + named.length];
  }
  return { before, after };
}

function padMode(attributes: Attributes): PadMode {
  return stringAttribute(attributes, "mode", "constant") as PadMode;
}

function paddedShape(x: Value, amounts: readonly number[]): Shape {
  return x.shape.map((size, axis) => size + amounts[axis] + amounts[axis + x.shape.length]);
}
