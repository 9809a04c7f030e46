import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Random, randomStream } from "../common/random.ts";
import { elementCount, Graph, type Shape, type Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { cases } from "./extent.ts";
import { assertClose, checkGradient, compileForTest, type GradientCheck } from "./numeric.ts";

// Tables of random cases of operators, each checked three ways: the gradient and the gradient of the gradient against
// central differences in float64, and the float64 forward, plain where ONNX Runtime has no kernel, against ONNX
// Runtime's float32 kernel.

const casesPerRule = cases(2, 5);

/** One random case of an operator. */
export type Case = (random: Random) => Pick<GradientCheck, "shapes" | "build" | "draw" | "type">;

export const size = (random: Random, largest = 4) => 1 + random.integer(largest);
export const shapeOf = (random: Random, rank = random.integer(4)): Shape =>
  Array.from({ length: rank }, () => size(random));
export const pick = <T>(random: Random, values: readonly T[]): T => values[random.integer(values.length)];

/** A shape that broadcasts with `shape`: axes dropped in front or set to 1. */
export function partner(random: Random, shape: Shape): Shape {
  return shape.slice(random.integer(shape.length + 1)).map((length) => (random.uniform() < 0.3 ? 1 : length));
}

export function unary(build: (x: Value) => Value, settings: Partial<ReturnType<Case>> = {}): Case {
  return (random) => ({ shapes: [shapeOf(random)], build: ([x]) => build(x), ...settings });
}

export function binary(build: (a: Value, b: Value) => Value, draw?: GradientCheck["draw"]): Case {
  return (random) => {
    const shape = shapeOf(random);
    const shapes = random.uniform() < 0.5 ? [shape, partner(random, shape)] : [partner(random, shape), shape];
    return { shapes, build: ([a, b]) => build(a, b), draw };
  };
}

/** Away from zero on either side; above zero. */
export const awayFromZero = (random: Random) => (0.5 + random.uniform()) * pick(random, [-1, 1]);
export const positive = (random: Random) => 0.5 + random.uniform();

/** A constant of whole numbers, of the graph that x is in. */
export function indices(
  x: Value,
  values: readonly number[],
  shape: Shape,
  type: "int32" | "int64" = "int64",
): Value {
  return x.graph.constant(tensorData(values, shape, type));
}

/** One test per operator and check, each of a few random cases. */
export function testGradients(table: Readonly<Record<string, Case>>): void {
  for (const order of [1, 2] as const) {
    describe(`derivative ${order}, ${casesPerRule} cases each`, () => {
      for (const [name, build] of Object.entries(table)) {
        test(name, async () => {
          for (let index = 0; index < casesPerRule; index++) {
            const random = randomStream(7, `${name} ${order}`, index);
            await checkGradient({ ...build(random), random, order });
          }
        });
      }
    });
  }
  describe(`the same in float32 and float64, ${casesPerRule} cases each`, () => {
    for (const [name, build] of Object.entries(table)) {
      test(name, async () => {
        for (let index = 0; index < casesPerRule; index++) await checkKernel(build, name, index);
      });
    }
  });
}

async function checkKernel(build: Case, name: string, index: number): Promise<void> {
  const results: number[][] = [];
  for (const type of ["float32", "float64"] as const) {
    const random = randomStream(7, `${name} kernel`, index);
    const { shapes, build: forward, draw = (source: Random) => source.normal() } = build(random);
    const graph = new Graph();
    const y = forward(shapes.map((shape, input) => graph.input(`x${input}`, type, shape)));
    graph.output("y", y);
    const program = await compileForTest(graph);
    const feeds = shapes.map((shape, input) => {
      const values = Array.from({ length: elementCount(shape) }, () => Math.fround(draw(random, input)));
      return [`x${input}`, tensorData(values, shape, type)] as const;
    });
    try {
      results.push((await program.run(Object.fromEntries(feeds))).y);
    } finally {
      await program.close();
    }
    assert.equal(results.at(-1)!.length, elementCount(y.shape), `${name}: ${y.shape}`);
  }
  assertClose(results[0], results[1], 1e-4, name);
}
