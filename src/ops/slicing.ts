import { readOptions } from "../common/options.ts";
import { int64Vector } from "../graph/constants.ts";
import type { Value } from "../graph/graph.ts";
import { reshape } from "./movement.ts";
import { apply, defineOperator, normalizeAxes, operatorError, requireConstant } from "./operator.ts";
import { pad } from "./padding.ts";

// Cutting parts out of a tensor, turning axes around, and spreading them apart.

export interface SliceRange {
  starts: readonly number[];
  ends: readonly number[];
  axes?: readonly number[];
  /** Positive; 1 when left out. */
  steps?: readonly number[];
}

defineOperator("Slice", {
  since: 13,
  infer: (inputs) => {
    const shape = [...inputs[0]!.shape];
    for (const { axis, count } of readSlice(inputs)) shape[axis] = count;
    return [{ type: inputs[0]!.type, shape }];
  },
  // The kept numbers go back to their places: turned around where the step was negative, zeros between them, then
  // before and after.
  gradient: ({ inputs, gradient }) => {
    const [x] = inputs;
    const ranges = readSlice(inputs);
    const backward = ranges.filter(({ step }) => step < 0).map(({ axis }) => axis);
    const strides = x.shape.map(() => 1);
    const before = x.shape.map(() => 0);
    for (const { axis, start, step, count } of ranges) {
      strides[axis] = Math.abs(step);
      before[axis] = count === 0 ? 0 : Math.min(start, start + (count - 1) * step);
    }
    const turned = backward.length > 0 ? reverse(gradient, backward) : gradient;
    const spread = insertZeros(turned, strides);
    const after = x.shape.map((size, axis) => size - before[axis] - spread.shape[axis]);
    return [pad(spread, before, after)];
  },
});

/** What a Slice takes along each axis it names: `count` elements from `start` (counted from the front) by `step`. */
function readSlice([x, starts, ends, axes, steps]: readonly (Value | undefined)[]) {
  const from = requireConstant("Slice", x!, starts, "starts");
  const to = requireConstant("Slice", x!, ends, "ends");
  const along = axes ? requireConstant("Slice", x!, axes, "axes") : from.map((_, index) => index);
  const by = steps ? requireConstant("Slice", x!, steps, "steps") : from.map(() => 1);
  normalizeAxes("Slice", x!, along);
  return along.map((given, index) => {
    const axis = given < 0 ? given + x!.shape.length : given;
    const size = x!.shape[axis];
    const step = by[index];
    const plain = (value: number) => (value < 0 ? value + size : value);
    const within = (value: number, least: number, most: number) => Math.min(most, Math.max(least, value));
    const [start, end] =
      step > 0
        ? [within(plain(from[index]), 0, size), within(plain(to[index]), 0, size)]
        : [within(plain(from[index]), 0, size - 1), within(plain(to[index]), -1, size - 1)];
    return { axis, start, step, count: Math.max(0, Math.ceil((end - start) / step)) };
  });
}

/** The part of a tensor from `starts` up to `ends` (not included; negative counts from the end) by `steps`. */
export function slice(x: Value, range: SliceRange): Value {
  readOptions("slice", range, { starts: "list", ends: "list", axes: "list", steps: "list" });
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
 * Puts `strides[axis] − 1` zeros between neighbors along each axis: size n becomes (n − 1)·stride + 1.
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
