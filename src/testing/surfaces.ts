import type { Random } from "../common/random.ts";
import type { LossModel } from "../flatness/curvature-graphs.ts";
import type { LinearOperator } from "../flatness/krylov.ts";
import { type LossSurface, openSurface, type Surface } from "../flatness/surface.ts";
import { Graph } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, mul, sub } from "../ops/arithmetic.ts";
import { matMul } from "../ops/linear.ts";
import { reshape } from "../ops/movement.ts";
import { reduceSum, reduceSumSquare } from "../ops/reduction.ts";
import type { Tensors } from "../runtime/engine.ts";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";
import { buildProblem, type Float } from "./problems.ts";

// Losses of known curvature, for tests of what measures it.

/** Opens a surface on engines of this thread and closes them however `body` ends. */
export async function usingSurface<T>(
  surface: LossSurface,
  body: (opened: Surface) => Promise<T>,
  { engines = 1, memory }: { engines?: number; memory?: number } = {},
): Promise<T> {
  const opened = Array.from({ length: engines }, () => new OnnxRuntimeEngine({ threads: 1 }));
  try {
    return await body(await openSurface(opened, surface, { memory }));
  } finally {
    for (const engine of opened) await engine.close();
  }
}

/** The mean loss of one model on one batch that is the same at every call. */
export function singleBatch(
  build: () => LossModel,
  tensors: Tensors,
  feeds: Tensors = {},
  size = 1,
): LossSurface {
  const copies = () =>
    Object.fromEntries(
      Object.entries(feeds).map(([name, tensor]) => [
        name,
        { ...tensor, data: tensor.data.slice() } as typeof tensor,
      ]),
    );
  return { build, tensors, batches: [{ size, feeds: copies }] };
}

/** ½·wᵀHw + bᵀw at a given w, in float64, with w as one parameter. */
export function quadraticSurface(
  H: readonly (readonly number[])[],
  b: readonly number[],
  w: readonly number[],
) {
  const n = w.length;
  const build = () => {
    const graph = new Graph();
    const weights = graph.input("w", "float64", [n]);
    const row = reshape(weights, [1, n]);
    const Hw = matMul(row, graph.constant(tensorData(H.flat(), [n, n], "float64")));
    const quadratic = mul(0.5, reduceSum(mul(row, Hw)));
    const linear = reduceSum(mul(weights, graph.constant(tensorData(b, [n], "float64"))));
    return { loss: add(quadratic, linear), parameters: new Map([["w", weights]]) };
  };
  return singleBatch(build, { w: tensorData(w, [n], "float64") });
}

/** One of the problems of fixtures/vectors, whose batch is the data set. */
export function problemSurface(name: "mlp" | "cnn", type: Float): LossSurface {
  const { start } = buildProblem(name, type);
  const { x, y, ...tensors } = start;
  return singleBatch(() => buildProblem(name, type).objective, tensors, { x, y }, y.shape[0]);
}

/** ½‖w − cᵢ‖², a center cᵢ for each batch of one. */
export function centresSurface(points: number[][]): LossSurface {
  return {
    build: () => {
      const graph = new Graph();
      const weights = graph.input("w", "float64", [2]);
      const difference = sub(weights, graph.input("c", "float64", [2]));
      return { loss: mul(0.5, reduceSumSquare(difference)), parameters: new Map([["w", weights]]) };
    },
    tensors: { w: tensorData([0, 0], [2], "float64") },
    batches: points.map((point) => ({ size: 1, feeds: () => ({ c: tensorData(point, [2], "float64") }) })),
  };
}

/** A symmetric matrix of chosen eigenvalues, its eigenvectors random. */
export function matrixOfSpectrum(eigenvalues: readonly number[], random: Random) {
  const n = eigenvalues.length;
  const vectors: number[][] = [];
  for (let k = 0; k < n; k++) {
    let vector = Array.from({ length: n }, () => random.normal());
    for (let pass = 0; pass < 2; pass++) {
      for (const other of vectors) {
        const share = product(vector, other);
        vector = vector.map((value, i) => value - share * other[i]);
      }
    }
    const length = Math.hypot(...vector);
    vectors.push(vector.map((value) => value / length));
  }
  const matrix = Array.from({ length: n }, (_, i) =>
    Array.from({ length: n }, (_, j) =>
      eigenvalues.reduce((sum, value, k) => sum + value * vectors[k][i] * vectors[k][j], 0),
    ),
  );
  return { matrix, vectors };
}

/** Multiplication by a matrix, counting. */
export function matrixOperator(matrix: readonly (readonly number[])[]): LinearOperator & { calls: number } {
  const operator = async (vector: Float64Array) => {
    operator.calls++;
    return Float64Array.from(matrix, (row) => product(row, vector));
  };
  operator.calls = 0;
  return operator;
}

/** ⟨a, b⟩. */
export function product(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
