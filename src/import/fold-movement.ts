import { type Attributes, elementCount, type Shape } from "../graph/graph.ts";
import { equalParts } from "../ops/layout.ts";
import { intAttribute, intsAttribute } from "../ops/operator.ts";
import type { Evaluator } from "./evaluator.ts";
import {
  broadcastShapes,
  frontAxes,
  frontAxis,
  indexOf,
  isSmall,
  numbersOf,
  placeOf,
  type SmallTensor,
  stretched,
} from "./small-tensor.ts";

// Operators that take elements to other places. None computes a number, so they are the same for every type.

/** The same elements in the same order, in the shape that `change` makes of x, the other inputs and the attributes. */
const reshaping = (
  inputs: Evaluator["inputs"],
  attributes: readonly string[],
  change: (
    shape: Shape,
    given: readonly number[] | undefined,
    attributes: Attributes,
  ) => readonly number[] | undefined,
): Evaluator => ({
  inputs,
  attributes,
  evaluate: ([x, given], attributes) => {
    const shape = change(x.shape, given && numbersOf(given), attributes);
    return shape && [{ ...x, shape }];
  },
});

export const movementEvaluators: Readonly<Record<string, Evaluator>> = {
  Identity: reshaping([1, 1], [], (shape) => shape),
  Reshape: reshaping([2, 2], ["allowzero"], (shape, target = [], attributes) =>
    reshapedTo(shape, target, intAttribute(attributes, "allowzero", 0) === 1),
  ),
  Flatten: reshaping([1, 1], ["axis"], (shape, _, attributes) => {
    const given = intAttribute(attributes, "axis", 1);
    const axis = given === shape.length ? given : frontAxis(given, shape.length);
    return axis === undefined
      ? undefined
      : [elementCount(shape.slice(0, axis)), elementCount(shape.slice(axis))];
  }),
  Squeeze: reshaping([1, 2], [], (shape, given) => {
    if (!given?.length) return shape.filter((size) => size !== 1);
    const axes = frontAxes(given, shape.length);
    return axes?.every((axis) => shape[axis] === 1)
      ? shape.filter((_, axis) => !axes.includes(axis))
      : undefined;
  }),
  Unsqueeze: reshaping([2, 2], [], (shape, given = []) => {
    const rank = shape.length + given.length;
    const axes = frontAxes(given, rank);
    const rest = shape.values();
    return (
      axes && Array.from({ length: rank }, (_, axis) => (axes.includes(axis) ? 1 : (rest.next().value ?? 1)))
    );
  }),
  Transpose: {
    inputs: [1, 1],
    attributes: ["perm"],
    evaluate: ([x], attributes) => {
      const backward = x.shape.map((_, axis) => x.shape.length - 1 - axis);
      const order = intsAttribute(attributes, "perm", backward);
      if (order.length !== x.shape.length || !frontAxes(order, x.shape.length)) return undefined;
      const shape = order.map((axis) => x.shape[axis]);
      const data = x.data.map((_, index) => {
        const place = placeOf(index, shape);
        return x.data[
          indexOf(
            x.shape.map((_, axis) => place[order.indexOf(axis)]),
            x.shape,
          )
        ];
      });
      return [{ type: x.type, shape, data }];
    },
  },
  Expand: {
    inputs: [2, 2],
    attributes: [],
    evaluate: ([x, target]) => {
      const wanted = numbersOf(target);
      const shape = wanted.every((size) => size >= 0) ? broadcastShapes([x.shape, wanted]) : undefined;
      return shape && [{ type: x.type, shape, data: stretched(x, shape) }];
    },
  },
  Tile: {
    inputs: [2, 2],
    attributes: [],
    evaluate: ([x, repeats]) => {
      const times = numbersOf(repeats);
      const shape = x.shape.map((size, axis) => size * times[axis]);
      if (times.length !== shape.length || times.some((count) => count < 0) || !isSmall(shape))
        return undefined;
      const data = Array.from({ length: elementCount(shape) }, (_, index) => {
        const place = placeOf(index, shape).map((at, axis) => at % x.shape[axis]);
        return x.data[indexOf(place, x.shape)];
      });
      return [{ type: x.type, shape, data }];
    },
  },
  Concat: {
    inputs: [1, Number.POSITIVE_INFINITY],
    attributes: ["axis"],
    evaluate: (inputs, attributes) => {
      const [first] = inputs;
      const axis = frontAxis(intAttribute(attributes, "axis", Number.NaN), first.shape.length);
      if (axis === undefined || inputs.some((input) => !input || input.type !== first.type)) return undefined;
      const apart = (shape: Shape) => shape.with(axis, 0).join();
      if (
        inputs.some(({ shape }) => shape.length !== first.shape.length || apart(shape) !== apart(first.shape))
      )
        return undefined;
      const shape = first.shape.with(
        axis,
        inputs.reduce((sum, input) => sum + input.shape[axis], 0),
      );
      if (!isSmall(shape)) return undefined;
      const data = Array.from({ length: elementCount(shape.slice(0, axis)) }, (_, row) =>
        inputs.flatMap((input) => {
          const width = elementCount(input.shape.slice(axis));
          return input.data.slice(row * width, (row + 1) * width);
        }),
      ).flat();
      return [{ type: first.type, shape, data }];
    },
  },
  Gather: {
    inputs: [2, 2],
    attributes: ["axis"],
    evaluate: ([x, indices], attributes) => {
      const axis = frontAxis(intAttribute(attributes, "axis", 0), x.shape.length);
      if (axis === undefined) return undefined;
      const positions = numbersOf(indices).map((index) => frontAxis(index, x.shape[axis]));
      if (positions.includes(undefined)) return undefined;
      const shape = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
      return isSmall(shape) ? [{ ...taken(x, axis, positions as number[]), shape }] : undefined;
    },
  },
  Slice: {
    inputs: [3, 5],
    attributes: [],
    evaluate: ([x, starts, ends, axes, steps]) => {
      const [from, to] = [starts, ends].map(numbersOf);
      const along = frontAxes(axes ? numbersOf(axes) : from.map((_, axis) => axis), x.shape.length);
      const by = steps ? numbersOf(steps) : from.map(() => 1);
      if (!along || [from, to, by].some(({ length }) => length !== along.length) || by.includes(0))
        return undefined;
      const part = along.reduce(
        (rest, axis, index) =>
          taken(rest, axis, slicePositions(x.shape[axis], from[index], to[index], by[index])),
        x,
      );
      return [part];
    },
  },
  Split: {
    inputs: [1, 2],
    attributes: ["axis", "num_outputs"],
    evaluate: ([x, sizes], attributes) => {
      const axis = frontAxis(intAttribute(attributes, "axis", 0), x.shape.length);
      const count = intAttribute(attributes, "num_outputs", 0);
      if (axis === undefined || Boolean(sizes) === count > 0) return undefined;
      const size = x.shape[axis];
      if (!sizes && count > size) return undefined;
      const parts = sizes ? numbersOf(sizes) : equalParts(size, count);
      if (parts.some((part) => part < 0) || parts.reduce((sum, part) => sum + part, 0) !== size)
        return undefined;
      let start = 0;
      return parts.map((part) => {
        const positions = Array.from({ length: part }, (_, at) => start + at);
        start += part;
        return taken(x, axis, positions);
      });
    },
  },
};

/** The elements at some positions of an axis. */
function taken(x: SmallTensor, axis: number, positions: readonly number[]): SmallTensor {
  const inner = elementCount(x.shape.slice(axis + 1));
  const data = Array.from({ length: elementCount(x.shape.slice(0, axis)) }, (_, row) =>
    positions.flatMap((at) => {
      const start = (row * x.shape[axis] + at) * inner;
      return x.data.slice(start, start + inner);
    }),
  ).flat();
  return { type: x.type, shape: x.shape.with(axis, positions.length), data };
}

/** The shape that Reshape's input asks for: 0 copies a size, −1 is what remains. Undefined if it does not fit. */
function reshapedTo(shape: Shape, target: readonly number[], allowZero: boolean): number[] | undefined {
  const sizes = target.map((size, axis) => (size === 0 && !allowZero ? shape[axis] : size));
  const known = elementCount(sizes.filter((size) => size !== -1));
  const filled = sizes.map((size) => (size === -1 ? elementCount(shape) / known : size));
  const fits =
    sizes.filter((size) => size === -1).length <= 1 &&
    filled.every((size) => Number.isInteger(size) && size >= 0) &&
    elementCount(filled) === elementCount(shape);
  return fits ? filled : undefined;
}

function slicePositions(size: number, start: number, end: number, step: number): number[] {
  if (size === 0) return [];
  const bound = (value: number, low: number, high: number) =>
    Math.min(high, Math.max(low, value < 0 ? value + size : value));
  const [from, to] =
    step > 0
      ? [bound(start, 0, size), bound(end, 0, size)]
      : [bound(start, 0, size - 1), bound(end, -1, size - 1)];
  const count = Math.max(0, Math.ceil((to - from) / step));
  return Array.from({ length: count }, (_, index) => from + index * step);
}
