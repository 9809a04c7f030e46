import { constantNumbers, int64Vector } from "../graph/constants.ts";
import {
  type Attributes,
  describe,
  elementCount,
  type Graph,
  type Shape,
  sameShape,
  type TensorType,
  type Value,
} from "../graph/graph.ts";
import type { DataType } from "../onnx/tensor.ts";
import { sumToShape } from "./arithmetic.ts";
import {
  apply,
  defineOperator,
  int,
  intAttribute,
  ints,
  intsAttribute,
  normalizeAxes,
  operatorError,
} from "./operator.ts";

// Operators that only move numbers. Each one's gradient moves them back: transpose by the inverse permutation,
// pad by cutting, cut by padding, gather by scattering.

defineOperator("Reshape", {
  since: 13,
  infer: ([x, shape]) => [{ type: x!.type, shape: constantNumbers(shape)! }],
  gradient: ({ inputs: [x], gradient }) => [reshape(gradient, x.shape), undefined],
});

/** The same numbers in row-major order under another shape. */
export function reshape(x: Value, shape: Shape): Value {
  if (sameShape(x.shape, shape)) return x;
  if (elementCount(x.shape) !== elementCount(shape)) {
    throw operatorError("Reshape", x, `${describe(x)} does not have the elements of [${shape.join(", ")}]`);
  }
  return apply("Reshape", [x, int64Vector(x.graph, shape)])[0];
}

defineOperator("Flatten", {
  since: 13,
  infer: ([x], attributes) => {
    const axis = intAttribute(attributes, "axis", 1);
    return [
      { type: x!.type, shape: [elementCount(x!.shape.slice(0, axis)), elementCount(x!.shape.slice(axis))] },
    ];
  },
  gradient: ({ inputs: [x], gradient }) => [reshape(gradient, x.shape)],
});

/** [N, …] to [N, everything else]. Unlike `reshape` it does not write the batch size into the graph. */
export function flatten(x: Value): Value {
  return x.shape.length === 2 ? x : apply("Flatten", [x], { axis: int(1) })[0];
}

defineOperator("Transpose", {
  since: 13,
  infer: ([x], attributes) => {
    const order = intsAttribute(attributes, "perm", reversed(x!));
    if (
      !sameShape(
        [...order].sort((a, b) => a - b),
        x!.shape.map((_, axis) => axis),
      )
    ) {
      throw operatorError(
        "Transpose",
        x!,
        `[${order.join(", ")}] is not an order of the axes of ${describe(x!)}`,
      );
    }
    return [{ type: x!.type, shape: order.map((axis) => x!.shape[axis]) }];
  },
  gradient: ({ inputs: [x], attributes, gradient }) => {
    const order = intsAttribute(attributes, "perm", reversed(x));
    return [
      transpose(
        gradient,
        order.map((_, axis) => order.indexOf(axis)),
      ),
    ];
  },
});

/** Axes in another order: axis `i` of the result is axis `order[i]` of `x`. */
export function transpose(x: Value, order: readonly number[]): Value {
  if (order.length === x.shape.length && order.every((axis, index) => axis === index)) return x;
  return apply("Transpose", [x], { perm: ints(order) })[0];
}

defineOperator("Expand", {
  since: 13,
  infer: ([x, shape]) => [{ type: x!.type, shape: constantNumbers(shape)! }],
  gradient: ({ inputs: [x], gradient }) => [sumToShape(gradient, x.shape), undefined],
});

/** Repeats axes of size 1, and adds axes in front, to reach a shape. */
export function expand(x: Value, shape: Shape): Value {
  if (sameShape(x.shape, shape)) return x;
  const offset = shape.length - x.shape.length;
  if (offset < 0 || x.shape.some((size, axis) => size !== 1 && size !== shape[axis + offset])) {
    throw operatorError("Expand", x, `${describe(x)} does not stretch to [${shape.join(", ")}]`);
  }
  return apply("Expand", [x, int64Vector(x.graph, shape)])[0];
}

/** A tensor of zeros that takes no room in the graph. */
export function zeros(graph: Graph, shape: Shape, type: DataType): Value {
  return expand(graph.scalar(0, type), shape);
}

defineOperator("Concat", {
  since: 13,
  infer: (inputs, attributes): TensorType[] => {
    const [first, ...others] = inputs as readonly Value[];
    const [axis] = normalizeAxes("Concat", first, [intAttribute(attributes, "axis", 0)]);
    for (const other of others) {
      const fits =
        other.type === first.type &&
        other.shape.length === first.shape.length &&
        other.shape.every((size, index) => index === axis || size === first.shape[index]);
      if (!fits) {
        throw operatorError(
          "Concat",
          first,
          `${describe(other)} does not join ${describe(first)} along axis ${axis}`,
        );
      }
    }
    const total = (inputs as readonly Value[]).reduce((sum, input) => sum + input.shape[axis], 0);
    return [{ type: first.type, shape: first.shape.map((size, index) => (index === axis ? total : size)) }];
  },
  gradient: ({ inputs, attributes, gradient }) => {
    const [axis] = normalizeAxes("Concat", inputs[0], [intAttribute(attributes, "axis", 0)]);
    let start = 0;
    return inputs.map((input) => {
      const part = slice(gradient, { axes: [axis], starts: [start], ends: [start + input.shape[axis]] });
      start += input.shape[axis];
      return part;
    });
  },
});

/** Joins tensors along an axis they may differ in. */
export function concat(values: readonly Value[], axis: number): Value {
  return values.length === 1 ? values[0] : apply("Concat", values, { axis: int(axis) })[0];
}

defineOperator("Pad", {
  since: 13,
  infer: ([x, pads]) => [{ type: x!.type, shape: paddedShape(x!, constantNumbers(pads)!) }],
  // Cutting is padding by negative amounts.
  gradient: ({ inputs: [x, pads], gradient }) => {
    const amounts = constantNumbers(pads)!.map((amount) => -amount);
    const rank = x.shape.length;
    return [pad(gradient, amounts.slice(0, rank), amounts.slice(rank)), undefined];
  },
});

/** Adds zeros before and after each axis; a negative amount cuts instead. */
export function pad(x: Value, before: readonly number[], after: readonly number[]): Value {
  const amounts = [...before, ...after];
  if (before.length !== x.shape.length || after.length !== x.shape.length) {
    throw operatorError("Pad", x, `${describe(x)} needs an amount before and after each of its axes`);
  }
  if (amounts.every((amount) => amount === 0)) return x;
  if (paddedShape(x, amounts).some((size) => size < 0)) {
    throw operatorError("Pad", x, `[${amounts.join(", ")}] cuts more than there is in ${describe(x)}`);
  }
  return apply("Pad", [x, int64Vector(x.graph, amounts), undefined])[0];
}

export interface SliceRange {
  starts: readonly number[];
  ends: readonly number[];
  axes?: readonly number[];
  /** Positive; 1 when left out. */
  steps?: readonly number[];
}

defineOperator("Slice", {
  since: 13,
  infer: ([x, starts, ends, axes, steps]) => {
    const [from, to, along, by] = [starts, ends, axes, steps].map((value) => constantNumbers(value)!);
    const shape = [...x!.shape];
    for (const [index, axis] of along.entries()) {
      // Going backward, everything below −size means "past the first element".
      const end = by[index] < 0 && to[index] < -shape[axis] ? -1 : to[index];
      shape[axis] = Math.max(0, Math.ceil((end - from[index]) / by[index]));
    }
    return [{ type: x!.type, shape }];
  },
  // The kept numbers go back to their places: zeros between them (steps), then before and after.
  gradient: ({ inputs: [x, starts, ends, axes, steps], gradient }) => {
    const [from, , along, by] = [starts, ends, axes, steps].map((value) => constantNumbers(value)!);
    if (by[0] < 0) return [reverse(gradient, along)];
    const strides = x.shape.map(() => 1);
    for (const [index, axis] of along.entries()) strides[axis] = by[index];
    const spread = insertZeros(gradient, strides);
    const before = x.shape.map(() => 0);
    for (const [index, axis] of along.entries()) before[axis] = from[index];
    const after = x.shape.map((size, axis) => size - before[axis] - spread.shape[axis]);
    return [pad(spread, before, after)];
  },
});

/** The part of a tensor from `starts` up to `ends` (not included; negative counts from the end) by `steps`. */
export function slice(x: Value, range: SliceRange): Value {
  const axes = range.axes ?? range.starts.map((_, axis) => axis);
  const steps = range.steps ?? axes.map(() => 1);
  if (steps.some((step) => !Number.isInteger(step) || step < 1)) {
    throw operatorError("Slice", x, `steps have to be positive whole numbers, got [${steps.join(", ")}]`);
  }
  if ([range.starts, range.ends, steps].some(({ length }) => length !== axes.length)) {
    throw operatorError("Slice", x, `starts, ends and steps need one number for each of ${axes.length} axes`);
  }
  normalizeAxes("Slice", x, axes);
  const plain = axes.map((axis) => normalizeAxes("Slice", x, [axis])[0]);
  const bound = (value: number, size: number) =>
    Math.min(size, Math.max(0, value < 0 ? value + size : value));
  const starts = range.starts.map((start, index) => bound(start, x.shape[plain[index]]));
  const ends = range.ends.map((end, index) => bound(end, x.shape[plain[index]]));
  if (
    plain.every((axis, index) => starts[index] === 0 && ends[index] === x.shape[axis] && steps[index] === 1)
  ) {
    return x;
  }
  const vectors = [starts, ends, plain, steps].map((values) => int64Vector(x.graph, values));
  return apply("Slice", [x, ...vectors])[0];
}

/** Elements along each of the axes in the opposite order. */
export function reverse(x: Value, axes: readonly number[]): Value {
  const starts = axes.map((axis) => x.shape[axis] - 1);
  const ends = axes.map((axis) => -x.shape[axis] - 1);
  const vectors = [starts, ends, axes, axes.map(() => -1)].map((values) => int64Vector(x.graph, values));
  return apply("Slice", [x, ...vectors])[0];
}

/**
 * Puts `strides[axis] − 1` zeros between neighbours along each axis: size n becomes (n − 1)·stride + 1.
 * Each axis n is viewed as [n, 1], padded to [n, stride], and flattened again.
 */
export function insertZeros(x: Value, strides: readonly number[]): Value {
  if (strides.every((stride) => stride === 1)) return x;
  const split = x.shape.flatMap((size) => [size, 1]);
  const amounts = strides.flatMap((stride) => [0, stride - 1]);
  const spread = pad(
    reshape(x, split),
    split.map(() => 0),
    amounts,
  );
  const merged = reshape(
    spread,
    x.shape.map((size, axis) => size * strides[axis]),
  );
  return slice(merged, {
    starts: x.shape.map(() => 0),
    ends: x.shape.map((size, axis) => Math.max(0, (size - 1) * strides[axis] + 1)),
  });
}

defineOperator("GatherElements", {
  since: 13,
  infer: ([x, indices], attributes) => {
    requireIndices("GatherElements", x!, indices!, attributes);
    return [{ type: x!.type, shape: indices!.shape }];
  },
  gradient: ({ inputs: [x, indices], attributes, gradient }) => [
    scatterAdd(zeros(x.graph, x.shape, x.type), indices, gradient, intAttribute(attributes, "axis", 0)),
    undefined,
  ],
});

/** Takes from `x` along `axis` the element that `indices` (int64, the shape of the result) names at each place. */
export function gatherElements(x: Value, indices: Value, axis: number): Value {
  return apply("GatherElements", [x, indices], { axis: int(axis) })[0];
}

defineOperator("ScatterElements", {
  since: 16,
  infer: ([x, indices, updates], attributes) => {
    requireIndices("ScatterElements", x!, indices!, attributes);
    if (updates!.type !== x!.type || !sameShape(updates!.shape, indices!.shape)) {
      throw operatorError(
        "ScatterElements",
        x!,
        `updates ${describe(updates!)} do not match ${x!.type} and the indices' [${indices!.shape.join(", ")}]`,
      );
    }
    return [x!];
  },
  gradient: ({ inputs: [, indices], attributes, gradient }) => [
    gradient,
    undefined,
    gatherElements(gradient, indices, intAttribute(attributes, "axis", 0)),
  ],
});

/** Adds each update to the element of `x` that `indices` names along `axis`; places named twice get both. */
export function scatterAdd(x: Value, indices: Value, updates: Value, axis: number): Value {
  return apply("ScatterElements", [x, indices, updates], {
    axis: int(axis),
    reduction: { string: "add" },
  })[0];
}

function requireIndices(operator: string, x: Value, indices: Value, attributes: Attributes): void {
  const [axis] = normalizeAxes(operator, x, [intAttribute(attributes, "axis", 0)]);
  const fits =
    indices.shape.length === x.shape.length &&
    indices.shape.every((size, index) => index === axis || size <= x.shape[index]);
  if (!fits || (indices.type !== "int64" && indices.type !== "int32")) {
    throw operatorError(
      operator,
      x,
      `indices ${describe(indices)} do not fit ${describe(x)} along axis ${axis}; they have to be int32 or int64 with as many axes and no larger ones`,
    );
  }
}

function paddedShape(x: Value, amounts: readonly number[]): Shape {
  return x.shape.map((size, axis) => size + amounts[axis] + amounts[axis + x.shape.length]);
}

function reversed(x: Value): number[] {
  return x.shape.map((_, axis) => x.shape.length - 1 - axis);
}
