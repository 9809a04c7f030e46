import { elementCount, type Value } from "../graph/graph.ts";
import { add, addAll, mul } from "../ops/arithmetic.ts";
import { cast } from "../ops/elementwise.ts";
import { matMul } from "../ops/linear.ts";
import { reshape } from "../ops/movement.ts";
import { apply, floatAttribute, int, intAttribute, normalizeAxes } from "../ops/operator.ts";
import { layerNormStatistics } from "../ops/statistics-normalization.ts";
import type { Adapter, ImportedNode } from "./adapter.ts";

/** Many inputs, two at a time. */
const pairwise: Adapter = (node) => {
  const values = node.inputs.map((_, index) => node.input(index));
  return [values.reduce((result, value) => apply(node.operator, [result, value])[0])];
};

const clipBetween: Adapter = (node) => {
  const x = node.input(0);
  const open = x.type === "float32" || x.type === "float64";
  const bound = (index: number, fallback: number) => {
    const value = node.inputs[index];
    if (value) return reshape(value, []);
    return open ? node.graph.scalar(fallback, x.type) : undefined;
  };
  return node.build([x, bound(1, Number.NEGATIVE_INFINITY), bound(2, Number.POSITIVE_INFINITY)], {});
};

/** Vectors become matrices of one row or one column, which the product then loses. */
const product: Adapter = (node) => {
  const [a, b] = [node.input(0), node.input(1)];
  const left = a.shape.length === 1 ? reshape(a, [1, ...a.shape]) : a;
  const right = b.shape.length === 1 ? reshape(b, [...b.shape, 1]) : b;
  const y = matMul(left, right);
  const rows = a.shape.length === 1 ? [] : [y.shape.at(-2)!];
  const columns = b.shape.length === 1 ? [] : [y.shape.at(-1)!];
  return [reshape(y, [...y.shape.slice(0, -2), ...rows, ...columns])];
};

/** Before opset 13 the axes from `axis` on were taken together; its default was 1 instead of −1. */
const softmax: Adapter = (node) => {
  const x = node.input(0);
  if (node.opset >= 13) return alongAxis(node, x, intAttribute(node.attributes, "axis", -1));
  const [axis] = normalizeAxes(node.operator, x, [intAttribute(node.attributes, "axis", 1)]);
  if (elementCount(x.shape.slice(axis + 1)) === 1) return alongAxis(node, x, axis);
  const rows = elementCount(x.shape.slice(0, axis));
  const [y] = alongAxis(node, reshape(x, [rows, elementCount(x.shape) / rows]), 1);
  return [reshape(y, x.shape)];
};

function alongAxis(node: ImportedNode, x: Value, axis: number): readonly Value[] {
  return node.build([x], { axis: int(normalizeAxes(node.operator, x, [axis])[0]) });
}

const reduction: Adapter = (node) => {
  const x = node.input(0);
  const given = node.numbers(1, "axes") ?? [];
  if (given.length === 0 && intAttribute(node.attributes, "noop_with_empty_axes", 0) === 1) return [x];
  const axes = given.length > 0 ? node.sizes(normalizeAxes(node.operator, x, given)) : undefined;
  return node.build([x, axes], { keepdims: int(intAttribute(node.attributes, "keepdims", 1)) });
};

/** Mean and 1/deviation are made beside it where they are asked for. */
const layerNormalization: Adapter = (node) => {
  const [y] = node.build();
  if (node.outputCount === 1) return [y];
  const axis = intAttribute(node.attributes, "axis", -1);
  const epsilon = floatAttribute(node.attributes, "epsilon", 1e-5);
  const { mean, inverseDeviation } = layerNormStatistics(node.input(0), axis, epsilon);
  return [y, mean, inverseDeviation];
};

export const arithmeticAdapters: Readonly<Record<string, Adapter>> = {
  Max: pairwise,
  Min: pairwise,
  Clip: clipBetween,
  MatMul: product,
  Pow: (node) => node.build([node.input(0), cast(node.input(1), node.input(0).type)]),
  Softmax: softmax,
  LogSoftmax: softmax,
  LayerNormalization: layerNormalization,
  Identity: (node) => [node.input(0)],
  CastLike: (node) => [cast(node.input(0), node.input(1).type)],
  Sum: (node) => [node.inputs.map((_, index) => node.input(index)).reduce((sum, value) => add(sum, value))],
  Mean: (node) => [mul(addAll(node.inputs.map((_, index) => node.input(index))), 1 / node.inputs.length)],
  ...Object.fromEntries(
    ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"].map((kind) => [
      `Reduce${kind}`,
      reduction,
    ]),
  ),
};
