import { elementCount, type Value } from "../graph/graph.ts";
import { isSmallFloat } from "../onnx/small-floats.ts";
import type { DataType } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { dataTypeName, dataTypeNumber, isFloat, wideType } from "../onnx/types.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { less, where } from "../ops/comparison.ts";
import { cast, sign } from "../ops/elementwise.ts";
import { reshape, transpose } from "../ops/movement.ts";
import { floatAttribute, int, intAttribute, normalizeAxes, stringAttribute } from "../ops/operator.ts";
import { slice } from "../ops/slicing.ts";
import { type CastOptions, roundToType, wrapToType } from "../ops/small-floats.ts";
import { layerNormStatistics } from "../ops/statistics-normalization.ts";
import type { Adapter, ImportedNode } from "./adapter.ts";
import { fold } from "./fold.ts";

/** Before opset 13 the axes from `axis` on were taken together; its default was 1 instead of −1. */
const softmax: Adapter = (node) => {
  if (node.opset >= 13) return node.build();
  const x = node.input(0);
  const [axis] = normalizeAxes(node.operator, x, [intAttribute(node.attributes, "axis", 1)]);
  if (elementCount(x.shape.slice(axis + 1)) === 1) return node.build([x], { axis: int(axis) });
  const rows = elementCount(x.shape.slice(0, axis));
  const [y] = node.build([reshape(x, [rows, elementCount(x.shape) / rows])], { axis: int(1) });
  return [reshape(y, x.shape)];
};

/** ONNX Runtime wants bounds without axes. */
const clipBetween: Adapter = (node) => {
  const [x, ...bounds] = node.inputs;
  return node.build([x, ...bounds.map((bound) => bound && reshape(bound, []))], {});
};

/** Before opset 11 the nearest element was the one before where an axis grows, and the one behind where it shrinks. */
const resize: Adapter = (node) => {
  const scales = node.opset < 11 ? (node.numbers(2, "scales") ?? []) : [];
  const nearest = stringAttribute(node.attributes, "mode", "nearest") === "nearest";
  if (!nearest || !scales.some((scale) => scale < 1)) return node.build();
  const step = (x: Value | undefined, kept: (scale: number) => boolean, rounding: string) => {
    const some = scales.map((scale) => (kept(scale) ? scale : 1));
    const factors = node.graph.constant(tensorData(some, [some.length], "float32"));
    const attributes = { ...node.attributes, nearest_mode: { string: rounding } };
    return node.build([x, undefined, factors], attributes)[0];
  };
  const shrunk = step(node.input(0), (scale) => scale < 1, "ceil");
  return scales.some((scale) => scale > 1) ? [step(shrunk, (scale) => scale > 1, "floor")] : [shrunk];
};

/** A tensor in a type of a file: rounded to its numbers where it is computed in a wider one. */
function castTo(node: ImportedNode, type: DataType): Value {
  const x = node.input(0);
  if (type === "string" || type.startsWith("complex")) throw node.error(`${type} is not computed with here`);
  if (type === "float16" || type === "bfloat16" || wideType(type) === type) {
    const to = int(dataTypeNumber(wideType(type)));
    return fold("Cast", [x], { to })?.[0] ?? cast(x, wideType(type));
  }
  if (!isSmallFloat(type)) return wrapToType(x, type);
  const saturate = intAttribute(node.attributes, "saturate", 1) === 1;
  const roundMode = stringAttribute(node.attributes, "round_mode", "up") as CastOptions["roundMode"];
  return roundToType(cast(x, wideType(type)), type, { saturate, roundMode });
}

/** Bits are those of the file, so what is computed in another type has others. */
const bitCast: Adapter = (node) => {
  const types = [node.statedType(0), dataTypeName(intAttribute(node.attributes, "to", 0), "BitCast")];
  const wider = types.find((type) => wideType(type) !== type);
  if (wider) throw node.error(`${wider} is computed in ${wideType(wider)} here, which has other bits`);
  return node.build();
};

/** Whole numbers by ONNX's kernel; without fmod the result has the divisor's sign, for fractions too since opset 28. */
const remainder: Adapter = (node) => {
  const [a, b] = [node.input(0), node.input(1)];
  const fractions = a.type === "float32" || a.type === "float64";
  if (!fractions || intAttribute(node.attributes, "fmod", 0) === 1) return node.build();
  const [rest] = node.build([a, b], { fmod: int(1) });
  return [where(less(mul(sign(rest), sign(b)), 0), add(rest, b), rest)];
};

/** The result has the type of the base; of an integer and a fraction it is computed in the fraction's. */
const power: Adapter = (node) => {
  const [x, exponent] = [node.input(0), node.input(1)];
  if (isFloat(x.type) || !isFloat(exponent.type)) return node.build([x, cast(exponent, x.type)]);
  const [y] = node.build([cast(x, exponent.type), exponent]);
  return [cast(y, x.type)];
};

/** A letter that stands twice in an operand means its diagonal. */
const einsumOfDiagonals: Adapter = (node) => {
  const equation = stringAttribute(node.attributes, "equation", "").replaceAll(" ", "");
  const [left, ...right] = equation.split("->");
  const parts = left.split(",").map((term, index) => withDiagonals(node.input(index), term));
  const written = [parts.map(({ term }) => term).join(","), ...right].join("->");
  return node.build(
    parts.map(({ x }) => x),
    { equation: { string: written } },
  );
};

function withDiagonals(x: Value, term: string): { x: Value; term: string } {
  const twice = [...term].find((letter, at) => letter !== "." && term.indexOf(letter) < at);
  if (twice === undefined) return { x, term };
  // Letters behind the dots are counted from the end.
  const axisOf = (at: number) =>
    term.includes("...") && at > term.indexOf("...") ? x.shape.length - (term.length - at) : at;
  const [from, to] = [term.indexOf(twice), term.lastIndexOf(twice)];
  const [first, second] = [axisOf(from), axisOf(to)];
  const size = x.shape[first];
  const others = x.shape.flatMap((_, axis) => (axis === first || axis === second ? [] : [axis]));
  const square = transpose(x, [...others, first, second]);
  const kept = others.map((axis) => x.shape[axis]);
  const flat = reshape(square, [...kept, size * size]);
  const diagonal = slice(flat, { axes: [kept.length], starts: [0], ends: [size * size], steps: [size + 1] });
  const order = x.shape.flatMap((_, axis) =>
    axis === second ? [] : [axis === first ? kept.length : others.indexOf(axis)],
  );
  return withDiagonals(transpose(diagonal, order), term.slice(0, to) + term.slice(to + 1));
}

/** Mean and 1/deviation are made beside it where they are asked for. */
const layerNormalization: Adapter = (node) => {
  const [y] = node.build();
  if (node.outputCount === 1) return [y];
  const axis = intAttribute(node.attributes, "axis", -1);
  const epsilon = floatAttribute(node.attributes, "epsilon", 1e-5);
  const { mean, inverseDeviation } = layerNormStatistics(node.input(0), axis, epsilon);
  return [y, mean, inverseDeviation];
};

export const arithmeticAdapters: Readonly<Record<string, Adapter>> = {
  Clip: clipBetween,
  Resize: resize,
  Mod: remainder,
  Einsum: einsumOfDiagonals,
  Cast: (node) => [castTo(node, dataTypeName(intAttribute(node.attributes, "to", 0), "Cast"))],
  BitCast: bitCast,
  Pow: power,
  Softmax: softmax,
  LogSoftmax: softmax,
  Hardmax: softmax,
  LayerNormalization: layerNormalization,
  Identity: (node) => [node.input(0)],
  CastLike: (node) => [castTo(node, node.statedType(1))],
};
