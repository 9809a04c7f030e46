import { readOptions } from "../common/options.ts";
import { int64Vector } from "../graph/constants.ts";
import {
  type Attributes,
  describe,
  elementCount,
  type Shape,
  sameShape,
  type TensorType,
  type Value,
} from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { div, mul, sub } from "./arithmetic.ts";
import { equal, where } from "./comparison.ts";
import { cast } from "./elementwise.ts";
import { concat, expand, reshape, zeros } from "./movement.ts";
import {
  apply,
  defineOperator,
  type GradientContext,
  int,
  intAttribute,
  normalizeAxes,
  operatorError,
  requireConstant,
  stringAttribute,
} from "./operator.ts";
import { reduceSum } from "./reduction.ts";

// Taking elements that an integer tensor names, and putting them there. One is the other's gradient.

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

type Reduction = "none" | "add" | "mul" | "max" | "min";

defineOperator("ScatterElements", {
  since: 16,
  sinceOf: reductionOpset,
  infer: ([x, indices, updates], attributes) => {
    requireIndices("ScatterElements", x!, indices!, attributes);
    requireUpdates("ScatterElements", x!, updates!, indices!.shape);
    return [x!];
  },
  gradient: (context) => {
    const axis = intAttribute(context.attributes, "axis", 0);
    const indices = context.inputs[1];
    return scatterGradient(context, {
      gather: (from) => gatherElements(from, indices, axis),
      scatter: (into, updates, reduction) =>
        apply("ScatterElements", [into, indices, updates], {
          axis: int(axis),
          reduction: { string: reduction },
        })[0],
    });
  },
});

/** Adds each update to the element of `x` that `indices` names along `axis`; places named twice get both. */
export function scatterAdd(x: Value, indices: Value, updates: Value, axis: number): Value {
  return apply("ScatterElements", [x, indices, updates], {
    axis: int(axis),
    reduction: { string: "add" },
  })[0];
}

defineOperator("Gather", {
  since: 13,
  infer: ([x, indices], attributes) => {
    requireIntegers("Gather", x!, indices!);
    const [axis] = normalizeAxes("Gather", x!, [intAttribute(attributes, "axis", 0)]);
    return [{ type: x!.type, shape: x!.shape.toSpliced(axis, 1, ...indices!.shape) }];
  },
  // Rows of the first axis go back as rows; along another axis each element is named by itself.
  gradient: ({ inputs: [x, indices], attributes, gradient }) => {
    const [axis] = normalizeAxes("Gather", x, [intAttribute(attributes, "axis", 0)]);
    const taken = elementCount(indices.shape);
    const [before, after] = [x.shape.slice(0, axis), x.shape.slice(axis + 1)];
    if (axis === 0) {
      const rows = reshape(gradient, [taken, ...after]);
      return [
        scatterNd(zeros(x.graph, x.shape, x.type), cast(reshape(indices, [taken, 1]), "int64"), rows, "add"),
        undefined,
      ];
    }
    const shape = [elementCount(before), taken, elementCount(after)];
    const places = expand(reshape(indices, [1, taken, 1]), shape);
    const origin = zeros(x.graph, shape.with(1, x.shape[axis]), x.type);
    return [reshape(scatterAdd(origin, places, reshape(gradient, shape), 1), x.shape), undefined];
  },
});

/** The parts of `x` along an axis that `indices` (int32 or int64, any shape; negative from the end) names: an embedding with axis 0. */
export function gather(x: Value, indices: Value, axis = 0): Value {
  return apply("Gather", [x, indices], { axis: int(axis) })[0];
}

// indices [..., n]: each names the first n axes of x (after `batch_dims` that both have), the result has what is left.
defineOperator("GatherND", {
  since: 13,
  infer: ([x, indices], attributes) => {
    const batch = intAttribute(attributes, "batch_dims", 0);
    requirePoints("GatherND", x!, indices!, batch);
    const named = batch + indices!.shape.at(-1)!;
    return [{ type: x!.type, shape: [...indices!.shape.slice(0, -1), ...x!.shape.slice(named)] }];
  },
  gradient: ({ inputs: [x, indices], attributes, gradient }) => {
    const points = withBatch(indices, intAttribute(attributes, "batch_dims", 0));
    return [scatterNd(zeros(x.graph, x.shape, x.type), points, gradient, "add"), undefined];
  },
});

defineOperator("ScatterND", {
  since: 16,
  sinceOf: reductionOpset,
  infer: ([x, indices, updates]) => {
    requirePoints("ScatterND", x!, indices!, 0);
    const rest = x!.shape.slice(indices!.shape.at(-1)!);
    requireUpdates("ScatterND", x!, updates!, [...indices!.shape.slice(0, -1), ...rest]);
    return [x!];
  },
  gradient: (context) =>
    scatterGradient(context, {
      gather: (from) => apply("GatherND", [from, context.inputs[1]])[0],
      scatter: (into, updates, reduction) => scatterNd(into, context.inputs[1], updates, reduction),
    }),
});

function scatterNd(x: Value, indices: Value, updates: Value, reduction: Reduction): Value {
  return apply("ScatterND", [x, indices, updates], { reduction: { string: reduction } })[0];
}

/**
 * y = x with updates u put in, by a reduction:
 *   none  dx is dy with the places overwritten by 0, du what dy has there (places named twice are not defined)
 *   add   dx = dy, du = what dy has there
 *   mul   dx = dy·Πu, du = dy there times x and all other updates of the place
 *   max, min   the equal extremes of a place share dy evenly, as in PyTorch
 */
function scatterGradient(
  { inputs: [x, , updates], outputs: [y], attributes, gradient, wanted }: GradientContext,
  {
    gather: taken,
    scatter,
  }: {
    gather: (from: Value) => Value;
    scatter: (into: Value, updates: Value, reduction: Reduction) => Value;
  },
): (Value | undefined)[] {
  const zeroUpdates = () => zeros(x.graph, updates.shape, x.type);
  // y/u, and for the only 0 of a place the product without it, which is 0 where there is another one.
  const productOfOthers = () => {
    const isZero = equal(updates, 0);
    const filled = where(isZero, 1, updates);
    const zeroCount = taken(scatter(zeros(x.graph, x.shape, x.type), cast(isZero, x.type), "add"));
    const rest = where(equal(zeroCount, 1), taken(scatter(x, filled, "mul")), 0);
    return where(isZero, rest, div(taken(y), filled));
  };
  switch (stringAttribute(attributes, "reduction", "none")) {
    case "none":
      return [
        wanted[0] ? scatter(gradient, zeroUpdates(), "none") : undefined,
        undefined,
        wanted[2] ? taken(gradient) : undefined,
      ];
    case "add":
      return [gradient, undefined, wanted[2] ? taken(gradient) : undefined];
    case "mul": {
      const ones = expand(x.graph.scalar(1, x.type), x.shape);
      return [
        wanted[0] ? mul(gradient, scatter(ones, updates, "mul")) : undefined,
        undefined,
        wanted[2] ? mul(taken(gradient), productOfOthers()) : undefined,
      ];
    }
    default: {
      const [kept, put] = [equal(x, y), equal(updates, taken(y))];
      const share = div(gradient, scatter(cast(kept, x.type), cast(put, x.type), "add"));
      return [where(kept, share, 0), undefined, wanted[2] ? where(put, taken(share), 0) : undefined];
    }
  }
}

// y = off + (on − off)·h, with h the same of zeros and ones; `values` holds off and on.
defineOperator("OneHot", {
  since: 11,
  infer: ([indices, depth, values], attributes): TensorType[] => {
    const [count] = requireConstant("OneHot", values!, depth, "depth");
    const axis = intAttribute(attributes, "axis", -1);
    const place = axis < 0 ? axis + indices!.shape.length + 1 : axis;
    return [{ type: values!.type, shape: indices!.shape.toSpliced(place, 0, count) }];
  },
  gradient: ({ inputs: [indices, depth, values], attributes, gradient }) => {
    const bits = values.graph.constant(tensorData([0, 1], [2], values.type));
    const on = reduceSum(mul(gradient, apply("OneHot", [indices, depth, bits], attributes)[0]));
    const off = sub(reduceSum(gradient), on);
    return [undefined, undefined, concat([reshape(off, [1]), reshape(on, [1])], 0)];
  },
});

/** 1 at the class that each of `indices` names, 0 elsewhere; the classes are a new last axis. */
export function oneHot(indices: Value, classes: number, type: "float32" | "float64" = "float32"): Value {
  const { graph } = indices;
  const values = graph.constant(tensorData([0, 1], [2], type));
  return apply("OneHot", [indices, graph.scalar(classes, "int64"), values])[0];
}

// The second output says where each value stood; the gradient goes back there.
defineOperator("TopK", {
  since: 11,
  infer: ([x, count], attributes): TensorType[] => {
    const [axis] = normalizeAxes("TopK", x!, [intAttribute(attributes, "axis", -1)]);
    const [k] = requireConstant("TopK", x!, count, "k");
    if (k < 0 || k > x!.shape[axis]) {
      throw operatorError("TopK", x!, `${k} elements are more than axis ${axis} of ${describe(x!)} has`);
    }
    const shape = x!.shape.with(axis, k);
    return [
      { type: x!.type, shape },
      { type: "int64", shape },
    ];
  },
  gradient: ({ inputs: [x], outputs: [, indices], attributes, gradient }) => [
    gradient &&
      scatterAdd(zeros(x.graph, x.shape, x.type), indices, gradient, intAttribute(attributes, "axis", -1)),
    undefined,
  ],
});

/** The k largest (or smallest) elements along an axis, in order, and where they stood (int64). */
export function topK(x: Value, k: number, axis = -1, largest = true): { values: Value; indices: Value } {
  const attributes = { axis: int(axis), largest: int(largest ? 1 : 0) };
  const [values, indices] = apply("TopK", [x, int64Vector(x.graph, [k])], attributes);
  return { values, indices };
}

// Each sequence's first `length` elements turned around in time: its own inverse, and so its own gradient.
defineOperator("ReverseSequence", {
  since: 10,
  infer: ([x, lengths], attributes) => {
    const batch = intAttribute(attributes, "batch_axis", 1);
    if (lengths!.type !== "int64" || !sameShape(lengths!.shape, [x!.shape[batch]])) {
      throw operatorError(
        "ReverseSequence",
        x!,
        `lengths are ${describe(lengths!)}; ${describe(x!)} wants int64 [${x!.shape[batch]}], one for each of axis ${batch}`,
      );
    }
    return [x!];
  },
  gradient: ({ inputs: [, lengths], attributes, gradient }) => [
    apply("ReverseSequence", [gradient, lengths], attributes)[0],
    undefined,
  ],
});

/** The first `lengths` (int64, one for each of the batch) elements along the time axis in the opposite order; one axis is 0, the other 1. */
export function reverseSequence(
  x: Value,
  lengths: Value,
  options: { timeAxis?: number; batchAxis?: number } = {},
): Value {
  const kinds = { timeAxis: "number", batchAxis: "number" } as const;
  const { timeAxis = 0, batchAxis = 1 } = readOptions("reverseSequence", options, kinds);
  return apply("ReverseSequence", [x, lengths], { time_axis: int(timeAxis), batch_axis: int(batchAxis) })[0];
}

/** indices with the coordinates of the first `batch` axes put before each point. */
function withBatch(indices: Value, batch: number): Value {
  if (batch === 0) return indices;
  const shape = [...indices.shape.slice(0, -1), batch];
  const sizes = shape.slice(0, -1);
  const coordinates: number[] = [];
  for (let point = 0; point < elementCount(sizes); point++) {
    for (let axis = 0; axis < batch; axis++) {
      coordinates.push(Math.floor(point / elementCount(sizes.slice(axis + 1))) % sizes[axis]);
    }
  }
  return concat([indices.graph.constant(tensorData(coordinates, shape, "int64")), indices], shape.length - 1);
}

function reductionOpset(attributes: Attributes): number {
  return ["max", "min"].includes(stringAttribute(attributes, "reduction", "none")) ? 18 : 16;
}

function requireIntegers(operator: string, x: Value, indices: Value): void {
  if (indices.type !== "int64" && indices.type !== "int32") {
    throw operatorError(operator, x, `indices have to be int32 or int64, got ${describe(indices)}`);
  }
}

function requirePoints(operator: string, x: Value, indices: Value, batch: number): void {
  const named = batch + (indices.shape.at(-1) ?? Number.NaN);
  const fits =
    named <= x.shape.length &&
    batch < indices.shape.length &&
    sameShape(x.shape.slice(0, batch), indices.shape.slice(0, batch));
  if (!fits || indices.type !== "int64") {
    throw operatorError(
      operator,
      x,
      `indices ${describe(indices)} do not name places of ${describe(x)}; they have to be int64 [..., up to ${x.shape.length - batch}]${batch > 0 ? ` with the same first ${batch} axes` : ""}`,
    );
  }
}

function requireUpdates(operator: string, x: Value, updates: Value, shape: Shape): void {
  if (updates.type !== x.type || !sameShape(updates.shape, shape)) {
    throw operatorError(
      operator,
      x,
      `updates ${describe(updates)} do not match ${x.type} and the indices' [${shape.join(", ")}]`,
    );
  }
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
