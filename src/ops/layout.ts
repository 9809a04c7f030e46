import { int64Vector } from "../graph/constants.ts";
import { type Attributes, describe, type TensorType, type Value } from "../graph/graph.ts";
import { mul } from "./arithmetic.ts";
import { concat, expand, reshape, transpose, zeros } from "./movement.ts";
import {
  apply,
  composeOperator,
  defineOperator,
  int,
  intAttribute,
  normalizeAxes,
  operatorError,
  requireAtMost,
  requireConstant,
  stringAttribute,
} from "./operator.ts";
import { reduceSum } from "./reduction.ts";
import { slice } from "./slicing.ts";

// Axes dropped, added, split and repeated; triangles and running sums; blocks of channels as places and back.

defineOperator("Squeeze", {
  since: 13,
  infer: ([x, axes]): TensorType[] => {
    // No axes are all of size 1, whether the input is left out or empty.
    const asked = axes ? requireConstant("Squeeze", x!, axes, "axes") : [];
    const named =
      asked.length > 0
        ? normalizeAxes("Squeeze", x!, asked)
        : x!.shape.flatMap((size, axis) => (size === 1 ? [axis] : []));
    for (const axis of named) {
      if (x!.shape[axis] !== 1) {
        throw operatorError("Squeeze", x!, `axis ${axis} of ${describe(x!)} is not of size 1`);
      }
    }
    return [{ type: x!.type, shape: x!.shape.filter((_, axis) => !named.includes(axis)) }];
  },
  gradient: ({ inputs: [x], gradient }) => [reshape(gradient, x.shape), undefined],
});

defineOperator("Unsqueeze", {
  since: 13,
  infer: ([x, axes]): TensorType[] => {
    const asked = requireConstant("Unsqueeze", x!, axes, "axes");
    const shape = new Array<number>(x!.shape.length + asked.length).fill(1);
    const added = normalizeAxes("Unsqueeze", { ...x!, shape }, asked);
    let next = 0;
    return [
      { type: x!.type, shape: shape.map((one, axis) => (added.includes(axis) ? one : x!.shape[next++])) },
    ];
  },
  gradient: ({ inputs: [x], gradient }) => [reshape(gradient, x.shape), undefined],
});

// Parts of given sizes, or `num_outputs` equal ones of which the last may be smaller.
defineOperator("Split", {
  since: 18,
  infer: ([x, sizes], attributes): TensorType[] => {
    const [axis] = normalizeAxes("Split", x!, [intAttribute(attributes, "axis", 0)]);
    const count = intAttribute(attributes, "num_outputs", 0);
    if (!sizes) requireAtMost("Split", x!, count, "outputs", 2 ** 16);
    const parts = sizes ? requireConstant("Split", x!, sizes, "sizes") : equalParts(x!.shape[axis], count);
    if (parts.length === 0 || parts.reduce((sum, size) => sum + size, 0) !== x!.shape[axis]) {
      throw operatorError(
        "Split",
        x!,
        `parts of [${parts.join(", ")}] do not make up axis ${axis} of ${describe(x!)}`,
      );
    }
    return parts.map((size) => ({ type: x!.type, shape: x!.shape.with(axis, size) }));
  },
  gradient: ({ inputs: [x], outputs, attributes, gradients }) => {
    const [axis] = normalizeAxes("Split", x, [intAttribute(attributes, "axis", 0)]);
    const parts = outputs.map((part, index) => gradients[index] ?? zeros(x.graph, part.shape, part.type));
    return [concat(parts, axis), undefined];
  },
});

/** The sizes of parts that are equal, but for the last ones, which get what is left. */
export function equalParts(size: number, count: number): number[] {
  const each = Math.ceil(size / count);
  return Array.from({ length: count }, (_, index) => Math.max(0, Math.min(each, size - index * each)));
}

/** Parts of the given sizes along an axis, which they make up. */
export function split(x: Value, sizes: readonly number[], axis: number): readonly Value[] {
  return apply("Split", [x, int64Vector(x.graph, sizes)], { axis: int(axis) });
}

// Each axis n repeated r times is [r, n]: the gradient is summed over every r.
defineOperator("Tile", {
  since: 13,
  infer: ([x, repeats]): TensorType[] => {
    const times = requireConstant("Tile", x!, repeats, "repeats");
    if (times.length !== x!.shape.length) {
      throw operatorError("Tile", x!, `${describe(x!)} needs one repeat per axis, got [${times.join(", ")}]`);
    }
    return [{ type: x!.type, shape: x!.shape.map((size, axis) => size * times[axis]) }];
  },
  gradient: ({ inputs: [x, repeats], gradient }) => {
    const times = requireConstant("Tile", x, repeats, "repeats");
    if (times.length === 0) return [gradient, undefined];
    const apart = reshape(
      gradient,
      x.shape.flatMap((size, axis) => [times[axis], size]),
    );
    const sums = reduceSum(
      apart,
      x.shape.map((_, axis) => 2 * axis),
    );
    return [sums, undefined];
  },
});

/** The whole tensor repeated along each axis. */
export function tile(x: Value, repeats: readonly number[]): Value {
  return apply("Tile", [x, int64Vector(x.graph, repeats)])[0];
}

defineOperator("Trilu", {
  since: 14,
  infer: ([x]): TensorType[] => {
    if (x!.shape.length < 2) throw operatorError("Trilu", x!, `${describe(x!)} is no matrix`);
    return [x!];
  },
  gradient: ({ inputs: [, diagonal], attributes, gradient }) => [
    apply("Trilu", [gradient, diagonal], attributes)[0],
    undefined,
  ],
});

/** The part of the last two axes on and above a diagonal (0: the main one), or on and below; zeros elsewhere. */
export function triangle(x: Value, side: "upper" | "lower", diagonal = 0): Value {
  return apply("Trilu", [x, x.graph.scalar(diagonal, "int64")], { upper: int(side === "upper" ? 1 : 0) })[0];
}

// A sum of what stands before gives its gradient to what stands after: the same sum the other way around.
defineOperator("CumSum", {
  since: 14,
  infer: ([x]): TensorType[] => [x!],
  gradient: ({ inputs: [, axis], attributes, gradient }) => {
    const turned = { ...attributes, reverse: int(1 - intAttribute(attributes, "reverse", 0)) };
    return [apply("CumSum", [gradient, axis], turned)[0], undefined];
  },
});

/** Sums of everything up to each place of an axis. */
export function cumulativeSum(x: Value, axis: number): Value {
  return apply("CumSum", [x, x.graph.scalar(normalizeAxes("CumSum", x, [axis])[0], "int64")])[0];
}

/** Products of everything up to each place of an axis (after it, if `reverse`), without its own element if `exclusive`. */
export function cumulativeProduct(
  x: Value,
  axis: number,
  { exclusive = false, reverse = false }: { exclusive?: boolean; reverse?: boolean } = {},
): Value {
  const settings = { exclusive: int(exclusive ? 1 : 0), reverse: int(reverse ? 1 : 0) };
  return apply("CumProd", [x, x.graph.scalar(axis, "int64")], settings)[0];
}

// Products of a range of places from those of its two halves: with each step the ranges are twice as long.
composeOperator("CumProd", {
  since: 26,
  build: ([x, axisInput], attributes) => {
    const [given] = requireConstant("CumProd", x!, axisInput, "axis");
    const [axis] = normalizeAxes("CumProd", x!, [given]);
    const backward = intAttribute(attributes, "reverse", 0) === 1;
    const ones = (count: number) => expand(x!.graph.scalar(1, x!.type), x!.shape.with(axis, count));
    const moved = (value: Value, by: number) => {
      const size = value.shape[axis];
      const count = Math.min(by, size);
      const [start, end] = backward ? [count, size] : [0, size - count];
      const rest = slice(value, { axes: [axis], starts: [start], ends: [end] });
      return concat(backward ? [rest, ones(count)] : [ones(count), rest], axis);
    };
    let y = x!;
    for (let length = 1; length < x!.shape[axis]; length *= 2) y = mul(y, moved(y, length));
    return [intAttribute(attributes, "exclusive", 0) === 1 ? moved(y, 1) : y];
  },
});

// With blocks of b × b, channels are depth-column-row, [N, b, b, C, H, W], or column-row-depth, [N, C, b, b, H, W].
defineOperator("DepthToSpace", {
  since: 13,
  infer: ([x], attributes): TensorType[] => {
    const block = intAttribute(attributes, "blocksize", 1);
    const [count, channels, height, width] = requireImages("DepthToSpace", x!);
    if (channels % block ** 2 !== 0) {
      throw operatorError(
        "DepthToSpace",
        x!,
        `${channels} channels do not divide into ${block}×${block} blocks`,
      );
    }
    return [{ type: x!.type, shape: [count, channels / block ** 2, height * block, width * block] }];
  },
  gradient: ({ attributes, gradient }) => {
    return [spaceToDepth(gradient, intAttribute(attributes, "blocksize", 1), blockOrder(attributes))];
  },
});

defineOperator("SpaceToDepth", {
  since: 13,
  infer: ([x], attributes): TensorType[] => {
    const block = intAttribute(attributes, "blocksize", 1);
    const [count, channels, height, width] = requireImages("SpaceToDepth", x!);
    if (height % block !== 0 || width % block !== 0) {
      throw operatorError(
        "SpaceToDepth",
        x!,
        `${describe(x!)} does not divide into ${block}×${block} blocks`,
      );
    }
    return [{ type: x!.type, shape: [count, channels * block ** 2, height / block, width / block] }];
  },
  gradient: ({ attributes, gradient }) => [
    depthToSpace(gradient, intAttribute(attributes, "blocksize", 1), blockOrder(attributes)),
  ],
});

/** What SpaceToDepth computes, without its kernel. */
export function plainSpaceToDepth(x: Value, attributes: Attributes): Value {
  const b = intAttribute(attributes, "blocksize", 1);
  const [count, channels, height, width] = x.shape;
  const apart = reshape(x, [count, channels, height / b, b, width / b, b]);
  const order = blockOrder(attributes) === "CRD" ? [0, 1, 3, 5, 2, 4] : [0, 3, 5, 1, 2, 4];
  return reshape(transpose(apart, order), [count, channels * b ** 2, height / b, width / b]);
}

/** What DepthToSpace computes, without its kernel. */
export function plainDepthToSpace(x: Value, attributes: Attributes): Value {
  const b = intAttribute(attributes, "blocksize", 1);
  const [count, channels, height, width] = x.shape;
  const columnRow = blockOrder(attributes) === "CRD";
  const depth = channels / b ** 2;
  const apart = columnRow ? [count, depth, b, b, height, width] : [count, b, b, depth, height, width];
  const order = columnRow ? [0, 1, 4, 2, 5, 3] : [0, 3, 4, 1, 5, 2];
  return reshape(transpose(reshape(x, apart), order), [count, depth, height * b, width * b]);
}

function blockOrder(attributes: Attributes): "DCR" | "CRD" {
  return stringAttribute(attributes, "mode", "DCR") === "CRD" ? "CRD" : "DCR";
}

/** [N, C·b², H, W] to [N, C, H·b, W·b]. `"CRD"` is PyTorch's `pixel_shuffle`. */
export function depthToSpace(x: Value, block: number, mode: "DCR" | "CRD" = "CRD"): Value {
  return apply("DepthToSpace", [x], { blocksize: int(block), mode: { string: mode } })[0];
}

/** [N, C, H·b, W·b] to [N, C·b², H, W]. `"CRD"` is PyTorch's `pixel_unshuffle`. */
export function spaceToDepth(x: Value, block: number, mode: "DCR" | "CRD" = "DCR"): Value {
  return apply("SpaceToDepth", [x], {
    blocksize: int(block),
    ...(mode === "CRD" ? { mode: { string: mode } } : {}),
  })[0];
}

function requireImages(operator: string, x: Value): readonly number[] {
  if (x.shape.length !== 4) throw operatorError(operator, x, `${describe(x)} is not [N, C, H, W]`);
  return x.shape;
}
