import { tensorData } from "../graph/constants.ts";
import { type Attributes, elementCount, type Shape, type Value } from "../graph/graph.ts";
import type { DataType } from "../onnx/tensor.ts";
import { dataTypeName } from "../onnx/types.ts";
import { equalParts } from "../ops/layout.ts";
import { intAttribute, intsAttribute } from "../ops/operator.ts";

// Nodes that read nothing but constants, evaluated here. Exporters emit chains of them for every shape that depends on
// another one: Shape → Gather → Unsqueeze → Concat → Reshape. As all shapes are known, so are their results.

/** Constants of more elements are left to ONNX Runtime. */
const largest = 1 << 16;

/** A small constant tensor: integers up to 2⁵³, which shapes and indices are. */
interface Small {
  type: DataType;
  shape: Shape;
  data: readonly number[];
}

/**
 * The outputs of a node whose inputs are constants, as constants; undefined where it has to be computed while running.
 * Axes may be an attribute or an input, as they were in older and are in newer opsets.
 */
export function fold(
  operator: string,
  inputs: readonly (Value | undefined)[],
  attributes: Attributes,
): Value[] | undefined {
  const evaluate = evaluators[operator];
  const graph = inputs.find((input) => input !== undefined)?.graph;
  if (!evaluate || !graph) return undefined;
  const small = inputs.map(toSmall);
  if (small.some((value, index) => value === undefined && inputs[index] !== undefined)) return undefined;
  const outputs = evaluate(small as readonly Small[], attributes);
  return outputs?.map(({ type, shape, data }) =>
    graph.constant(tensorData(data.map(clampTo(type)), shape, type)),
  );
}

type Evaluator = (inputs: readonly Small[], attributes: Attributes) => Small[] | undefined;

const elementwise = (f: (x: number) => number, type?: DataType): Evaluator => {
  return ([x]) => [{ type: type ?? x.type, shape: x.shape, data: x.data.map(f) }];
};

const broadcasting = (f: (a: number, b: number, type: DataType) => number, type?: DataType): Evaluator => {
  return ([a, b]) => {
    const shape = broadcast(a.shape, b.shape);
    if (!shape || elementCount(shape) > largest) return undefined;
    const [left, right] = [stretch(a, shape), stretch(b, shape)];
    return [
      { type: type ?? a.type, shape, data: left.map((value, index) => f(value, right[index], a.type)) },
    ];
  };
};

const truth = (f: (a: number, b: number) => boolean) => broadcasting((a, b) => Number(f(a, b)), "bool");

const extreme = (pick: (a: number, b: number) => number): Evaluator => {
  return (inputs, attributes) =>
    inputs.reduce<Small[] | undefined>(
      (result, input) =>
        result ? broadcasting((a, b) => pick(a, b))([result[0], input], attributes) : undefined,
      [inputs[0]],
    );
};

const reducing = (combine: (values: readonly number[]) => number): Evaluator => {
  return ([x, axesInput], attributes) => {
    const given = axesInput?.data ?? intsAttribute(attributes, "axes", []);
    const axes = (given.length > 0 ? given : x.shape.map((_, axis) => axis)).map((axis) =>
      plain(axis, x.shape.length),
    );
    const kept = x.shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
    const groups = Array.from({ length: elementCount(kept) }, () => [] as number[]);
    for (const [index, value] of x.data.entries()) {
      const place = coordinates(index, x.shape).map((at, axis) => (axes.includes(axis) ? 0 : at));
      groups[offset(place, kept)].push(value);
    }
    const shape = intAttribute(attributes, "keepdims", 1)
      ? kept
      : kept.filter((_, axis) => !axes.includes(axis));
    return [{ type: x.type, shape, data: groups.map(combine) }];
  };
};

/** How constants are computed, by operator. */
export const evaluators: Readonly<Record<string, Evaluator>> = {
  Identity: ([x]) => [x],
  Cast: ([x], attributes) => {
    const type = dataTypeName(intAttribute(attributes, "to", 0), "Cast");
    const convert =
      type === "bool" ? (value: number) => Number(value !== 0) : isFloat(type) ? undefined : Math.trunc;
    return isSmallType(type)
      ? [{ type, shape: x.shape, data: convert ? x.data.map(convert) : x.data }]
      : undefined;
  },
  Add: broadcasting((a, b) => a + b),
  Sub: broadcasting((a, b) => a - b),
  Mul: broadcasting((a, b) => a * b),
  Div: broadcasting((a, b, type) => (isFloat(type) ? a / b : Math.trunc(a / b))),
  Mod: broadcasting((a, b, type) => (isFloat(type) ? a % b : ((a % b) + b) % b)),
  Pow: broadcasting((a, b) => a ** b),
  Max: extreme(Math.max),
  Min: extreme(Math.min),
  Neg: elementwise((x) => -x),
  Abs: elementwise(Math.abs),
  Sqrt: elementwise(Math.sqrt),
  Relu: elementwise((x) => Math.max(x, 0)),
  Floor: elementwise(Math.floor),
  Ceil: elementwise(Math.ceil),
  Reciprocal: elementwise((x) => 1 / x),
  Not: elementwise((x) => Number(x === 0), "bool"),
  Equal: truth((a, b) => a === b),
  Less: truth((a, b) => a < b),
  LessOrEqual: truth((a, b) => a <= b),
  Greater: truth((a, b) => a > b),
  GreaterOrEqual: truth((a, b) => a >= b),
  And: truth((a, b) => a !== 0 && b !== 0),
  Or: truth((a, b) => a !== 0 || b !== 0),
  Where: ([condition, a, b]) => {
    const sides = broadcast(a.shape, b.shape);
    const shape = sides && broadcast(condition.shape, sides);
    if (!shape || elementCount(shape) > largest) return undefined;
    const [test, yes, no] = [condition, a, b].map((side) => stretch(side, shape));
    return [{ type: a.type, shape, data: test.map((holds, index) => (holds ? yes[index] : no[index])) }];
  },
  ReduceSum: reducing((values) => values.reduce((sum, value) => sum + value, 0)),
  ReduceProd: reducing((values) => values.reduce((product, value) => product * value, 1)),
  ReduceMax: reducing((values) => values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)),
  ReduceMin: reducing((values) => values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY)),
  Concat: (inputs, attributes) => {
    const axis = plain(intAttribute(attributes, "axis", 0), inputs[0].shape.length);
    const shape = inputs[0].shape.map((size, index) =>
      index === axis ? inputs.reduce((sum, input) => sum + input.shape[axis], 0) : size,
    );
    const before = elementCount(shape.slice(0, axis));
    const data = Array.from({ length: before }, (_, row) =>
      inputs.flatMap((input) => {
        const width = elementCount(input.shape.slice(axis));
        return input.data.slice(row * width, (row + 1) * width);
      }),
    ).flat();
    return data.length === elementCount(shape) ? [{ type: inputs[0].type, shape, data }] : undefined;
  },
  Gather: ([x, indices], attributes) => {
    const axis = plain(intAttribute(attributes, "axis", 0), x.shape.length);
    const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
    const positions = indices.data.map((index) => plain(index, x.shape[axis]));
    if (elementCount(shape) > largest || positions.some((at) => !(at >= 0 && at < x.shape[axis])))
      return undefined;
    return [{ type: x.type, shape, data: pick(x, axis, positions) }];
  },
  Slice: ([x, starts, ends, axes, steps], attributes) => {
    const from = starts?.data ?? intsAttribute(attributes, "starts", []);
    const to = ends?.data ?? intsAttribute(attributes, "ends", []);
    const along =
      axes?.data ??
      intsAttribute(
        attributes,
        "axes",
        from.map((_, axis) => axis),
      );
    return [
      along.reduce<Small>((part, given, index) => {
        const axis = plain(given, x.shape.length);
        const positions = slicePositions(part.shape[axis], from[index], to[index], steps?.data[index] ?? 1);
        const shape = part.shape.map((size, other) => (other === axis ? positions.length : size));
        return { type: x.type, shape, data: pick(part, axis, positions) };
      }, x),
    ];
  },
  Split: ([x, sizes], attributes) => {
    const axis = plain(intAttribute(attributes, "axis", 0), x.shape.length);
    const count = intAttribute(attributes, "num_outputs", 1);
    if (x.shape[axis] === undefined || count > x.data.length) return undefined;
    const parts = sizes?.data ?? equalParts(x.shape[axis], count);
    if (parts.some((size) => size < 0) || parts.reduce((sum, size) => sum + size, 0) !== x.shape[axis])
      return undefined;
    let start = 0;
    return parts.map((size): Small => {
      const positions = slicePositions(x.shape[axis], start, start + size, 1);
      start += size;
      return { type: x.type, shape: x.shape.with(axis, size), data: pick(x, axis, positions) };
    });
  },
  Squeeze: ([x, axesInput], attributes) => {
    const given = axesInput?.data ?? intsAttribute(attributes, "axes", []);
    const axes = given.map((axis) => plain(axis, x.shape.length));
    const shape = x.shape.filter((size, axis) => (axes.length > 0 ? !axes.includes(axis) : size !== 1));
    return elementCount(shape) === x.data.length ? [{ ...x, shape }] : undefined;
  },
  Unsqueeze: ([x, axesInput], attributes) => {
    const given = axesInput?.data ?? intsAttribute(attributes, "axes", []);
    const shape = withOnes(x.shape, given);
    return shape && [{ ...x, shape }];
  },
  Transpose: ([x], attributes) => {
    const order = intsAttribute(
      attributes,
      "perm",
      x.shape.map((_, axis) => x.shape.length - 1 - axis),
    );
    const shape = order.map((axis) => x.shape[axis]);
    const data = x.data.map((_, index) => {
      const place = coordinates(index, shape);
      return x.data[
        offset(
          x.shape.map((_, axis) => place[order.indexOf(axis)]),
          x.shape,
        )
      ];
    });
    return [{ type: x.type, shape, data }];
  },
  Expand: ([x, target]) => {
    const shape = broadcast(x.shape, target.data);
    return shape && elementCount(shape) <= largest
      ? [{ type: x.type, shape, data: stretch(x, shape) }]
      : undefined;
  },
  Reshape: ([x, target], attributes) => {
    const shape = reshaped(x.shape, target.data, intAttribute(attributes, "allowzero", 0) === 1);
    return shape && [{ ...x, shape }];
  },
};

/** The shape that Reshape's input asks for: 0 copies a size, −1 is what remains. Undefined if it does not fit. */
function reshaped(shape: Shape, target: readonly number[], allowZero = false): number[] | undefined {
  const sizes = target.map((size, axis) => (size === 0 && !allowZero ? shape[axis] : size));
  const known = elementCount(sizes.filter((size) => size !== -1));
  const filled = sizes.map((size) => (size === -1 ? elementCount(shape) / known : size));
  return elementCount(filled) === elementCount(shape) &&
    filled.every((size) => Number.isInteger(size) && size >= 0)
    ? filled
    : undefined;
}

/** A shape with axes of size 1 put in so that they are at the given places of the result. */
function withOnes(shape: Shape, axes: readonly number[]): number[] | undefined {
  const rank = shape.length + axes.length;
  const places = new Set(axes.map((axis) => plain(axis, rank)));
  if (places.size !== axes.length || [...places].some((axis) => !(axis >= 0 && axis < rank)))
    return undefined;
  const rest = [...shape];
  return Array.from({ length: rank }, (_, axis) => (places.has(axis) ? 1 : rest.shift()!));
}

function toSmall(value: Value | undefined): Small | undefined {
  if (value?.origin.kind !== "constant" || !isSmallType(value.type) || elementCount(value.shape) > largest)
    return undefined;
  const data = Array.from(value.origin.data.data as ArrayLike<number | bigint>, Number);
  return { type: value.type, shape: value.shape, data };
}

function isSmallType(type: DataType): boolean {
  return ["int64", "int32", "float32", "float64", "bool", "uint8"].includes(type);
}

function isFloat(type: DataType): boolean {
  return type === "float32" || type === "float64";
}

/** "To the end" is the largest int64, which a number only holds rounded up. */
function clampTo(type: DataType): (value: number) => number {
  if (type !== "int64") return (value) => value;
  return (value) =>
    Math.min(Number.MAX_SAFE_INTEGER, Math.max(Number.MIN_SAFE_INTEGER, Math.trunc(value) || 0));
}

function plain(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

function broadcast(a: Shape, b: Shape): number[] | undefined {
  const rank = Math.max(a.length, b.length);
  const sizes = Array.from({ length: rank }, (_, axis) => {
    const [left, right] = [a[axis - rank + a.length] ?? 1, b[axis - rank + b.length] ?? 1];
    return left === 1 ? right : right === 1 || left === right ? left : -1;
  });
  return sizes.includes(-1) ? undefined : sizes;
}

function stretch(x: Small, shape: Shape): number[] {
  const missing = shape.length - x.shape.length;
  return Array.from({ length: elementCount(shape) }, (_, index) => {
    const place = coordinates(index, shape).slice(missing);
    return x.data[
      offset(
        place.map((at, axis) => (x.shape[axis] === 1 ? 0 : at)),
        x.shape,
      )
    ];
  });
}

function pick(x: Small, axis: number, positions: readonly number[]): number[] {
  const inner = elementCount(x.shape.slice(axis + 1));
  const outer = elementCount(x.shape.slice(0, axis));
  return Array.from({ length: outer }, (_, row) =>
    positions.flatMap((at) => {
      const start = (row * x.shape[axis] + at) * inner;
      return x.data.slice(start, start + inner);
    }),
  ).flat();
}

function slicePositions(size: number, start: number, end: number, step: number): number[] {
  const bound = (value: number, low: number, high: number) =>
    Math.min(high, Math.max(low, value < 0 ? value + size : value));
  const [from, to] =
    step > 0
      ? [bound(start, 0, size), bound(end, 0, size)]
      : [bound(start, -1, size - 1), bound(end, -1, size - 1)];
  const count = Math.max(0, Math.ceil((to - from) / step)) || 0;
  return Array.from({ length: count }, (_, index) => from + index * step);
}

function coordinates(index: number, shape: Shape): number[] {
  const place: number[] = [];
  for (let axis = shape.length - 1, rest = index; axis >= 0; axis--) {
    place.unshift(rest % shape[axis]);
    rest = Math.floor(rest / shape[axis]);
  }
  return place;
}

function offset(place: readonly number[], shape: Shape): number {
  return place.reduce((sum, at, axis) => sum * shape[axis] + at, 0);
}
