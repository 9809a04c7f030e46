import { int64Vector, tensorData } from "../graph/constants.ts";
import { type Attributes, describe, elementCount, type TensorType, type Value } from "../graph/graph.ts";
import { matMul, transposeLast } from "./linear.ts";
import { reshape } from "./movement.ts";
import {
  apply,
  defineOperator,
  floatAttribute,
  intAttribute,
  intsAttribute,
  normalizeAxes,
  operatorError,
  requireConstant,
  stringAttribute,
} from "./operator.ts";

// Resize is linear, and one axis after the other: y = Mx along each axis, with a constant matrix M [out, in] that
// holds what every place of the output takes of the input. So dx = Mᵀdy along each axis.

defineOperator("Resize", {
  since: 13,
  sinceOf: (attributes) =>
    attributes.axes ? 18 : transformOf(attributes) === "half_pixel_symmetric" ? 19 : 13,
  infer: (inputs, attributes): TensorType[] => {
    const [x] = inputs;
    for (const [name, supported, fallback] of [
      ["mode", ["nearest", "linear", "cubic"], "nearest"],
      ["coordinate_transformation_mode", Object.keys(transforms), "half_pixel"],
      ["keep_aspect_ratio_policy", ["stretch"], "stretch"],
    ] as const) {
      const value = stringAttribute(attributes, name, fallback);
      if (!supported.some((one) => one === value)) {
        throw operatorError("Resize", x!, `${name} ${value} is not known here, ${supported.join(", ")} are`);
      }
    }
    if (intAttribute(attributes, "antialias", 0) === 1) {
      throw operatorError("Resize", x!, "antialias is not known here");
    }
    return [{ type: x!.type, shape: readSizes(inputs, attributes).map(({ size }) => size) }];
  },
  gradient: ({ inputs, attributes, gradient }) => [
    alongAxes(gradient, inputs, attributes, (matrix) => transposeLast(matrix)),
  ],
});

/** A Resize node's result as matrix products. */
export function plainResize(inputs: readonly Value[], attributes: Attributes): Value {
  return alongAxes(inputs[0], inputs, attributes, (matrix) => matrix);
}

export interface ResizeOptions {
  mode?: "nearest" | "linear" | "cubic";
  /** Where output places lie among those of the input. Default `"half_pixel"`: PyTorch's `align_corners=False`. */
  coordinates?: "half_pixel" | "align_corners" | "asymmetric";
}

/** x with every axis brought to a size: PyTorch's `interpolate` for x [N, C, …]. */
export function resize(
  x: Value,
  sizes: readonly number[],
  { mode = "linear", coordinates = "half_pixel" }: ResizeOptions = {},
): Value {
  return apply("Resize", [x, undefined, undefined, int64Vector(x.graph, sizes)], {
    mode: { string: mode },
    coordinate_transformation_mode: { string: coordinates },
    ...(mode === "nearest" ? { nearest_mode: { string: "floor" } } : {}),
  })[0];
}

interface Stretch {
  /** Of the output. */
  size: number;
  /** Output over input, as the node says or as the sizes are. */
  scale: number;
}

/** The new size and scale of every axis of x. */
function readSizes([x, , scales, sizes]: readonly (Value | undefined)[], attributes: Attributes): Stretch[] {
  const asked = sizes ? requireConstant("Resize", x!, sizes, "sizes") : undefined;
  const factors = asked ? undefined : requireConstant("Resize", x!, scales, "scales");
  const all = x!.shape.map((_, axis) => axis);
  const axes = intsAttribute(attributes, "axes", all).map((axis) => normalizeAxes("Resize", x!, [axis])[0]);
  const given = (asked ?? factors!).length;
  if (given !== axes.length) {
    throw operatorError("Resize", x!, `${given} sizes or scales for ${axes.length} axes of ${describe(x!)}`);
  }
  return x!.shape.map((length, axis) => {
    const index = axes.indexOf(axis);
    if (index < 0) return { size: length, scale: 1 };
    if (asked) return { size: asked[index], scale: asked[index] / length };
    return { size: Math.floor(length * factors![index]), scale: factors![index] };
  });
}

function alongAxes(
  start: Value,
  inputs: readonly Value[],
  attributes: Attributes,
  turn: (matrix: Value) => Value,
): Value {
  const [x] = inputs;
  return readSizes(inputs, attributes).reduce((value, stretch, axis) => {
    const length = x.shape[axis];
    if (stretch.size === length && stretch.scale === 1) return value;
    const rows = Array.from({ length: stretch.size }, (_, place) => row(place, length, stretch, attributes));
    const matrix = turn(x.graph.constant(tensorData(rows.flat(), [stretch.size, length], x.type)));
    const [before, after] = [value.shape.slice(0, axis), value.shape.slice(axis + 1)];
    const flat = reshape(value, [elementCount(before), value.shape[axis], elementCount(after)]);
    return reshape(matMul(matrix, flat), [...before, matrix.shape[0], ...after]);
  }, start);
}

/** Where a place of the output lies in the input, by ONNX's names. */
const transforms: Record<string, (place: number, length: number, stretch: Stretch) => number> = {
  half_pixel: (place, _length, { scale }) => (place + 0.5) / scale - 0.5,
  pytorch_half_pixel: (place, _length, { size, scale }) => (size > 1 ? (place + 0.5) / scale - 0.5 : 0),
  align_corners: (place, length, { size }) => (size > 1 ? (place * (length - 1)) / (size - 1) : 0),
  asymmetric: (place, _length, { scale }) => place / scale,
  half_pixel_symmetric: (place, length, { size, scale }) =>
    (length / 2) * (1 - size / (scale * length)) + (place + 0.5) / scale - 0.5,
};

const roundings: Record<string, (at: number) => number> = {
  round_prefer_floor: (at) => Math.ceil(at - 0.5),
  round_prefer_ceil: (at) => Math.floor(at + 0.5),
  floor: Math.floor,
  ceil: Math.ceil,
};

/** What one place of the output takes of each of the `length` numbers of the input. */
function row(place: number, length: number, stretch: Stretch, attributes: Attributes): number[] {
  const at = transforms[transformOf(attributes)](place, length, stretch);
  const weights = new Array<number>(length).fill(0);
  for (const { index, weight } of taps(at, length, attributes)) {
    weights[Math.min(length - 1, Math.max(0, index))] += weight;
  }
  return weights;
}

/** Neighbours of a point and their weights; those outside stand for the element at the edge. */
function taps(at: number, length: number, attributes: Attributes): { index: number; weight: number }[] {
  const mode = stringAttribute(attributes, "mode", "nearest");
  if (mode === "nearest") {
    const rounding = roundings[stringAttribute(attributes, "nearest_mode", "round_prefer_floor")];
    return [{ index: rounding(at), weight: 1 }];
  }
  const first = Math.floor(at);
  const part = at - first;
  if (mode === "linear") {
    return [
      { index: first, weight: 1 - part },
      { index: first + 1, weight: part },
    ];
  }
  // Keys 1981, with a the slope at distance 1.
  const a = floatAttribute(attributes, "cubic_coeff_a", -0.75);
  const near = (d: number) => ((a + 2) * d - (a + 3)) * d * d + 1;
  const far = (d: number) => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  const all = [far(part + 1), near(part), near(1 - part), far(2 - part)].map((weight, offset) => ({
    index: first - 1 + offset,
    weight,
  }));
  if (intAttribute(attributes, "exclude_outside", 0) === 0) return all;
  const inside = all.filter(({ index }) => index >= 0 && index < length);
  const total = inside.reduce((sum, { weight }) => sum + weight, 0);
  return inside.map(({ index, weight }) => ({ index, weight: weight / total }));
}

function transformOf(attributes: Attributes): string {
  return stringAttribute(attributes, "coordinate_transformation_mode", "half_pixel");
}
