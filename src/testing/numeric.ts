import assert from "node:assert/strict";
import { gradients, innerProduct } from "../autodiff/gradients.ts";
import type { Random } from "../common/random.ts";
import { elementCount, Graph, type Shape, type Value } from "../graph/graph.ts";
import { type CompileOptions, compile } from "../lower/compile.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import type { DataType } from "../onnx/types.ts";
import { reduceSum } from "../ops/reduction.ts";
import type { Tensors } from "../runtime/engine.ts";
import { OnnxRuntimeEngine } from "../runtime/onnxruntime.ts";

// Running graphs in tests, and comparing gradients with finite differences.

/** A graph compiled for a test: run it as often as needed, then close it. */
export function compileForTest(graph: Graph, options: CompileOptions = {}) {
  return loadForTest(compile(graph, options));
}

/** Runs a compiled program once. */
export async function runProgram(bytes: Uint8Array, feeds: Tensors) {
  const program = await loadForTest(bytes);
  try {
    return await program.run(feeds);
  } finally {
    await program.close();
  }
}

async function loadForTest(bytes: Uint8Array) {
  const engine = new OnnxRuntimeEngine({ threads: 1 });
  await engine.load("test", bytes);
  return {
    engine,
    run: async (feeds: Tensors) => numbersOf((await engine.run("test", feeds)).outputs),
    close: () => engine.close(),
  };
}

/** Runs named values of one graph once. */
export async function evaluate(
  values: Record<string, Value>,
  feeds: Tensors = {},
  options: CompileOptions = {},
) {
  const graph = Object.values(values)[0].graph;
  for (const [name, value] of Object.entries(values)) graph.output(name, value);
  return runProgram(compile(graph, options), feeds);
}

function numbersOf(tensors: Tensors): Record<string, number[]> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, { data }]) => [name, Array.from(data as ArrayLike<number>, Number)]),
  );
}

export interface GradientCheck {
  /** Shapes of the inputs; all are differentiated. */
  shapes: readonly Shape[];
  build: (inputs: Value[]) => Value;
  random: Random;
  /** Draws one number of an input; default: standard normal. */
  draw?: (random: Random, input: number) => number;
  /** Which derivative: 1 compares the gradient, 2 the gradient of ⟨gradient, random vector⟩. Default 1. */
  order?: 1 | 2;
  /** float64 (default), or float32 where the runtime has no float64 kernel: steps are larger and looser compared. */
  type?: "float32" | "float64";
}

/**
 * Compares a gradient with central differences along random directions. The scalar that is differentiated is
 * ⟨build(inputs), random constant⟩, so every element of the output counts.
 */
export async function checkGradient({
  shapes,
  build,
  random,
  draw = (source) => source.normal(),
  order = 1,
  type = "float64",
}: GradientCheck): Promise<void> {
  const [step, tolerance] = type === "float64" ? [1e-5, 1e-7] : [1e-2, 2e-2];
  const graph = new Graph();
  const normal = (shape: Shape) => Array.from({ length: elementCount(shape) }, () => random.normal());
  const constant = (shape: Shape) => graph.constant(tensorData(normal(shape), shape, type));
  const inputs = shapes.map((shape, index) => graph.input(`x${index}`, type, shape));
  const output = build(inputs);
  let scalar = reduceSum(innerProduct([output], [constant(output.shape)]));
  if (order === 2) scalar = innerProduct(gradients(scalar, inputs), shapes.map(constant));
  graph.output("scalar", scalar);
  for (const [index, gradient] of gradients(scalar, inputs).entries()) graph.output(`g${index}`, gradient);

  const program = await compileForTest(graph);
  try {
    const point = shapes.map((shape, index) =>
      Array.from({ length: elementCount(shape) }, () => draw(random, index)),
    );
    const feeds = (values: readonly (readonly number[])[]): Tensors =>
      Object.fromEntries(shapes.map((shape, index) => [`x${index}`, tensorData(values[index], shape, type)]));
    const at = await program.run(feeds(point));
    const gradient = shapes.map((_, index) => at[`g${index}`]);
    const size = Math.hypot(...gradient.flat());
    for (let direction = 0; direction < 4; direction++) {
      const along = shapes.map(normal);
      const length = Math.hypot(...along.flat());
      const moved = (sign: number) =>
        point.map((values, index) =>
          values.map((value, i) => value + (sign * step * along[index][i]) / length),
        );
      const above = (await program.run(feeds(moved(1)))).scalar[0];
      const below = (await program.run(feeds(moved(-1)))).scalar[0];
      const measured = (above - below) / (2 * step);
      const computed =
        gradient.reduce(
          (sum, values, index) => sum + values.reduce((s, v, i) => s + v * along[index][i], 0),
          0,
        ) / length;
      const scale = Math.max(size, 1e-2 * Math.abs(at.scalar[0]), 1e-3);
      assert.ok(
        Math.abs(measured - computed) <= tolerance * scale,
        `order ${order}: finite difference ${measured}, gradient ${computed} (gradient norm ${size}) for shapes ${JSON.stringify(shapes)}`,
      );
    }
  } finally {
    await program.close();
  }
}

/** Asserts that two lists of numbers agree: |a − b| ≤ relative·(largest |b|) for every element. */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  relative: number,
  what = "value",
) {
  assert.equal(actual.length, expected.length, `${what}: length`);
  const scale = Array.from(expected).reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  for (let index = 0; index < expected.length; index++) {
    const error = Math.abs(actual[index] - expected[index]);
    assert.ok(
      error <= relative * Math.max(scale, 1e-12),
      `${what}[${index}]: got ${actual[index]}, expected ${expected[index]} (error ${error}, scale ${scale})`,
    );
  }
}

/** Feeds from plain numbers. */
export function tensor(values: ArrayLike<number>, shape: Shape, type: DataType = "float64") {
  return tensorData(values, shape, type);
}
