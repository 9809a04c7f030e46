import { elementCount, type Node, sameShape, type Value } from "../graph/graph.ts";
import { neg } from "../ops/arithmetic.ts";
import { intAttribute } from "../ops/operator.ts";

// Softmax, LogSoftmax and Sigmoid in a graph, as operators or written out.

export interface Activation {
  name: "Softmax" | "LogSoftmax" | "Sigmoid";
  /** What it is of, in its own shape. */
  before: Value;
  /** The axes that are normalized together; none for a Sigmoid. */
  axes: readonly number[];
}

/** The activation that a value is the result of, if it is one. */
export function activationOf(value: Value): Activation | undefined {
  const node = nodeOf(value);
  const [x, y] = node?.inputs ?? [];
  if (!node || !x) return undefined;
  switch (node.operator) {
    case "Softmax":
      return { name: "Softmax", before: x, axes: [axisOf(node, x)] };
    case "Sigmoid":
      return { name: "Sigmoid", before: x, axes: [] };
    case "LogSoftmax":
    case "Sub":
      return logSoftmaxOf(node);
    // e^(log softmax)
    case "Exp": {
      const inner = nodeOf(x);
      const log = inner && logSoftmaxOf(inner);
      return log && { ...log, name: "Softmax" };
    }
    case "Mul": {
      const inverse = y && nodeOf(y);
      return inverse?.operator === "Reciprocal" && inverse.inputs[0]
        ? quotient(x, inverse.inputs[0], value)
        : undefined;
    }
    case "Div":
      return y && quotient(x, y, value);
    case "Reciprocal": {
      const exponent = onePlusExp(x);
      return exponent && { name: "Sigmoid", before: neg(exponent), axes: [] };
    }
    default:
      return undefined;
  }
}

/** The node that makes a value. */
export function nodeOf({ origin }: Value): Node | undefined {
  return origin.kind === "node" ? origin.node : undefined;
}

/** The number that a constant of one element holds. */
export function constantNumber({ origin, shape }: Value): number | undefined {
  return origin.kind === "constant" && elementCount(shape) === 1 ? Number(origin.data.data[0]) : undefined;
}

/** The axes over which `value` is the sum of `of`, as it is divided by: with the rank of `of`, kept above 0, stretched. */
export function sumOf(value: Value, of: Value): readonly number[] | undefined {
  let at = value;
  let node = nodeOf(at);
  while (node && ["Expand", "Add", "Max", "Clip"].includes(node.operator)) {
    // Besides the sum only numbers that keep it above 0.
    const rest = node.inputs.slice(1);
    if (node.operator !== "Expand" && rest.some((input) => input && constantNumber(input) === undefined))
      break;
    at = node.inputs[0] ?? at;
    node = nodeOf(at);
  }
  const { shape } = at;
  while (node && ["Reshape", "Unsqueeze"].includes(node.operator))
    node = node.inputs[0] && nodeOf(node.inputs[0]);
  if (node?.operator !== "ReduceSum" && node?.operator !== "ReduceL1") return undefined;
  if (node.inputs[0] !== of || shape.length !== of.shape.length) return undefined;
  return of.shape.flatMap((size, axis) => (size !== 1 && shape[axis] === 1 ? [axis] : []));
}

/** eˣ / Σ eˣ, 1 / (1 + eˣ) or eˣ / (1 + eˣ). */
function quotient(x: Value, y: Value, value: Value): Activation | undefined {
  const maker = nodeOf(x);
  const exponent = maker?.operator === "Exp" ? maker.inputs[0] : undefined;
  const below = onePlusExp(y);
  if (exponent && sameShape(exponent.shape, value.shape)) {
    if (below === exponent) return { name: "Sigmoid", before: exponent, axes: [] };
    const axes = sumOf(y, x);
    return axes && { name: "Softmax", before: exponent, axes };
  }
  return below && constantNumber(x) === 1 ? { name: "Sigmoid", before: neg(below), axes: [] } : undefined;
}

/** What eˣ is of in 1 + eˣ. */
function onePlusExp(value: Value): Value | undefined {
  const node = nodeOf(value);
  if (node?.operator !== "Add") return undefined;
  const [x, y] = node.inputs;
  if (!x || !y) return undefined;
  const maker = constantNumber(x) === 1 ? nodeOf(y) : constantNumber(y) === 1 ? nodeOf(x) : undefined;
  return maker?.operator === "Exp" ? maker.inputs[0] : undefined;
}

/** By its operator, or as x − ln Σ eˣ. */
function logSoftmaxOf(node: Node): Activation | undefined {
  const [x, y] = node.inputs;
  if (!x) return undefined;
  if (node.operator === "LogSoftmax") return { name: "LogSoftmax", before: x, axes: [axisOf(node, x)] };
  const sum = y && nodeOf(y);
  const source = sum?.inputs[0];
  if (node.operator !== "Sub" || !sum || !source || y.shape.length !== x.shape.length) return undefined;
  const inner = nodeOf(source);
  const isOfX =
    sum.operator === "ReduceLogSumExp"
      ? source === x
      : sum.operator === "Log" &&
        inner?.operator === "ReduceSum" &&
        inner.inputs[0] !== undefined &&
        nodeOf(inner.inputs[0])?.operator === "Exp" &&
        nodeOf(inner.inputs[0])?.inputs[0] === x;
  const axes = x.shape.flatMap((size, axis) => (size !== 1 && y.shape[axis] === 1 ? [axis] : []));
  return isOfX ? { name: "LogSoftmax", before: x, axes } : undefined;
}

function axisOf(node: Node, { shape }: Value): number {
  const axis = intAttribute(node.attributes, "axis", -1);
  return axis < 0 ? axis + shape.length : axis;
}
