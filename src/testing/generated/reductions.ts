import { elementCount } from "../../graph/graph.ts";
import type { AttributeValue } from "../../onnx/attributes.ts";
import { int } from "../../ops/operator.ts";
import type { Drawing, Drawn } from "./drawing.ts";
import { asFloat, type Template } from "./elementwise.ts";

/** Of each reduction: what it is given, so that it is defined and stays small. */
const domains = {
  ReduceL1: "all",
  ReduceL2: "all",
  ReduceLogSum: "positive",
  ReduceLogSumExp: "all",
  ReduceMax: "all",
  ReduceMean: "all",
  ReduceMin: "all",
  ReduceProd: "positive",
  ReduceSum: "all",
  ReduceSumSquare: "all",
} as const;

function reduce(g: Drawing, operator: keyof typeof domains): Drawn {
  const x = g.ofRank(1, 4);
  const given = domains[operator] === "positive" ? g.positive(g.bounded(x)) : x;
  const rank = x.shape.length;
  const axes = x.shape.flatMap((_, axis) => (g.chance(0.5) ? [axis] : []));
  const keepdims = g.chance(0.5);
  const since = operator === "ReduceSum" ? 13 : 18;
  const kept: Record<string, AttributeValue> =
    keepdims && g.chance(0.5) ? {} : { keepdims: int(keepdims ? 1 : 0) };
  const all = x.shape.map((_, axis) => axis);
  // Without axes all are reduced, unless the node says that none is.
  const noop = axes.length === 0 && g.opset >= since && g.chance(0.5);
  const reduced = axes.length > 0 ? axes : noop ? [] : all;
  const shape = x.shape.flatMap((size, axis) => (reduced.includes(axis) ? (keepdims ? [1] : []) : [size]));
  const size = growth(operator, given, reduced);
  if (axes.length === 0) {
    const empty = g.opset >= since && g.chance(0.4) ? g.store([0], [], { type: "int64" }) : undefined;
    const attributes = noop ? { noop_with_empty_axes: int(1) } : {};
    return g.node(operator, [given, empty], { ...kept, ...attributes }, { shape, size });
  }
  const written = axes.map((axis) => g.written(axis, rank));
  const [input, attributes] = g.setting("axes", since, written);
  return g.node(operator, [given, input], { ...attributes, ...kept }, { shape, size });
}

function growth(operator: keyof typeof domains, x: Drawn, axes: readonly number[]): number {
  const count = elementCount(axes.map((axis) => x.shape[axis]));
  if (operator === "ReduceProd") return x.size ** Math.min(count, 8);
  if (operator === "ReduceSumSquare") return x.size ** 2 * count;
  return operator === "ReduceL1" || operator === "ReduceSum" ? x.size * count : x.size;
}

function extremePlace(g: Drawing, operator: "ArgMax" | "ArgMin"): Drawn {
  const x = g.ofRank(1, 4);
  const axis = g.axis(x);
  const keepdims = g.chance(0.5);
  const attributes: Record<string, AttributeValue> = {
    ...(axis === 0 && g.chance(0.5) ? {} : { axis: int(g.written(axis, x.shape.length)) }),
    ...(keepdims && g.chance(0.5) ? {} : { keepdims: int(keepdims ? 1 : 0) }),
    ...(g.opset >= 12 && g.chance(0.3) && { select_last_index: int(1) }),
  };
  const shape = x.shape.flatMap((size, at) => (at === axis ? (keepdims ? [1] : []) : [size]));
  return asFloat(g, g.node(operator, [x], attributes, { type: "int64", shape, size: 4 }));
}

/** Softmax and its like, whose axis meant another thing before opset 13. */
function alongAxis(g: Drawing, operator: string): Drawn {
  const x = g.ofRank(1, 4);
  const axis = g.axis(x);
  const defaultAxis = g.opset < 13 ? 1 : x.shape.length - 1;
  const leave = x.shape.length > defaultAxis && g.chance(0.4);
  return g.node(operator, [x], leave ? {} : { axis: int(g.written(axis, x.shape.length)) }, { size: 2 });
}

export const reductionTemplates: Readonly<Record<string, Template>> = {
  ...Object.fromEntries(
    (Object.keys(domains) as (keyof typeof domains)[]).map((operator): [string, Template] => [
      operator,
      { since: 7, draw: (g) => reduce(g, operator) },
    ]),
  ),
  ArgMax: { since: 7, draw: (g) => extremePlace(g, "ArgMax") },
  ArgMin: { since: 7, draw: (g) => extremePlace(g, "ArgMin") },
  Softmax: { since: 7, draw: (g) => alongAxis(g, "Softmax") },
  LogSoftmax: { since: 7, draw: (g) => alongAxis(g, "LogSoftmax") },
  Hardmax: { since: 7, draw: (g) => alongAxis(g, "Hardmax") },
  CumSum: {
    since: 11,
    draw: (g) => {
      const x = g.ofRank(1, 3);
      const axis = g.axis(x);
      const type = g.pick(["int32", "int64"] as const);
      const at = g.store([], [g.written(axis, x.shape.length)], { type });
      const attributes = {
        ...(g.chance(0.4) && { exclusive: int(1) }),
        ...(g.chance(0.4) && { reverse: int(1) }),
      };
      return g.node("CumSum", [x, at], attributes, { size: x.size * x.shape[axis] });
    },
  },
  CumProd: {
    since: 26,
    draw: (g) => {
      const x = g.bounded(g.ofRank(1, 3));
      const at = g.store([], [g.written(g.axis(x), x.shape.length)], { type: "int64" });
      const attributes = {
        ...(g.chance(0.4) && { exclusive: int(1) }),
        ...(g.chance(0.4) && { reverse: int(1) }),
      };
      return g.node("CumProd", [x, at], attributes, { size: 1 });
    },
  },
  TopK: {
    since: 7,
    draw: (g) => {
      const x = g.ofRank(1, 3);
      const axis = g.axis(x);
      const k = g.between(1, x.shape[axis]);
      const shape = x.shape.with(axis, k);
      const order = g.opset >= 11 && g.chance(0.5) ? { largest: int(0), sorted: int(1) } : {};
      const along = { axis: int(g.written(axis, x.shape.length)) };
      const outputs = [{ shape }, { shape, type: "int64" as const, size: 4 }];
      if (g.opset < 10) {
        const [values, places] = g.nodeOf("TopK", [x], { k: int(k), ...along }, outputs);
        return [values, asFloat(g, places)];
      }
      const [values, places] = g.nodeOf("TopK", [x, g.integers([k])], { ...along, ...order }, outputs);
      return g.chance(0.5) ? values : [values, asFloat(g, places)];
    },
  },
};
