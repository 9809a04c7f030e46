import { elementCount, type Shape } from "../../graph/graph.ts";
import type { AttributeValue } from "../../onnx/attributes.ts";
import { float, int, ints } from "../../ops/operator.ts";
import type { Drawing, Drawn } from "./drawing.ts";
import type { Template } from "./elementwise.ts";

const toEnd = Number.MAX_SAFE_INTEGER;

function padding(g: Drawing): Drawn {
  const x = g.ofRank(1, 4);
  const rank = x.shape.length;
  const modes = ["constant", "reflect", "edge", ...(g.opset >= 19 ? ["wrap"] : [])];
  const mode = x.shape.every((size) => size > 1) ? g.pick(modes) : g.pick(["constant", "edge"]);
  const most = (axis: number) =>
    mode === "reflect" ? x.shape[axis] - 1 : mode === "wrap" ? x.shape[axis] : 2;
  const pads = [...x.shape, ...x.shape].map((_, index) =>
    g.chance(0.5) ? 0 : Math.min(g.between(0, 2), most(index % rank)),
  );
  if (mode === "constant" && g.chance(0.2)) {
    const axis = x.shape.findIndex((size) => size > 2);
    if (axis >= 0) pads[axis] = -1;
  }
  const shape = x.shape.map((size, axis) => size + pads[axis] + pads[axis + rank]);
  const withMode: Record<string, AttributeValue> =
    mode === "constant" && g.chance(0.5) ? {} : { mode: { string: mode } };
  const value = mode === "constant" && g.chance(0.4);
  if (g.opset < 11) {
    const attributes = { ...withMode, pads: ints(pads), ...(value && { value: float(0.5) }) };
    return g.node("Pad", [x], attributes, { shape });
  }
  const fill = value ? g.scalar(0.5) : undefined;
  if (g.opset >= 18 && g.chance(0.3)) {
    const axes = [...g.random.permutation(rank)].filter(
      (axis) => pads[axis] !== 0 || pads[axis + rank] !== 0,
    );
    if (axes.length > 0) {
      const some = [...axes.map((axis) => pads[axis]), ...axes.map((axis) => pads[axis + rank])];
      const along = g.integers(axes.map((axis) => g.written(axis, rank)));
      return g.node("Pad", [x, g.integers(some), fill, along], withMode, { shape });
    }
  }
  return g.node("Pad", [x, g.integers(pads), fill], withMode, { shape });
}

function slice(g: Drawing): Drawn {
  const x = g.ofRank(1, 4);
  const chosen = x.shape.flatMap((_, axis) => (g.chance(0.6) ? [axis] : []));
  const axes = chosen.length > 0 ? chosen : [0];
  const cuts = axes.map((axis) => {
    const size = x.shape[axis];
    const step = g.opset >= 10 && g.chance(0.4) ? g.pick([1, 2, -1, -2]) : 1;
    const [a, b] = [g.between(0, size - 1), g.between(0, size - 1)];
    const [low, high] = [Math.min(a, b), Math.max(a, b)];
    const [from, to] = step > 0 ? [low, high + 1] : [high, low - 1];
    const count = Math.ceil((to - from) / step);
    const start = g.chance(0.3) ? from - size : from;
    const end =
      step > 0
        ? to === size && g.chance(0.5)
          ? g.pick([toEnd, size + 3])
          : to
        : to < 0
          ? -size - 1 - g.between(0, 5)
          : to;
    return { axis, start, end, step, count };
  });
  const shape = x.shape.map((size, axis) => cuts.find((cut) => cut.axis === axis)?.count ?? size);
  const starts = cuts.map(({ start }) => start);
  const ends = cuts.map(({ end }) => end);
  const isFront = axes.every((axis, index) => axis === index);
  if (g.opset < 10) {
    const along = isFront && g.chance(0.5) ? {} : { axes: ints(axes) };
    return g.node("Slice", [x], { starts: ints(starts), ends: ints(ends), ...along }, { shape });
  }
  const steps = cuts.map(({ step }) => step);
  const plain = steps.every((step) => step === 1);
  const along =
    isFront && plain && g.chance(0.4)
      ? undefined
      : g.integers(axes.map((axis) => g.written(axis, x.shape.length)));
  const stepped = plain && g.chance(0.6) ? undefined : g.integers(steps);
  return g.node(
    "Slice",
    [x, g.integers(starts), g.integers(ends), along ?? (stepped && g.integers(axes)), stepped],
    {},
    { shape },
  );
}

function split(g: Drawing): Drawn[] {
  const x = g.ofRank(1, 4, 6);
  const axis = g.axis(x);
  const size = x.shape[axis];
  const attributes: Record<string, AttributeValue> =
    axis === 0 && g.chance(0.5) ? {} : { axis: int(g.written(axis, x.shape.length)) };
  const outputs = (sizes: readonly number[]) => sizes.map((part) => ({ shape: x.shape.with(axis, part) }));
  const count = g.between(1, Math.min(3, size));
  if (g.opset >= 18 && g.chance(0.5)) {
    // The last part is smaller where they are not equal.
    const part = Math.ceil(size / count);
    const sizes = Array.from({ length: count }, (_, at) => Math.min(part, size - at * part));
    if (sizes.every((each) => each > 0))
      return g.nodeOf("Split", [x], { ...attributes, num_outputs: int(count) }, outputs(sizes));
  }
  if (g.opset < 18 && size % count === 0 && g.chance(0.5)) {
    return g.nodeOf("Split", [x], attributes, outputs(Array<number>(count).fill(size / count)));
  }
  const first = g.between(1, size);
  const sizes = first === size ? [size] : [first, size - first];
  const [input, more] = g.setting("split", 13, sizes);
  return g.nodeOf("Split", [x, input], { ...attributes, ...more }, outputs(sizes));
}

function reshape(g: Drawing): Drawn {
  const x = g.ofRank(1, 4);
  const shape = regrouped(g, x.shape);
  const sizes: number[] = shape.map((size, axis) => (x.shape[axis] === size && g.chance(0.4) ? 0 : size));
  if (sizes.length > 0 && g.chance(0.5)) sizes[g.between(0, sizes.length - 1)] = -1;
  const plain = !sizes.includes(0);
  const attributes = plain && g.opset >= 14 && g.chance(0.3) ? { allowzero: int(1) } : {};
  return g.node("Reshape", [x, g.integers(sizes)], attributes, { shape });
}

/** Another shape of as many elements. */
function regrouped(g: Drawing, shape: Shape): number[] {
  const factors = shape.flatMap(primes);
  const groups = Array.from({ length: g.between(1, 4) }, () => 1);
  for (const factor of factors) groups[g.between(0, groups.length - 1)] *= factor;
  return groups;
}

function primes(size: number): number[] {
  for (let factor = 2; factor * factor <= size; factor++)
    if (size % factor === 0) return [factor, ...primes(size / factor)];
  return size > 1 ? [size] : [];
}

export const movementTemplates: Readonly<Record<string, Template>> = {
  Reshape: { since: 7, draw: reshape },
  Transpose: {
    since: 7,
    draw: (g) => {
      const x = g.ofRank(1, 4);
      return g.transposed(x, [...g.random.permutation(x.shape.length)]);
    },
  },
  Expand: {
    since: 8,
    draw: (g) => {
      const x = g.ofRank(1, 3);
      const shape = [
        ...Array.from({ length: g.between(0, 1) }, () => g.between(1, 3)),
        ...x.shape.map((size) => (size === 1 ? g.between(1, 3) : size)),
      ];
      const asked = shape.map((size) => (g.chance(0.2) && x.shape.length === shape.length ? size : size));
      return g.node("Expand", [x, g.integers(asked)], {}, { shape });
    },
  },
  Tile: {
    since: 7,
    draw: (g) => {
      const x = g.ofRank(1, 3);
      const repeats = x.shape.map(() => g.pick([1, 1, 2]));
      return g.node(
        "Tile",
        [x, g.integers(repeats)],
        {},
        { shape: x.shape.map((size, at) => size * repeats[at]) },
      );
    },
  },
  Concat: {
    since: 7,
    draw: (g) => {
      const x = g.ofRank(1, 4);
      const axis = g.axis(x);
      const others = Array.from({ length: g.between(0, 2) }, () =>
        g.chance(0.3) ? x : g.parameter(x.shape.with(axis, g.between(1, 3))),
      );
      const all = g.random.shuffle([x, ...others]);
      const size = all.reduce((sum, { shape }) => sum + shape[axis], 0);
      return g.node(
        "Concat",
        all,
        { axis: int(g.written(axis, x.shape.length)) },
        { shape: x.shape.with(axis, size) },
      );
    },
  },
  Split: { since: 7, draw: split },
  Slice: { since: 7, draw: slice },
  Squeeze: {
    since: 7,
    draw: (g) => {
      const x = g.tensor(
        (shape) => shape.length >= 2 && shape.includes(1),
        () => [...g.shape(g.between(1, 2)), 1, ...g.shape(g.between(0, 1))],
      );
      const ones = x.shape.flatMap((size, axis) => (size === 1 ? [axis] : []));
      if (g.chance(0.25)) return g.node("Squeeze", [x], {}, { shape: x.shape.filter((size) => size !== 1) });
      const axes = ones.filter((_, at) => at === 0 || g.chance(0.5));
      const written = axes.map((axis) => g.written(axis, x.shape.length));
      const [input, attributes] = g.setting("axes", 13, written);
      return g.node("Squeeze", [x, input], attributes, {
        shape: x.shape.filter((_, axis) => !axes.includes(axis)),
      });
    },
  },
  Unsqueeze: {
    since: 7,
    draw: (g) => {
      const x = g.ofRank(1, 3);
      const rank = x.shape.length + g.between(1, 2);
      const axes = [...g.random.permutation(rank)].slice(0, rank - x.shape.length);
      const rest = [...x.shape];
      const shape = Array.from({ length: rank }, (_, axis) => (axes.includes(axis) ? 1 : rest.shift()!));
      const [input, attributes] = g.setting(
        "axes",
        13,
        axes.map((axis) => g.written(axis, rank)),
      );
      return g.node("Unsqueeze", [x, input], attributes, { shape });
    },
  },
  Flatten: {
    since: 7,
    draw: (g) => {
      const x = g.ofRank(1, 4);
      const rank = x.shape.length;
      const axis = g.between(0, rank);
      const shape = [elementCount(x.shape.slice(0, axis)), elementCount(x.shape.slice(axis))];
      const leave = axis === 1 && g.chance(0.5);
      const written = axis < rank ? g.written(axis, rank) : axis;
      return g.node("Flatten", [x], leave ? {} : { axis: int(written) }, { shape });
    },
  },
  Pad: { since: 7, draw: padding },
  DepthToSpace: {
    since: 7,
    draw: (g) => {
      const block = 2;
      const x = g.images(2, 4 * g.between(1, 2));
      const [n, c, h, w] = x.shape;
      const attributes = {
        blocksize: int(block),
        ...(g.opset >= 11 && g.chance(0.6) && { mode: { string: g.pick(["DCR", "CRD"]) } }),
      };
      return g.node("DepthToSpace", [x], attributes, { shape: [n, c / 4, h * block, w * block] });
    },
  },
  SpaceToDepth: {
    since: 7,
    draw: (g) => {
      const x = g.tensor(
        (shape) => shape.length === 4 && shape[2] % 2 === 0 && shape[3] % 2 === 0,
        () => [g.between(1, 2), g.between(1, 2), 2 * g.between(1, 2), 2 * g.between(1, 2)],
      );
      const [n, c, h, w] = x.shape;
      return g.node("SpaceToDepth", [x], { blocksize: int(2) }, { shape: [n, c * 4, h / 2, w / 2] });
    },
  },
  Trilu: {
    since: 14,
    draw: (g) => {
      const x = g.ofRank(2, 3);
      const k = g.chance(0.5) ? g.store([], [g.between(-2, 2)], { type: "int64" }) : undefined;
      return g.node("Trilu", [x, k], g.chance(0.5) ? { upper: int(g.between(0, 1)) } : {}, {});
    },
  },
  CenterCropPad: {
    since: 18,
    draw: (g) => {
      const x = g.ofRank(2, 3);
      const all = g.chance(0.5);
      const axes = all ? x.shape.map((_, axis) => axis) : [x.shape.length - 1];
      const sizes = axes.map(() => g.between(1, 5));
      const shape = x.shape.map((size, axis) => (axes.includes(axis) ? sizes[axes.indexOf(axis)] : size));
      const attributes = all && g.chance(0.5) ? {} : { axes: ints(axes) };
      return g.node("CenterCropPad", [x, g.integers(sizes)], attributes, { shape });
    },
  },
  EyeLike: {
    since: 9,
    draw: (g) => {
      const x = g.ofRank(2, 2);
      const eye = g.node("EyeLike", [x], g.chance(0.5) ? { k: int(g.between(-1, 1)) } : {}, { size: 1 });
      return g.node("Mul", [x, eye], {}, {});
    },
  },
};
