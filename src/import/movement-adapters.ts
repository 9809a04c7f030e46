import { elementCount, type Value } from "../graph/graph.ts";
import { concat, expand, reshape } from "../ops/movement.ts";
import { broadcastShape, int, intAttribute, normalizeAxes, stringAttribute } from "../ops/operator.ts";
import { pad } from "../ops/padding.ts";
import { reverse, slice } from "../ops/slicing.ts";
import type { Adapter } from "./adapter.ts";
import { reshaped, withOnes } from "./fold.ts";

// Operators that only move numbers, in the form that src/ops builds: axes counted from the front, sizes filled in.

const reshapeTo: Adapter = (node) => {
  const x = node.input(0);
  const target = node.numbers(1, "sizes") ?? [];
  const shape = reshaped(x.shape, target, intAttribute(node.attributes, "allowzero", 0) === 1);
  if (!shape)
    throw node.error(`[${x.shape.join(", ")}] does not have the elements of [${target.join(", ")}]`);
  return [reshape(x, shape)];
};

const flattenFrom: Adapter = (node) => {
  const x = node.input(0);
  const given = intAttribute(node.attributes, "axis", 1);
  const axis = given < 0 ? given + x.shape.length : given;
  if (axis === 1) return node.build([x], { axis: int(1) });
  return [reshape(x, [elementCount(x.shape.slice(0, axis)), elementCount(x.shape.slice(axis))])];
};

const squeeze: Adapter = (node) => {
  const x = node.input(0);
  const given = node.numbers(1, "axes");
  const axes = given
    ? normalizeAxes("Squeeze", x, given)
    : x.shape.flatMap((size, axis) => (size === 1 ? [axis] : []));
  return [
    reshape(
      x,
      x.shape.filter((_, axis) => !axes.includes(axis)),
    ),
  ];
};

const unsqueeze: Adapter = (node) => {
  const x = node.input(0);
  const axes = node.numbers(1, "axes") ?? [];
  const shape = withOnes(x.shape, axes);
  if (!shape) throw node.error(`axes [${axes.join(", ")}] do not fit [${x.shape.join(", ")}]`);
  return [reshape(x, shape)];
};

const expandTo: Adapter = (node) => {
  const x = node.input(0);
  const target = node.numbers(1, "sizes") ?? [];
  return [expand(x, broadcastShape("Expand", x, { ...x, shape: target }))];
};

const sliceParts: Adapter = (node) => {
  const x = node.input(0);
  const [starts, ends] = [node.numbers(1, "starts") ?? [], node.numbers(2, "ends") ?? []];
  const given = node.numbers(3, "axes") ?? starts.map((_, axis) => axis);
  const axes = given.map((axis) => normalizeAxes("Slice", x, [axis])[0]);
  const steps = node.numbers(4, "steps") ?? axes.map(() => 1);
  // Backward is forward in the mirror: element i of n stands at n − 1 − i there.
  const backward = axes.filter((_, index) => steps[index] < 0);
  const mirror = (index: number, bound: number) => {
    const size = x.shape[axes[index]];
    const place = Math.max(-1, Math.min(size - 1, bound < 0 ? bound + size : bound));
    return steps[index] < 0 ? size - 1 - place : bound;
  };
  return [
    slice(backward.length > 0 ? reverse(x, backward) : x, {
      axes,
      starts: starts.map((start, index) => mirror(index, start)),
      ends: ends.map((end, index) => mirror(index, end)),
      steps: steps.map(Math.abs),
    }),
  ];
};

const splitParts: Adapter = (node) => {
  const x = node.input(0);
  const [axis] = normalizeAxes("Split", x, [intAttribute(node.attributes, "axis", 0)]);
  const size = x.shape[axis];
  const parts = intAttribute(node.attributes, "num_outputs", node.outputCount);
  const even = Math.ceil(size / parts);
  const given = node.numbers(1, "sizes");
  const lengths = given ?? Array.from({ length: parts }, (_, index) => Math.min(even, size - index * even));
  if (lengths.reduce((sum, length) => sum + length, 0) !== size) {
    throw node.error(`parts of [${lengths.join(", ")}] do not make axis ${axis} of [${x.shape.join(", ")}]`);
  }
  let start = 0;
  return lengths.map((length) => {
    start += length;
    return slice(x, { axes: [axis], starts: [start - length], ends: [start] });
  });
};

const tile: Adapter = (node) => {
  const x = node.input(0);
  const repeats = node.numbers(1, "repeats") ?? [];
  const split = reshape(
    x,
    x.shape.flatMap((size) => [1, size]),
  );
  const wide = expand(
    split,
    x.shape.flatMap((size, axis) => [repeats[axis], size]),
  );
  return [
    reshape(
      wide,
      x.shape.map((size, axis) => size * repeats[axis]),
    ),
  ];
};

const padEnds: Adapter = (node) => {
  const x = node.input(0);
  const amounts = node.numbers(1, "pads") ?? [];
  const axes = normalizedOrder(x, node.numbers(3, "axes") ?? x.shape.map((_, axis) => axis));
  const [before, after] = [x.shape.map(() => 0), x.shape.map(() => 0)];
  for (const [index, axis] of axes.entries()) {
    before[axis] = amounts[index];
    after[axis] = amounts[index + axes.length];
  }
  const mode = stringAttribute(node.attributes, "mode", "constant");
  const value = node.numbers(2, "values")?.[0] ?? 0;
  if (mode === "constant") {
    if (value === 0) return [pad(x, before, after)];
    return node.build([x, node.sizes([...before, ...after]), node.inputs[2]], {});
  }
  if (mode !== "reflect" && mode !== "edge")
    throw node.error(`mode "${mode}" is not known; known are constant, reflect, edge`);
  return [x.shape.reduce((part, _, axis) => padAxis(part, axis, before[axis], after[axis], mode), x)];
};

/** Reflected or repeated ends along one axis, put together from parts, so that the gradient needs no rule of its own. */
function padAxis(x: Value, axis: number, before: number, after: number, mode: "reflect" | "edge"): Value {
  const size = x.shape[axis];
  const part = (start: number, end: number) => slice(x, { axes: [axis], starts: [start], ends: [end] });
  const repeated = (value: Value, count: number) =>
    expand(
      value,
      x.shape.map((length, other) => (other === axis ? count : length)),
    );
  const ends =
    mode === "edge"
      ? [() => repeated(part(0, 1), before), () => repeated(part(size - 1, size), after)]
      : [() => reverse(part(1, 1 + before), [axis]), () => reverse(part(size - 1 - after, size - 1), [axis])];
  return concat([...(before > 0 ? [ends[0]()] : []), x, ...(after > 0 ? [ends[1]()] : [])], axis);
}

function normalizedOrder(x: Value, axes: readonly number[]): number[] {
  return axes.map((axis) => normalizeAxes("Pad", x, [axis])[0]);
}

export const movementAdapters: Readonly<Record<string, Adapter>> = {
  Reshape: reshapeTo,
  Flatten: flattenFrom,
  Squeeze: squeeze,
  Unsqueeze: unsqueeze,
  Expand: expandTo,
  Slice: sliceParts,
  Split: splitParts,
  Tile: tile,
  Pad: padEnds,
};
