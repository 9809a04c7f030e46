import { readOptions } from "../common/options.ts";
import { int64Vector } from "../graph/constants.ts";
import { type Attributes, describe, elementCount, type TensorType, type Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add } from "./arithmetic.ts";
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
  requireAtMost,
  requireConstant,
  stringAttribute,
} from "./operator.ts";

// Resize is linear, and one axis after the other: y = Mx along each axis, with a constant matrix M [out, in] that
// holds what every place of the output takes of the input. So dx = Mᵀdy along each axis.

defineOperator("Resize", {
  since: 13,
  sinceOf: (attributes) => {
    if (transformOf(attributes) === "half_pixel_symmetric") return 19;
    const newer = ["axes", "antialias", "keep_aspect_ratio_policy"];
    return newer.some((name) => attributes[name] !== undefined) ? 18 : 13;
  },
  infer: (inputs, attributes): TensorType[] => {
    const [x] = inputs;
    for (const [name, supported, fallback] of [
      ["mode", ["nearest", "linear", "cubic"], "nearest"],
      ["coordinate_transformation_mode", Object.keys(transforms), "half_pixel"],
      ["keep_aspect_ratio_policy", ["stretch", "not_larger", "not_smaller"], "stretch"],
    ] as const) {
      const value = stringAttribute(attributes, name, fallback);
      if (!supported.some((one) => one === value)) {
        throw operatorError("Resize", x!, `${name} ${value} is not known here, ${supported.join(", ")} are`);
      }
    }
    return [{ type: x!.type, shape: readSizes(inputs, attributes).map(({ size }) => size) }];
  },
  gradient: ({ inputs, attributes, gradient }) => [
    alongAxes(gradient, inputs, attributes, (matrix) => transposeLast(matrix)),
  ],
});

/** A Resize node's result as matrix products; places outside a crop have the number that the node gives them. */
export function plainResize(inputs: readonly Value[], attributes: Attributes): Value {
  const inside = alongAxes(inputs[0], inputs, attributes, (matrix) => matrix);
  const value = floatAttribute(attributes, "extrapolation_value", 0);
  if (transformOf(attributes) !== "tf_crop_and_resize" || value === 0) return inside;
  const [x] = inputs;
  const stretches = readSizes(inputs, attributes);
  const covered = stretches.reduce<number[]>(
    (all, stretch, axis) => {
      const here = Array.from({ length: stretch.size }, (_, place) =>
        Number(!isOutside(place, x.shape[axis], stretch, attributes)),
      );
      return all.flatMap((before) => here.map((covers) => before * covers));
    },
    [1],
  );
  const filling = covered.map((covers) => (covers ? 0 : value));
  return add(inside, x.graph.constant(tensorData(filling, inside.shape, x.type)));
}

export interface ResizeOptions {
  mode?: "nearest" | "linear" | "cubic";
  /** Where output places lie among those of the input. Default `"half_pixel"`: PyTorch's `align_corners=False`. */
  coordinates?: "half_pixel" | "align_corners" | "asymmetric";
}

/** x with every axis brought to a size: PyTorch's `interpolate` for x [N, C, …]. */
export function resize(x: Value, sizes: readonly number[], options: ResizeOptions = {}): Value {
  const { mode = "linear", coordinates = "half_pixel" } = readOptions("resize", options, {
    mode: ["nearest", "linear", "cubic"],
    coordinates: ["half_pixel", "align_corners", "asymmetric"],
  });
  return apply("Resize", [x, undefined, undefined, int64Vector(x.graph, sizes)], {
    mode: { string: mode },
    coordinate_transformation_mode: { string: coordinates },
    ...(mode === "nearest" ? { nearest_mode: { string: "floor" } } : {}),
  })[0];
}

/** x with every axis made longer by whole factors, repeating elements: PyTorch's `interpolate` with `mode="nearest"`. */
export function enlarge(x: Value, factors: readonly number[]): Value {
  const scales = x.graph.constant(tensorData(factors, [factors.length], "float32"));
  return apply("Resize", [x, undefined, scales], {
    mode: { string: "nearest" },
    coordinate_transformation_mode: { string: "asymmetric" },
    nearest_mode: { string: "floor" },
  })[0];
}

interface Stretch {
  /** Of the output. */
  size: number;
  /** Output over input, as the node says or as the sizes are. */
  scale: number;
  /** The part of the input that is cropped to, in shares of its length. */
  crop: readonly [start: number, end: number];
}

/** The new size and scale of every axis of x, and the part of it that is taken. */
function readSizes(
  [x, regions, scales, sizes]: readonly (Value | undefined)[],
  attributes: Attributes,
): Stretch[] {
  const asked = sizes ? requireConstant("Resize", x!, sizes, "sizes") : undefined;
  const factors = asked ? undefined : requireConstant("Resize", x!, scales, "scales");
  const all = x!.shape.map((_, axis) => axis);
  const axes = intsAttribute(attributes, "axes", all).map((axis) => normalizeAxes("Resize", x!, [axis])[0]);
  const given = (asked ?? factors!).length;
  if (given !== axes.length) {
    throw operatorError("Resize", x!, `${given} sizes or scales for ${axes.length} axes of ${describe(x!)}`);
  }
  const cropped = transformOf(attributes) === "tf_crop_and_resize";
  const crops = cropped ? requireConstant("Resize", x!, regions, "regions") : [];
  if (cropped && crops.length !== 2 * axes.length) {
    throw operatorError("Resize", x!, `${crops.length} numbers are no start and end of ${axes.length} axes`);
  }
  const whole = [0, 1] as const;
  const kept = asked && keptScale(x!, asked, axes, attributes);
  return x!.shape.map((length, axis): Stretch => {
    const index = axes.indexOf(axis);
    if (index < 0) return { size: length, scale: 1, crop: whole };
    const crop = cropped ? ([crops[index], crops[index + axes.length]] as const) : whole;
    if (kept) return { size: Math.round(kept * length), scale: kept, crop };
    if (asked) return { size: asked[index], scale: asked[index] / length, crop };
    return { size: Math.floor(length * factors![index]), scale: factors![index], crop };
  });
}

/** The one scale of all axes that keeps proportions within, or beyond, what is asked for; undefined where they may change. */
function keptScale(x: Value, sizes: readonly number[], axes: readonly number[], attributes: Attributes) {
  const policy = stringAttribute(attributes, "keep_aspect_ratio_policy", "stretch");
  if (policy === "stretch") return undefined;
  const ratios = sizes.map((size, index) => size / x.shape[axes[index]]);
  return policy === "not_larger" ? Math.min(...ratios) : Math.max(...ratios);
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
    if (stretch.size === length && stretch.scale === 1 && stretch.crop[1] - stretch.crop[0] === 1)
      return value;
    requireAtMost("Resize", x, stretch.size * length, "weights");
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
  tf_half_pixel_for_nn: (place, _length, { scale }) => (place + 0.5) / scale,
  pytorch_half_pixel: (place, _length, { size, scale }) => (size > 1 ? (place + 0.5) / scale - 0.5 : 0),
  align_corners: (place, length, { size }) => (size > 1 ? (place * (length - 1)) / (size - 1) : 0),
  asymmetric: (place, _length, { scale }) => place / scale,
  half_pixel_symmetric: (place, length, { size, scale }) =>
    (length / 2) * (1 - size / (scale * length)) + (place + 0.5) / scale - 0.5,
  tf_crop_and_resize: (place, length, { size, crop: [start, end] }) =>
    size > 1
      ? (start + (place * (end - start)) / (size - 1)) * (length - 1)
      : ((start + end) / 2) * (length - 1),
};

function isOutside(place: number, length: number, stretch: Stretch, attributes: Attributes): boolean {
  if (transformOf(attributes) !== "tf_crop_and_resize") return false;
  const at = transforms.tf_crop_and_resize(place, length, stretch);
  return at < 0 || at > length - 1;
}

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
  if (isOutside(place, length, stretch, attributes)) return weights;
  for (const { index, weight } of taps(at, length, stretch, attributes)) {
    weights[Math.min(length - 1, Math.max(0, index))] += weight;
  }
  return weights;
}

interface Tap {
  index: number;
  weight: number;
}

/** Neighbors of a point and their weights; those outside stand for the element at the edge. */
function taps(at: number, length: number, { scale }: Stretch, attributes: Attributes): Tap[] {
  const mode = stringAttribute(attributes, "mode", "nearest");
  if (mode === "nearest") {
    const rounding = roundings[stringAttribute(attributes, "nearest_mode", "round_prefer_floor")];
    return [{ index: rounding(at), weight: 1 }];
  }
  // Against aliasing the filter is stretched over as many more elements as there are too many.
  const antialias = intAttribute(attributes, "antialias", 0) === 1;
  const shrink = antialias ? Math.min(1, scale) : 1;
  const filter = mode === "linear" ? linearFilter : cubicFilter(attributes);
  const reach = Math.ceil((mode === "linear" ? 1 : 2) / shrink);
  const first = Math.floor(at) - reach + 1;
  const all = Array.from({ length: 2 * reach }, (_, offset): Tap => {
    const index = first + offset;
    return { index, weight: filter(Math.abs(index - at) * shrink) };
  });
  const excludes = intAttribute(attributes, "exclude_outside", 0) === 1;
  const counted = excludes ? all.filter(({ index }) => index >= 0 && index < length) : all;
  if (!excludes && shrink === 1) return counted;
  const total = counted.reduce((sum, { weight }) => sum + weight, 0);
  return counted.map(({ index, weight }) => ({ index, weight: weight / total }));
}

const linearFilter = (distance: number) => Math.max(0, 1 - distance);

/** Keys 1981, with a the slope at distance 1. */
function cubicFilter(attributes: Attributes): (distance: number) => number {
  const a = floatAttribute(attributes, "cubic_coeff_a", -0.75);
  return (d) => {
    if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
    return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
  };
}

function transformOf(attributes: Attributes): string {
  return stringAttribute(attributes, "coordinate_transformation_mode", "half_pixel");
}
