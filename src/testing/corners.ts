import { readFileSync } from "node:fs";
import { gradients, innerProduct } from "../autodiff/gradients.ts";
import { elementCount, Graph, type Shape, type Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { apply, float, int, ints } from "../ops/operator.ts";
import * as ops from "../ops.ts";

// Gradients where a function is not smooth, or its formula divides by zero: the cases of fixtures/corners, which holds
// what PyTorch's autograd gives, and how each is built here.

/** A number, or one that JSON has no numeral for. */
type NumberText = number | "inf" | "-inf" | "nan";

interface Reference {
  operator: string;
  point: string;
  /** The expression that PyTorch differentiated. */
  torch: string;
  inputs: readonly { shape: Shape; values: readonly NumberText[] }[];
  /** Of the second derivative, per input. */
  vectors: readonly (readonly number[])[];
  first: readonly (readonly NumberText[])[];
  /** Null where PyTorch has no second derivative. */
  second: readonly (readonly NumberText[])[] | null;
}

interface Form {
  build: (x: Value, y: Value, z: Value) => Value;
  /** Where the numbers here are others than PyTorch's, on purpose. */
  differs?: { why: string; first?: readonly number[][]; second?: readonly number[][] };
}

export interface Corner extends Form, Reference {
  name: string;
}

/** The derivatives that a corner has to have here. */
export interface Derivatives {
  first: readonly (readonly number[])[];
  /** Undefined where there is nothing to compare with. */
  second: readonly (readonly number[])[] | undefined;
}

const one = (operator: string, attributes: Parameters<typeof apply>[2] = {}) => ({
  build: (x: Value) => apply(operator, [x], attributes)[0],
});
const two = (operator: string, attributes: Parameters<typeof apply>[2] = {}) => ({
  build: (x: Value, y: Value) => apply(operator, [x, y], attributes)[0],
});
const power = (exponent: number) => ({ build: (x: Value) => ops.pow(x, exponent) });
const windows = (operator: string, kernel: number, attributes: Parameters<typeof apply>[2] = {}) =>
  one(operator, { kernel_shape: ints([kernel]), strides: ints([kernel]), ...attributes });
const normWhy = "PyTorch divides 0 by 0; here the gradient's own derivative is 0 too";
const pieceWhy =
  "PyTorch takes the slope of the lower piece and the second derivative of the upper one; here both are the lower piece's";
const lower = (form: Form, second: readonly number[][]): Form => ({
  ...form,
  differs: { why: pieceWhy, second },
});
const scatter = (indices: readonly number[], reduction: string) => ({
  build: (x: Value, y: Value) => {
    const places = x.graph.constant(tensorData(indices, [indices.length], "int64"));
    return apply("ScatterElements", [x, places, y], { axis: int(0), reduction: { string: reduction } })[0];
  },
});
const classes = (x: Value, ...numbers: number[]) =>
  x.graph.constant(tensorData(numbers, [numbers.length], "int64"));
const sampled = (padding: "zeros" | "border" | "reflection", alignCorners: boolean) => ({
  build: (x: Value, y: Value) => ops.gridSample(x, y, { mode: "linear", padding, alignCorners }),
});

const forms: Readonly<Record<string, Form>> = {
  "Abs: 0": one("Abs"),
  "Sign: 0": one("Sign"),
  "Floor: integers": one("Floor"),
  "Ceil: integers": one("Ceil"),
  "Round: halves": one("Round"),
  "Relu: 0": one("Relu"),
  "Relu: below a root": { build: (x) => ops.sqrt(ops.relu(x)) },
  "Relu: 0, below a root": { build: (x) => ops.sqrt(ops.relu(x)) },
  "Relu: below a logarithm that is not chosen": {
    build: (x) => ops.where(ops.greater(x, 0), ops.log(ops.relu(x)), 0),
  },
  "Relu: below a quotient that is not chosen": {
    build: (x) => ops.where(ops.greater(x, 0), ops.div(1, ops.relu(x)), 0),
  },
  "LeakyRelu: 0": one("LeakyRelu", { alpha: float(0.1) }),
  "PRelu: 0": lower(two("PRelu"), [[0.5, 0.75, 0], [0.75]]),
  "Elu: 0": lower(one("Elu", { alpha: float(1.5) }), [[1.5 * 1.5 * Math.exp(-1), 1.5 * 1.5 * -0.5, 0]]),
  "Celu: 0": lower(one("Celu", { alpha: float(2) }), [[(1.5 / 2) * Math.exp(-0.5), (1.5 / 2) * -0.5, 0]]),
  "Selu: 0": lower(one("Selu"), [
    [1.7580993408473768 * 1.5 * Math.exp(-1), 1.7580993408473768 * 1.5 * -0.5, 0],
  ]),
  "ThresholdedRelu: alpha": one("ThresholdedRelu"),
  "ThresholdedRelu: below a root": { build: (x) => ops.sqrt(apply("ThresholdedRelu", [x])[0]) },
  "Shrink: lambda, without a bias": one("Shrink", { lambd: float(0.5) }),
  "Shrink: lambda, with a bias": one("Shrink", { lambd: float(0.5), bias: float(0.5) }),
  "HardSigmoid: limits": { build: (x) => ops.hardSigmoid(x) },
  "HardSwish: limits": one("HardSwish"),
  "HardSwish: limits, from others": { build: ops.hardSwish },
  "Clip: limits": { build: (x) => ops.clip(x, -1, 1) },
  "Clip: limits that are computed": { build: (x, y, z) => apply("Clip", [x, y, z])[0] },
  "Clip: the lower limit above the upper": { build: (x, y, z) => apply("Clip", [x, y, z])[0] },
  "Clip: below a root": { build: (x) => ops.sqrt(apply("Clip", [x, x.graph.scalar(0, x.type)])[0]) },
  "Softplus: far out": one("Softplus"),
  "Softplus: far out, negated: logsigmoid": { build: (x) => ops.neg(ops.softplus(ops.neg(x))) },
  "Sigmoid: far out": one("Sigmoid"),
  "Tanh: far out": one("Tanh"),
  "Softsign: 0": one("Softsign"),
  "Gelu: far out": one("Gelu"),
  "Mish: far out": {
    ...one("Mish"),
    differs: {
      why: "PyTorch's formula has 0·∞ at 800; the slope is constant there",
      second: [[0, -0.48, 0]],
    },
  },
  "Swish: far out": one("Swish"),
  "Erf: far out": one("Erf"),
  "Sqrt: 0": one("Sqrt"),
  "Log: 0": one("Log"),
  "Exp: minus infinity": one("Exp"),
  "Reciprocal: 0": one("Reciprocal"),
  "Tan: 0": one("Tan"),
  "Asin: limits": one("Asin"),
  "Acos: limits": one("Acos"),
  "Acosh: 1": {
    ...one("Acosh"),
    differs: {
      why: "neither is finite; the formula here keeps its digits near 1",
      second: [[Number.NaN, (1.5 * 0.5 * 2) / 3 ** 1.5]],
    },
  },
  "Asinh: 0": one("Asinh"),
  "Atan: infinity": one("Atan"),
  "Atanh: limits": one("Atanh"),
  "Div: 0": two("Div"),
  "Pow: 0 to the 0": power(0),
  "Pow: 0 to the 1/2": power(0.5),
  "Pow: 0 to the 1": power(1),
  "Pow: 0 squared": power(2),
  "Pow: 0 cubed": power(3),
  "Pow: 0 to the -1": power(-1),
  "Pow: 0 to an exponent that is computed": {
    ...two("Pow"),
    differs: {
      why: "PyTorch takes the logarithm of 0, and leaves 1/x out of the mixed derivative at an exponent of 0",
      second: [
        [0, 0, 2, 0.625, 37.42994775023705],
        [0, -0.75, 0, 0.6005662673977518 + 2.5 * 1.5 * 0.5, -1.1803407490237632],
      ],
    },
  },
  "Pow: a negative base, an exponent that is computed": two("Pow"),
  "Max: equal elements": two("Max"),
  "Min: equal elements": two("Min"),
  "Max: with 0, below a root": { build: (x, y) => ops.sqrt(ops.maximum(x, y)) },
  "Mod: whole quotients": two("Mod", { fmod: int(1) }),
  "Where: infinite slope in the branch that is not chosen": {
    build: (x) => ops.where(ops.greater(x, 1), x, ops.abs(x)),
  },
  "ReduceL1: zero vector": { build: (x) => ops.reduceL1(x, [1]) },
  "ReduceL2: zero vector": {
    build: (x) => ops.reduceL2(x, [1]),
    differs: { why: normWhy, second: [[0, 0, -0.12, 0.09]] },
  },
  "ReduceL2: zero vector behind a ReLU": { build: (x) => ops.reduceL2(ops.relu(x), [1]) },
  "ReduceL2: zero vector, normalized": {
    build: (x) => {
      const positive = ops.relu(x);
      const length = apply("Clip", [ops.reduceL2(positive, [1], true), x.graph.scalar(1e-12, x.type)])[0];
      return ops.div(positive, ops.expand(length, x.shape));
    },
  },
  "ReduceSumSquare: zero vector, below a root": { build: (x) => ops.sqrt(ops.reduceSumSquare(x, [1])) },
  "ReduceMax: equal elements": { build: (x) => ops.reduceMax(x, [1]) },
  "ReduceMin: equal elements": { build: (x) => ops.reduceMin(x, [1]) },
  "ReduceMax: all minus infinity": { build: (x) => ops.reduceMax(x, [1]) },
  "ReduceProd: one zero": { build: (x) => ops.reduceProd(x, [1]) },
  "ReduceProd: two zeros": { build: (x) => ops.reduceProd(x, [1]) },
  "ReduceProd: three zeros": { build: (x) => ops.reduceProd(x, [1]) },
  "CumProd: two zeros": { build: (x) => apply("CumProd", [x, x.graph.scalar(0, "int64")])[0] },
  "ReduceLogSum: sum of 0": { build: (x) => ops.reduceLogSum(x, [1]) },
  "ReduceLogSumExp: all minus infinity": { build: (x) => ops.reduceLogSumExp(x, [1]) },
  "ReduceMean: one element": { build: (x) => ops.reduceMean(x, [1]) },
  "Softmax: some minus infinity": { build: (x) => ops.softmax(x) },
  "Softmax: all minus infinity": { build: (x) => ops.softmax(x) },
  "LogSoftmax: all minus infinity": { build: (x) => ops.logSoftmax(x) },
  "SoftmaxCrossEntropyLoss: minus infinity beside the target": {
    build: (x) => apply("SoftmaxCrossEntropyLoss", [x, classes(x, 1)])[0],
  },
  "softmaxCrossEntropy: minus infinity beside the target": {
    build: (x) => ops.softmaxCrossEntropy(x, classes(x, 1)),
  },
  "NegativeLogLikelihoodLoss: minus infinity at an ignored target": {
    build: (x) => ops.negativeLogLikelihood(x, classes(x, 0, 1), { ignoreIndex: 0 }),
  },
  "NegativeLogLikelihoodLoss: all targets ignored": {
    build: (x) => ops.negativeLogLikelihood(x, classes(x, 0), { ignoreIndex: 0 }),
  },
  "Attention: a row in which nothing may be seen": {
    build: (x, y, z) => {
      const data = new Uint8Array([0, 0, 1, 1]);
      return ops.attention(x, y, z, { mask: x.graph.constant({ type: "bool", shape: [2, 2], data }) });
    },
  },
  "MaxPool: equal elements": { build: (x) => ops.maxPool(x, [2], { strides: [1] }) },
  "GlobalMaxPool: equal elements": one("GlobalMaxPool"),
  "LpPool: a window of zeros, p 1": windows("LpPool", 2, { p: int(1) }),
  "LpPool: a window of zeros, p 2": windows("LpPool", 2),
  "LpPool: a window of zeros, p 3": windows("LpPool", 2, { p: int(3) }),
  "LpPool: as PyTorch exports it": {
    build: (x) => {
      const mean = ops.averagePool(ops.pow(x, 2), [2]);
      return ops.pow(ops.mul(ops.mul(ops.sign(mean), ops.relu(ops.abs(mean))), 2), 0.5);
    },
  },
  "GlobalLpPool: zeros, p 1": one("GlobalLpPool", { p: int(1) }),
  "GlobalLpPool: zeros, p 2": {
    ...one("GlobalLpPool", { p: int(2) }),
    differs: { why: normWhy, second: [[0, 0, 0, 0.75]] },
  },
  "GlobalLpPool: zeros, p 3": one("GlobalLpPool", { p: int(3) }),
  "AveragePool: zeros": { build: (x) => ops.averagePool(x, [2]) },
  "TopK: distinct elements": { build: (x) => ops.topK(x, 2).values },
  "LayerNormalization: zero variance": { build: (x, y, z) => ops.layerNorm(x, y, z) },
  "RMSNormalization: zero vector": { build: (x, y) => ops.rmsNorm(x, y) },
  "InstanceNormalization: zero variance": { build: (x, y, z) => ops.instanceNorm(x, y, z) },
  "GroupNormalization: zero variance": { build: (x, y, z) => ops.groupNorm(x, 1, y, z) },
  "BatchNormTraining: zero variance": { build: (x, y, z) => ops.batchNormTraining(x, y, z, 1e-5).y },
  "BatchNormalization: zero variance": {
    build: (x, y, z) => {
      const [mean, variance] = [2, 0].map((value) => x.graph.constant(tensorData([value], [1], x.type)));
      return ops.batchNormInference(x, y, z, mean, variance, 1e-5);
    },
  },
  "LRN: zeros": one("LRN", { size: int(3) }),
  "Det: singular": one("Det"),
  "Det: rank 1": one("Det"),
  "Einsum: zeros": { build: (x, y) => ops.einsum("i,i->", [x, y]) },
  "ScatterElements: equal elements, max": scatter([0, 1, 1], "max"),
  "ScatterElements: equal elements, min": scatter([0, 1, 1], "min"),
  "ScatterElements: zeros, mul": scatter([0, 1, 1], "mul"),
  "ScatterElements: two zeros, mul": scatter([0, 0], "mul"),
  "GridSample: on elements and edges, padding zeros, align_corners 1": sampled("zeros", true),
  "GridSample: on elements and edges, padding zeros, align_corners 0": sampled("zeros", false),
  "GridSample: on elements and edges, padding border, align_corners 1": sampled("border", true),
  "GridSample: on elements and edges, padding border, align_corners 0": sampled("border", false),
  "GridSample: on elements and edges, padding reflection, align_corners 1": sampled("reflection", true),
  "GridSample: on elements and edges, padding reflection, align_corners 0": sampled("reflection", false),
  "FakeQuantize: limits and rounding": {
    build: (x) => {
      const [scale, zero] = [0.5, 2].map((value) => x.graph.scalar(value, x.type));
      return ops.fakeQuantize(x, scale, zero, { type: "uint4" });
    },
  },
};

const folder = new URL("../../fixtures/corners/", import.meta.url);
const references: readonly Reference[] = JSON.parse(readFileSync(new URL("corners.json", folder), "utf8"));

/** All cases. Throws when the fixture and the forms here do not name the same ones. */
export function corners(): Corner[] {
  const named = references.map((reference) => ({
    ...reference,
    name: `${reference.operator}: ${reference.point}`,
  }));
  const unknown = Object.keys(forms).filter((name) => !named.some((reference) => reference.name === name));
  if (unknown.length > 0) throw new Error(`corners.json has no ${unknown.join("; ")}`);
  return named.map((reference) => {
    if (!Object.hasOwn(forms, reference.name)) throw new Error(`corners.ts does not build ${reference.name}`);
    return { ...reference, ...forms[reference.name] };
  });
}

/** What PyTorch gives, or what is given here on purpose. */
export function expected({ first, second, differs }: Corner): Derivatives {
  return {
    first: differs?.first ?? first.map(numbers),
    second: differs?.second ?? second?.map(numbers),
  };
}

export function numbers(texts: readonly NumberText[]): number[] {
  return texts.map((text) => {
    if (typeof text === "number") return text;
    return { inf: Number.POSITIVE_INFINITY, "-inf": Number.NEGATIVE_INFINITY, nan: Number.NaN }[text];
  });
}

/** A graph of both derivatives of all cases, by the names of `derivativeName`, and what to feed it. */
export function cornersGraph(cases: readonly Corner[], type: "float32" | "float64") {
  const graph = new Graph();
  const feeds = new Map<string, ReturnType<typeof tensorData>>();
  const constant = (values: readonly number[], shape: Shape) =>
    graph.constant(tensorData(values, shape, type));
  for (const { name, inputs, vectors, build } of cases) {
    const values = inputs.map(({ shape, values: texts }, index) => {
      const input = `${name} ${index}`;
      feeds.set(input, tensorData(numbers(texts), shape, type));
      return graph.input(input, type, shape);
    });
    const [x, y, z] = values;
    const result = build(x, y, z);
    const weights = Array.from({ length: elementCount(result.shape) }, (_, index) => 1 + index / 2);
    const first = gradients(innerProduct([result], [constant(weights, result.shape)]), values);
    const along = vectors.map((vector, index) => constant(vector, inputs[index].shape));
    const second = gradients(innerProduct(first, along), values);
    for (const [index, value] of first.entries()) graph.output(derivativeName(name, "first", index), value);
    for (const [index, value] of second.entries()) graph.output(derivativeName(name, "second", index), value);
  }
  return { graph, feeds: Object.fromEntries(feeds) };
}

export function derivativeName(name: string, order: "first" | "second", input: number): string {
  return `${name} ${order} ${input}`;
}
