import { int64Vector } from "../graph/constants.ts";
import {
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
  broadcastShape,
  defineOperator,
  int,
  intAttribute,
  ints,
  intsAttribute,
  normalizeAxes,
  operatorError,
  requireConstant,
} from "./operator.ts";
import { slice } from "./slicing.ts";

// Operators that only move numbers. Each one's gradient moves them back: transpose by the inverse permutation,
// expand by summing, concat by slicing.

defineOperator("Reshape", {
  since: 13,
  sinceOf: (attributes) => (attributes.allowzero ? 14 : 13),
  infer: ([x, shape], attributes) => {
    const asked = requireConstant("Reshape", x!, shape, "sizes");
    const keepsZeros = intAttribute(attributes, "allowzero", 0) === 1;
    const filled = asked.map((size, axis) => (size === 0 && !keepsZeros ? x!.shape[axis] : size));
    const known = elementCount(filled.filter((size) => size !== -1));
    const complete = filled.map((size) => (size === -1 ? elementCount(x!.shape) / known : size));
    if (
      elementCount(complete) !== elementCount(x!.shape) ||
      complete.some((size) => !Number.isInteger(size))
    ) {
      throw operatorError(
        "Reshape",
        x!,
        `${describe(x!)} does not have the elements of [${asked.join(", ")}]`,
      );
    }
    return [{ type: x!.type, shape: complete }];
  },
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
    const given = intAttribute(attributes, "axis", 1);
    const axis = given < 0 ? given + x!.shape.length : given;
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
  infer: ([x, sizes]) => {
    const shape = requireConstant("Expand", x!, sizes, "sizes");
    return [{ type: x!.type, shape: broadcastShape("Expand", x!, { ...x!, shape }) }];
  },
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

function reversed(x: Value): number[] {
  return x.shape.map((_, axis) => x.shape.length - 1 - axis);
}
