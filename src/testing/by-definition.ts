import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Random, randomStream } from "../common/random.ts";
import { Graph, type Shape, type Value } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { cases } from "./extent.ts";
import { type Dense, dense } from "./naive.ts";
import { assertClose, evaluate } from "./numeric.ts";

// Tests of operators on random shapes against their definitions (`naive.ts`), in both float types: ONNX Runtime's own
// kernels in float32, and what stands for those it lacks in float64.

/** One random case: the inputs, the graph over them, and what should come out. */
export interface DefinitionCase {
  inputs: readonly Dense[];
  build: (inputs: Value[]) => Value;
  expected: Dense;
}

const casesPerOperator = cases(3, 8);
const tolerance = { float64: 1e-12, float32: 1e-5 };

/** One test per operator and float type, each of several random cases. */
export function testByDefinition(
  operators: Readonly<Record<string, (random: Random) => DefinitionCase>>,
): void {
  for (const type of ["float32", "float64"] as const) {
    describe(`by definition in ${type}, ${casesPerOperator} cases each`, () => {
      for (const [name, draw] of Object.entries(operators)) {
        test(name, async () => {
          for (let index = 0; index < casesPerOperator; index++) {
            await checkDefinition(draw(randomStream(3, name, index)), type);
          }
        });
      }
    });
  }
}

async function checkDefinition(
  { inputs, build, expected }: DefinitionCase,
  type: "float32" | "float64",
): Promise<void> {
  const graph = new Graph();
  const y = build(inputs.map(({ shape }, index) => graph.input(`x${index}`, type, shape)));
  assert.deepEqual(y.shape, expected.shape);
  const feeds = Object.fromEntries(
    inputs.map(({ shape, data }, index) => [`x${index}`, tensorData(data, shape, type)]),
  );
  const actual = await evaluate({ y }, feeds);
  const shapes = JSON.stringify(inputs.map(({ shape }) => shape));
  assertClose(actual.y, expected.data, tolerance[type], shapes);
}

/** A whole number from 1 to `largest`. */
export function upTo(random: Random, largest: number): number {
  return 1 + random.integer(largest);
}

export function many<T>(count: number, draw: () => T): T[] {
  return Array.from({ length: count }, draw);
}

/** Sizes from 1 to 4. */
export function shapeOf(random: Random, rank: number): Shape {
  return many(rank, () => upTo(random, 4));
}

/** Normally distributed numbers of deviation 2. */
export function normal(random: Random, shape: Shape): Dense {
  return dense(shape, () => 2 * random.normal());
}
