import { elementCount } from "../../graph/graph.ts";
import type { AttributeValue } from "../../onnx/attributes.ts";
import { dataTypeNumber } from "../../onnx/types.ts";
import { float, int } from "../../ops/operator.ts";
import type { Drawing, Drawn } from "./drawing.ts";
import { asFloat, type Template } from "./elementwise.ts";

/** Random places along an axis, negative ones where the opset has them. */
function places(g: Drawing, count: number, size: number, negative = true): number[] {
  return Array.from({ length: count }, () => {
    const at = g.between(0, size - 1);
    return negative && g.opset >= 11 && g.chance(0.3) ? at - size : at;
  });
}

const indexType = (g: Drawing) => g.pick(["int64", "int64", "int32"] as const);

function axisAttribute(g: Drawing, axis: number, rank: number): Record<string, AttributeValue> {
  return axis === 0 && g.chance(0.5) ? {} : { axis: int(g.written(axis, rank)) };
}

function gather(g: Drawing): Drawn {
  // A table of embeddings, or a tensor of the pool.
  const x = g.chance(0.4) ? g.parameter(g.shape(2, 5)) : g.ofRank(1, 3);
  const axis = g.axis(x);
  const shape = g.shape(g.between(0, 2), 3);
  const at = g.indices(shape, places(g, elementCount(shape), x.shape[axis]), indexType(g));
  const result = [...x.shape.slice(0, axis), ...shape, ...x.shape.slice(axis + 1)];
  return g.node("Gather", [x, at], axisAttribute(g, axis, x.shape.length), { shape: result });
}

function gatherElements(g: Drawing): Drawn {
  const x = g.ofRank(1, 3);
  const axis = g.axis(x);
  const shape = x.shape.map((size, at) => (at === axis ? g.between(1, 4) : g.between(1, size)));
  const at = g.indices(shape, places(g, elementCount(shape), x.shape[axis]), indexType(g));
  return g.node("GatherElements", [x, at], axisAttribute(g, axis, x.shape.length), { shape });
}

function gatherND(g: Drawing): Drawn {
  const x = g.ofRank(2, 4);
  const batch = g.opset >= 12 && g.chance(0.4) ? 1 : 0;
  const depth = g.between(1, x.shape.length - batch);
  const outer = [...x.shape.slice(0, batch), ...g.shape(g.between(0, 1), 3)];
  const rows = elementCount(outer);
  const numbers = Array.from({ length: rows }, () =>
    Array.from({ length: depth }, (_, at) => g.between(0, x.shape[batch + at] - 1)),
  ).flat();
  const at = g.indices([...outer, depth], numbers);
  const shape = [...outer, ...x.shape.slice(batch + depth)];
  return g.node("GatherND", [x, at], batch ? { batch_dims: int(1) } : {}, { shape });
}

function reductionMode(g: Drawing, since: number, more: number): string | undefined {
  if (g.opset < since || g.chance(0.4)) return undefined;
  return g.pick(["add", "mul", ...(g.opset >= more ? ["max", "min"] : [])]);
}

function scatterElements(g: Drawing, operator: "Scatter" | "ScatterElements"): Drawn {
  const x = g.ofRank(1, 3);
  const axis = g.axis(x);
  const mode = operator === "ScatterElements" ? reductionMode(g, 16, 18) : undefined;
  const length = g.between(1, x.shape[axis]);
  const shape = x.shape.map((size, at) => (at === axis ? length : g.between(1, size)));
  // Without a reduction no place may stand twice: along the axis each line has another order.
  const order = [...g.random.permutation(x.shape[axis])];
  const inner = elementCount(shape.slice(axis + 1));
  const numbers = Array.from({ length: elementCount(shape) }, (_, index) => {
    if (mode) return g.between(0, x.shape[axis] - 1);
    return order[Math.floor(index / inner) % length];
  });
  const at = g.indices(shape, numbers, indexType(g));
  const attributes = {
    ...axisAttribute(g, axis, x.shape.length),
    ...(mode && { reduction: { string: mode } }),
  };
  return g.node(operator, [x, at, g.parameter(shape)], attributes, { shape: x.shape, size: x.size * 2 });
}

function scatterND(g: Drawing): Drawn {
  const x = g.ofRank(1, 3);
  const depth = g.between(1, x.shape.length);
  const mode = reductionMode(g, 16, 18);
  const outer = x.shape.slice(0, depth);
  const all = [...g.random.permutation(elementCount(outer))];
  const count = g.between(1, Math.min(3, all.length));
  const numbers = all.slice(0, count).flatMap((flat) => coordinates(mode ? all[0] : flat, outer));
  const at = g.indices([count, depth], numbers);
  const updates = g.parameter([count, ...x.shape.slice(depth)]);
  return g.node("ScatterND", [x, at, updates], mode ? { reduction: { string: mode } } : {}, {
    size: x.size * 2,
  });
}

function coordinates(flat: number, shape: readonly number[]): number[] {
  const place: number[] = [];
  for (let axis = shape.length - 1, rest = flat; axis >= 0; axis--) {
    place.unshift(rest % shape[axis]);
    rest = Math.floor(rest / shape[axis]);
  }
  return place;
}

function oneHot(g: Drawing): Drawn {
  const shape = g.shape(g.between(1, 2), 3);
  const depth = g.between(2, 4);
  const at = g.indices(shape, places(g, elementCount(shape), depth));
  // Stored values are constants; those that are computed have gradients.
  const values = g.pick([
    () => g.store([2], [0, 1]),
    () => g.store([2], [0.05, 0.85]),
    () => g.node("Mul", [g.parameter([2]), g.scalar(0.8)], {}, { size: 1 }),
  ])();
  const axis = g.between(0, shape.length);
  const result = [...shape.slice(0, axis), depth, ...shape.slice(axis)];
  const attributes = axis === shape.length && g.chance(0.5) ? {} : { axis: int(axis) };
  const size = g.chance(0.5) ? g.integers([depth]) : g.store([], [depth], { type: "int64" });
  return g.node("OneHot", [at, size, values], attributes, { type: g.float, shape: result, size: 1 });
}

export const indexingTemplates: Readonly<Record<string, Template>> = {
  Gather: { since: 7, draw: gather },
  GatherElements: { since: 11, draw: gatherElements },
  GatherND: { since: 11, draw: gatherND },
  Scatter: { since: 9, until: 10, draw: (g) => scatterElements(g, "Scatter") },
  ScatterElements: { since: 11, draw: (g) => scatterElements(g, "ScatterElements") },
  ScatterND: { since: 11, draw: scatterND },
  OneHot: { since: 9, draw: oneHot },
  Compress: {
    since: 9,
    draw: (g) => {
      const x = g.ofRank(1, 3);
      const flat = g.chance(0.3);
      const axis = g.axis(x);
      const length = flat ? elementCount(x.shape) : x.shape[axis];
      const keep = Array.from({ length: g.between(1, length) }, (_, at) => (at === 0 ? 1 : g.between(0, 1)));
      const count = keep.reduce((a, b) => a + b, 0);
      const condition = g.store([keep.length], keep, { type: "bool" });
      const attributes = flat ? {} : { axis: int(g.written(axis, x.shape.length)) };
      return g.node("Compress", [x, condition], attributes, {
        shape: flat ? [count] : x.shape.with(axis, count),
      });
    },
  },
  ReverseSequence: {
    since: 10,
    draw: (g) => {
      const x = g.ofRank(2, 3);
      const timeFirst = g.chance(0.5);
      const [time, batch] = timeFirst ? [0, 1] : [1, 0];
      const lengths = Array.from({ length: x.shape[batch] }, () => g.between(1, x.shape[time]));
      const attributes = timeFirst && g.chance(0.5) ? {} : { time_axis: int(time), batch_axis: int(batch) };
      return g.node("ReverseSequence", [x, g.indices([lengths.length], lengths)], attributes, {});
    },
  },
  NonZero: {
    since: 9,
    draw: (g) => {
      const shape = g.shape(g.between(1, 2));
      const numbers = Array.from({ length: elementCount(shape) }, (_, at) =>
        at === 0 ? 1 : g.between(0, 1),
      );
      const count = numbers.reduce((a, b) => a + b, 0);
      const x = g.store(shape, numbers, { type: g.pick(["int64", "bool"] as const) });
      return asFloat(g, g.node("NonZero", [x], {}, { type: "int64", shape: [shape.length, count] }));
    },
  },
  Unique: {
    since: 11,
    draw: (g) => {
      const numbers = Array.from({ length: g.between(2, 6) }, () => g.between(0, 3));
      const count = new Set(numbers).size;
      const x = g.store([numbers.length], numbers, { type: "int64" });
      const sorted = g.chance(0.5) ? { sorted: int(g.between(0, 1)) } : {};
      return asFloat(g, g.node("Unique", [x], sorted, { type: "int64", shape: [count] }));
    },
  },
  NonMaxSuppression: {
    since: 10,
    draw: (g) => {
      // Far from one another, so that all are kept, the best first.
      const count = g.between(1, 3);
      const boxes = Array.from({ length: count }, (_, at) => [at * 3, 0, at * 3 + 1, 1]).flat();
      const scores = [...g.random.permutation(count)].map((rank) => 0.9 - 0.2 * rank);
      const [b, s] = [
        g.store([1, count, 4], boxes, { type: "float32", fixedType: true }),
        g.store([1, 1, count], scores, { type: "float32", fixedType: true }),
      ];
      const most = g.between(1, count);
      const threshold = g.store([1], [0.5], { type: "float32", fixedType: true });
      const inputs = [b, s, g.store([1], [most], { type: "int64" }), threshold];
      return asFloat(g, g.node("NonMaxSuppression", inputs, {}, { type: "int64", shape: [most, 3] }));
    },
  },
  TensorScatter: {
    since: 24,
    draw: (g) => {
      const [batch, length, width] = [g.between(1, 2), g.between(3, 5), g.between(1, 3)];
      const cache = g.tensor(
        (shape) => shape.length === 3 && shape[1] >= 3,
        () => [batch, length, width],
      );
      const [n, size, inner] = cache.shape;
      const count = g.between(1, 2);
      const starts = Array.from({ length: n }, () => g.between(0, size - count));
      const update = g.parameter([n, count, inner]);
      const at = g.chance(0.7) ? g.indices([n], starts) : undefined;
      const attributes = { axis: int(1), ...(g.chance(0.3) && { mode: { string: "circular" } }) };
      const y = g.node("TensorScatter", [cache, update, at], attributes, {});
      // ONNX Runtime has Swish in this opset alone.
      return g.opset === 24 ? g.node("Swish", [y], g.chance(0.5) ? { alpha: float(0.7) } : {}, {}) : y;
    },
  },
  Range: {
    since: 11,
    draw: (g) => {
      const [start, step, count] = [g.between(-2, 2), g.pick([1, 2, -1]), g.between(1, 4)];
      const type = g.pick(["int64", "float32"] as const);
      const limits = [start, start + count * step, step].map((value) =>
        g.store([], [value], { type, fixedType: true }),
      );
      const range = g.node("Range", limits, {}, { type, shape: [count], size: 8 });
      return asFloat(g, range);
    },
  },
  ConstantOfShape: {
    since: 9,
    draw: (g) => {
      const x = g.ofRank(1, 3);
      const value = { type: "float32", shape: [1], data: Float32Array.of(0.5) } as const;
      const filled = g.node(
        "ConstantOfShape",
        [g.integers(x.shape)],
        g.chance(0.7) ? { value: { tensor: value } } : {},
        { type: "float32", shape: x.shape, size: 1 },
      );
      return g.node("Add", [x, asFloat(g, filled)], {}, { shape: x.shape });
    },
  },
  ...Object.fromEntries(
    ["BlackmanWindow", "HammingWindow", "HannWindow"].map((operator): [string, Template] => [
      operator,
      {
        since: 17,
        draw: (g) => {
          const size = g.between(2, 6);
          const length = g.store([], [size], { type: "int64" });
          const type = { output_datatype: int(dataTypeNumber("float32")) };
          const periodic = g.chance(0.4) ? { periodic: int(0) } : {};
          const window = g.node(
            operator,
            [length],
            { ...type, ...periodic },
            { type: "float32", shape: [size], size: 1 },
          );
          // Its ends are zero but for rounding, which what rounds down must not see.
          return g.node("Add", [asFloat(g, window), g.parameter([size])], {}, {});
        },
      },
    ]),
  ),
  BitCast: {
    since: 26,
    draw: (g) => {
      const shape = g.shape(2, 3);
      const numbers = Array.from({ length: elementCount(shape) }, () => g.between(0, 200));
      const x = g.indices(shape, numbers, "uint8");
      return {
        ...asFloat(g, g.node("BitCast", [x], { to: int(dataTypeNumber("int8")) }, { type: "int8" })),
        size: 128,
      };
    },
  },
  MaxUnpool: {
    since: 9,
    draw: (g) => {
      const x = g.images();
      const [n, c, h, w] = x.shape;
      const shape = [n, c, Math.floor(h / 2), Math.floor(w / 2)];
      const pooling = { kernel_shape: { ints: [2, 2] }, strides: { ints: [2, 2] } };
      const [y, at] = g.nodeOf("MaxPool", [x], pooling, [{ shape }, { shape, type: "int64" }]);
      const stated = g.integers(x.shape);
      return g.node("MaxUnpool", [y, at, stated], pooling, { shape: x.shape });
    },
  },
  LRN: {
    since: 7,
    draw: (g) => {
      const attributes = {
        size: int(g.pick([1, 3, 5])),
        ...(g.chance(0.5) && { alpha: float(0.1), beta: float(0.6), bias: float(1.5) }),
      };
      return g.node("LRN", [g.images()], attributes, {});
    },
  },
};
