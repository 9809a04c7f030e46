import { elementCount, type Shape } from "../../graph/graph.ts";
import { dataTypeNumber } from "../../onnx/types.ts";
import { int } from "../../ops/operator.ts";
import type { Drawing, Drawn, Float } from "./drawing.ts";

// Parameters in random places: stored as they are used, or behind operators that lead to where they are used.

type Way = readonly [since: number, draw: (g: Drawing, shape: Shape, deviation: number) => Drawn | undefined];

export function drawParameter(g: Drawing, shape: Shape, deviation: number): Drawn {
  if (elementCount(shape) > 1 && g.chance(0.3)) {
    const [since, draw] = g.pick(ways);
    const drawn = g.opset >= since ? draw(g, shape, deviation) : undefined;
    if (drawn) return drawn;
  }
  return raw(g, shape, deviation);
}

/** A stored parameter, or one of the same shape that another layer has already. */
function raw(g: Drawing, shape: Shape, deviation: number, type: Float = g.float): Drawn {
  const key = shape.join();
  const shared = g.stored.find(
    (one) => one.meaning === "parameter" && one.type === type && one.shape.join() === key,
  );
  if (shared && elementCount(shape) > 1 && g.chance(0.15))
    return { name: shared.name, type, shape, size: 1, blocked: false };
  return g.store(shape, g.normals(shape, deviation, type), { type, meaning: "parameter" });
}

const like = (shape: Shape, size = 1) => ({ shape, size });

const ways: readonly Way[] = [
  [
    7,
    (g, shape, deviation) => {
      const perm = [...g.random.permutation(shape.length)];
      const stored = raw(
        g,
        perm.map((_, axis) => shape[perm.indexOf(axis)]),
        deviation,
      );
      return g.transposed(stored, perm);
    },
  ],
  [7, (g, shape, deviation) => g.reshaped(raw(g, [elementCount(shape)], deviation), shape)],
  [
    7,
    // A part of a larger one.
    (g, shape, deviation) => {
      if (shape.length === 0) return undefined;
      const axis = g.between(0, shape.length - 1);
      const start = g.between(0, 2);
      const larger = shape.with(axis, start + shape[axis] + g.between(0, 2));
      return g.sliced(raw(g, larger, deviation), [axis], [start], [start + shape[axis]]);
    },
  ],
  [
    7,
    (g, shape, deviation) => {
      if (shape.length === 0) return undefined;
      const axis = g.between(0, shape.length - 1);
      const count = g.between(2, 3);
      const sizes = Array.from({ length: count }, () => shape[axis]);
      const whole = raw(g, shape.with(axis, shape[axis] * count), deviation);
      const outputs = sizes.map((size) => like(shape.with(axis, size)));
      if (g.opset >= 18 && g.chance(0.5)) {
        const attributes = { axis: int(axis), num_outputs: int(count) };
        return g.pick(g.nodeOf("Split", [whole], attributes, outputs));
      }
      if (g.opset < 18 && g.chance(0.5))
        return g.pick(g.nodeOf("Split", [whole], { axis: int(axis) }, outputs));
      const [input, attributes] = g.setting("split", 13, sizes);
      return g.pick(g.nodeOf("Split", [whole, input], { axis: int(axis), ...attributes }, outputs));
    },
  ],
  [7, (g, shape, deviation) => g.node("Tanh", [raw(g, shape, deviation)], {}, { size: 1 })],
  [
    9,
    (g, shape, deviation) => {
      const holds = Array.from({ length: elementCount(shape) }, (_, at) => (at === 0 ? 1 : g.between(0, 1)));
      const condition = g.store(shape, holds, { type: "bool" });
      const rest = g.chance(0.5) ? g.scalar(0) : raw(g, shape, deviation);
      return g.node("Where", [condition, raw(g, shape, deviation), rest], {}, like(shape));
    },
  ],
  [
    7,
    (g, shape, deviation) => {
      if (shape.length === 0) return undefined;
      const axis = g.between(0, shape.length - 1);
      const repeats = shape.map((_, at) => (at === axis ? shape[axis] : 1));
      return g.node("Tile", [raw(g, shape.with(axis, 1), deviation), g.integers(repeats)], {}, like(shape));
    },
  ],
  [
    8,
    (g, shape, deviation) =>
      g.node("Sum", [raw(g, shape, deviation), raw(g, shape, deviation)], {}, like(shape)),
  ],
  [7, (g, shape, deviation) => g.node("Sub", [raw(g, shape, deviation), g.scalar(0.25)], {}, like(shape))],
  [
    7,
    (g, shape, deviation) =>
      g.node("Sub", [raw(g, shape, deviation), raw(g, shape, deviation)], {}, like(shape)),
  ],
  [7, (g, shape, deviation) => g.node("Div", [raw(g, shape, deviation), g.scalar(1.5)], {}, like(shape))],
  [7, (g, shape, deviation) => g.node("Mul", [raw(g, shape, deviation), g.scalar(0.75)], {}, like(shape))],
  [
    7,
    (g, shape, deviation) => {
      if (shape.length === 0) return undefined;
      const axis = shape.findIndex((size) => size > 1);
      if (axis < 0) return undefined;
      const at = g.between(1, shape[axis] - 1);
      const parts = [at, shape[axis] - at].map((size) => raw(g, shape.with(axis, size), deviation));
      return g.node("Concat", parts, { axis: int(g.written(axis, shape.length)) }, like(shape));
    },
  ],
  [
    10,
    // Quantization-aware training: the gradient goes straight through.
    (g, shape, deviation) => {
      if (g.float !== "float32") return undefined;
      const weight = raw(g, shape, deviation);
      const scale = g.store([], [0.05], { type: "float32", fixedType: true });
      const zero = g.store([], [0], { type: "int8" });
      const { type } = zero;
      const q: Drawn = g.node("QuantizeLinear", [weight, scale, zero], {}, { type });
      g.quantized.push(weight.name);
      return { ...g.node("DequantizeLinear", [q, scale, zero], {}, { type: "float32" }), blocked: false };
    },
  ],
  [
    9,
    // Kept in another precision than it is used in.
    (g, shape, deviation) => {
      const type = g.pick((["float32", "float16", "float64"] as const).filter((other) => other !== g.float));
      const to = int(dataTypeNumber(g.float));
      return g.node("Cast", [raw(g, shape, deviation, type)], { to }, { type: g.float });
    },
  ],
  [7, (g, shape, deviation) => g.node("Identity", [raw(g, shape, deviation)], {}, like(shape))],
  [
    8,
    (g, shape, deviation) => {
      if (shape.length === 0) return undefined;
      const axis = g.between(0, shape.length - 1);
      return g.node("Expand", [raw(g, shape.with(axis, 1), deviation), g.integers(shape)], {}, like(shape));
    },
  ],
  [
    7,
    // Rows of a larger table.
    (g, shape, deviation) => {
      if (shape.length === 0) return undefined;
      const rows = shape[0] + g.between(0, 3);
      const order = [...g.random.permutation(rows)].slice(0, shape[0]);
      const table = raw(g, shape.with(0, rows), deviation);
      return g.node("Gather", [table, g.integers(order)], { axis: int(0) }, like(shape));
    },
  ],
  [
    7,
    // Pruned: a mask of zeros and ones, which is no parameter.
    (g, shape, deviation) => {
      const mask = Array.from({ length: elementCount(shape) }, (_, at) => (at < 2 ? at : g.between(0, 1)));
      return g.node("Mul", [raw(g, shape, deviation), g.store(shape, mask)], {}, like(shape));
    },
  ],
  [
    7,
    // Weight normalization.
    (g, shape, deviation) => {
      if (shape.length < 2) return undefined;
      const weight = raw(g, shape, deviation);
      const axes = shape.flatMap((_, axis) => (axis === 0 ? [] : [axis]));
      const norm = g.node("Add", [g.reduced("ReduceL2", weight, axes, true), g.scalar(0.1)], {});
      const direction = g.node("Div", [weight, norm], {}, like(shape));
      const length = raw(
        g,
        shape.map((size, axis) => (axis === 0 ? size : 1)),
        deviation,
      );
      return g.node("Mul", [direction, length], {}, like(shape));
    },
  ],
  [
    7,
    // Of low rank.
    (g, shape, deviation) => {
      if (shape.length !== 2) return undefined;
      const rank = g.between(1, 3);
      const [a, b] = [raw(g, [shape[0], rank], deviation), raw(g, [rank, shape[1]], deviation)];
      return g.node("MatMul", [a, b], {}, like(shape, 2));
    },
  ],
  [
    7,
    (g, shape, deviation) =>
      g.unsqueezedAt(
        raw(
          g,
          shape.filter((size) => size !== 1),
          deviation,
        ),
        shape,
      ),
  ],
  [
    7,
    (g, shape, deviation) => {
      const bounded = g.node("Sigmoid", [raw(g, shape, deviation)], {}, like(shape));
      return g.node(g.pick(["Exp", "Sqrt"] as const), [bounded], {}, like(shape, 3));
    },
  ],
];
