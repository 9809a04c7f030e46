import { UserError } from "../common/errors.ts";
import type { Random } from "../common/random.ts";
import { symmetricEigen } from "../flatness/symmetric-eigen.ts";
import { Graph, type Value } from "../graph/graph.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, div, mul, neg } from "../ops/arithmetic.ts";
import { softplus } from "../ops/elementwise.ts";
import { gather } from "../ops/indexing.ts";
import { matMul } from "../ops/linear.ts";
import { reduceMean, reduceSum } from "../ops/reduction.ts";
import type { Objective } from "../optim/training-step.ts";
import type { ProblemKind } from "./configuration.ts";

// Losses of known smoothness τ with stochastic gradients of known variance σ², as objectives of a training step in
// float64. Their one parameter is `w`. What one step sees of a loss is its sample, the input `sample`: noise that is added
// to the gradient, or the rows of a mini-batch. All passes of a step see the same sample.

/** The names of a problem's two inputs. */
export const inputs = { weights: "w", sample: "sample" } as const;

export interface Problem {
  kind: ProblemKind;
  /** The loss of one sample. */
  objective: Objective;
  /** The loss L itself, in the same graph. */
  loss: Value;
  start: readonly number[];
  /** τ, the Lipschitz constant of ∇L. */
  smoothness: number;
  /** σ² = E‖∇L(w; sample) − ∇L(w)‖²; of logistic regression, where it depends on w, at the start. */
  variance: number;
  draw(random: Random): TensorData;
}

/**
 * L(w) = ½ wᵀAw, plus noise·w in a sample. τ is the largest eigenvalue of A.
 * @param matrix A, symmetric, row by row
 */
export function quadraticProblem(options: {
  matrix: readonly (readonly number[])[];
  start: readonly number[];
  variance: number;
}): Problem {
  const { matrix, start, variance } = options;
  const size = start.length;
  if (matrix.length !== size || matrix.some((row) => row.length !== size))
    throw new UserError(`a quadratic of ${size} weights needs a matrix of ${size} rows and columns`);
  const { graph, w } = parameter(size);
  const a = constant(graph, matrix.flat(), [size, size]);
  const loss = mul(0.5, reduceSum(mul(w, matMul(a, w))));
  const { values } = symmetricEigen(size, (row, column) => matrix[row][column]);
  return withNoise("quadratic", { w, loss, start, smoothness: values[0], variance });
}

/** L(w) = Σ fᵢ wᵢ²/(1 + wᵢ²), plus noise·w in a sample. The second derivative of w²/(1 + w²) is at most 2, at 0. */
export function nonConvexProblem(options: {
  factors: readonly number[];
  start: readonly number[];
  variance: number;
}): Problem {
  const { factors, start, variance } = options;
  if (factors.length !== start.length)
    throw new UserError(`${start.length} weights need as many factors; ${factors.length} are given`);
  const { graph, w } = parameter(start.length);
  const square = mul(w, w);
  const loss = reduceSum(mul(constant(graph, factors, [factors.length]), div(square, add(1, square))));
  return withNoise("non-convex", { w, loss, start, smoothness: 2 * Math.max(...factors), variance });
}

/**
 * L(w) = mean over all rows of log(1 + exp(−y·xᵀw)) + ½ l2 ‖w‖²; a sample is the mean over a mini-batch of them.
 * The second derivative of log(1 + exp(−z)) is at most ¼, so τ is at most the largest eigenvalue of XᵀX/(4 rows) + l2.
 * @param rows X, one list per example
 * @param labels y, each 1 or −1
 */
export function logisticProblem(options: {
  rows: readonly (readonly number[])[];
  labels: readonly number[];
  l2: number;
  batchSize: number;
  start: readonly number[];
}): Problem {
  const { rows, labels, l2, batchSize, start } = options;
  const size = start.length;
  if (rows.length !== labels.length || rows.some((row) => row.length !== size))
    throw new UserError(`logistic regression needs a label and ${size} numbers for each row`);
  const { graph, w } = parameter(size);
  // Every row times its label: only y·x enters the loss.
  const signed = rows.map((row, index) => row.map((value) => labels[index] * value));
  const all = constant(graph, signed.flat(), [rows.length, size]);
  const over = (part: Value) =>
    add(reduceMean(softplus(neg(matMul(part, w)))), mul(l2 / 2, reduceSum(mul(w, w))));
  const sample = graph.input(inputs.sample, "int64", [batchSize]);
  const { values } = symmetricEigen(
    size,
    (i, j) => rows.reduce((sum, row) => sum + row[i] * row[j], 0) / (4 * rows.length),
  );
  return {
    kind: "logistic",
    objective: objectiveOf(w, over(gather(all, sample))),
    loss: over(all),
    start,
    smoothness: values[0] + l2,
    variance: varianceOfBatch(signed, start, batchSize),
    draw: (random) => batchSample([...random.permutation(rows.length)].slice(0, batchSize)),
  };
}

/** The mini-batch of the given rows as a sample of logistic regression. */
export function batchSample(rows: readonly number[]): TensorData {
  return tensorData(rows, [rows.length], "int64");
}

/** Noise as a sample of the other problems. */
export function noiseSample(noise: readonly number[]): TensorData {
  return tensorData(noise, [noise.length], "float64");
}

function parameter(size: number) {
  const graph = new Graph();
  return { graph, w: graph.input(inputs.weights, "float64", [size]) };
}

function constant(graph: Graph, values: readonly number[], shape: readonly number[]): Value {
  return graph.constant(tensorData(values, shape, "float64"));
}

function objectiveOf(w: Value, loss: Value): Objective {
  return { loss, parameters: new Map([[inputs.weights, w]]), buffers: new Map() };
}

/** Isotropic normal noise on the gradient, of the given expected squared norm. */
function withNoise(
  kind: ProblemKind,
  { w, ...problem }: Omit<Problem, "kind" | "objective" | "draw"> & { w: Value },
): Problem {
  const { loss, start, variance } = problem;
  const sample = w.graph.input(inputs.sample, "float64", [start.length]);
  const deviation = Math.sqrt(variance / start.length);
  return {
    kind,
    ...problem,
    objective: objectiveOf(w, add(loss, reduceSum(mul(sample, w)))),
    draw: (random) => noiseSample(start.map(() => deviation * random.normal())),
  };
}

/** The variance of the mean of `batchSize` rows drawn without replacement: that of one row, divided and corrected. */
function varianceOfBatch(
  signed: readonly (readonly number[])[],
  w: readonly number[],
  batchSize: number,
): number {
  const count = signed.length;
  if (count === batchSize) return 0;
  const gradients = signed.map((row) => {
    const margin = row.reduce((sum, value, index) => sum + value * w[index], 0);
    return row.map((value) => -value / (1 + Math.exp(margin)));
  });
  const mean = w.map((_, index) => gradients.reduce((sum, gradient) => sum + gradient[index], 0) / count);
  const squares = gradients.map((gradient) =>
    gradient.reduce((sum, value, index) => sum + (value - mean[index]) ** 2, 0),
  );
  const ofOneRow = squares.reduce((sum, value) => sum + value, 0) / count;
  return ((ofOneRow / batchSize) * (count - batchSize)) / (count - 1);
}
