import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { randomStream } from "../common/random.ts";
import { elementCount, Graph, type Value } from "../graph/graph.ts";
import { nodesOf } from "../graph/walk.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { gemm } from "../ops/linear.ts";
import { assertClose, evaluate, tensor } from "../testing/numeric.ts";
import { lower } from "./lower.ts";

interface Case {
  /** By what the bias moves: as the weights, by another number, not at all; or there is none. */
  bias?: "moves" | "moves otherwise" | "stays" | "none";
  /** Whether the product at w is there as well. */
  first?: boolean;
  rows?: number;
  expected: { products: number; sums: number };
}

const [inputs, outputs] = [40, 12];

/** Products of x with weights at w, w + up·u and w + down·u. */
function products({ bias = "moves", first = true, rows = 4 }: Case) {
  const graph = new Graph();
  const input = (name: string, ...shape: number[]) => graph.input(name, "float32", shape);
  const x = input("x", rows, inputs);
  const [w, u] = [input("w", outputs, inputs), input("u", outputs, inputs)];
  const [b, v] = [input("b", outputs), input("v", outputs)];
  const [up, down, other] = ["up", "down", "other"].map((name) => input(name));
  const product = (weight: Value, offset: Value) =>
    gemm(x, weight, bias === "none" ? undefined : offset, { transposeB: true });
  const at = (by: Value) => {
    const biasBy = bias === "moves otherwise" ? other : by;
    return product(add(w, mul(u, by)), bias === "stays" ? b : add(b, mul(v, biasBy)));
  };
  return {
    graph,
    values: {
      ...(first && { "at w": product(w, b) }),
      "at up": at(up),
      "at down": at(down),
    },
  };
}

/** What the products come to, one number after the other. */
function expectedNumbers(feeds: Record<string, readonly number[]>, bias: Case["bias"], by: number): number[] {
  const { x, w, u, b, v, other } = feeds;
  const biasBy = { moves: by, "moves otherwise": by === 0 ? 0 : other[0], stays: 0, none: 0 }[
    bias ?? "moves"
  ];
  return Array.from({ length: (x.length / inputs) * outputs }, (_, index) => {
    const [row, column] = [Math.floor(index / outputs), index % outputs];
    let sum = bias === "none" ? 0 : b[column] + biasBy * v[column];
    for (let k = 0; k < inputs; k++)
      sum += x[row * inputs + k] * (w[column * inputs + k] + by * u[column * inputs + k]);
    return sum;
  });
}

const cases: Record<string, Case> = {
  "with their bias": { expected: { products: 2, sums: 2 } },
  "without a bias": { bias: "none", expected: { products: 2, sums: 2 } },
  "with a bias that stays": { bias: "stays", expected: { products: 2, sums: 2 } },
  "with a bias that moves by another number": {
    bias: "moves otherwise",
    expected: { products: 3, sums: 3 }, // the moved bias is one sum of both
  },
  "without the product at w": { first: false, expected: { products: 2, sums: 4 } },
  "with more results than half the weights": { rows: 21, expected: { products: 3, sums: 4 } },
};

for (const [name, problem] of Object.entries(cases)) {
  describe(`products of one batch with moved weights, ${name}`, () => {
    test("what is shared", () => {
      const { graph, values } = products(problem);
      for (const [key, value] of Object.entries(values)) graph.output(key, value);
      const nodes = nodesOf(lower(graph).outputs.values());
      const count = (operator: string) => nodes.filter((node) => node.operator === operator).length;
      assert.deepEqual({ products: count("Gemm"), sums: count("Add") }, problem.expected);
    });

    test("the numbers", async () => {
      const { graph, values } = products(problem);
      const random = randomStream(5, "moved weights");
      const tensors = [...graph.inputs].map(([key, { shape }]) => {
        const numbers = Array.from({ length: elementCount(shape) }, () => random.normal());
        return [key, tensor(numbers, shape, "float32")] as const;
      });
      const feeds = Object.fromEntries(tensors);
      const numbers = Object.fromEntries(
        tensors.map(([key, { data }]) => [key, Array.from(data as Float32Array)]),
      );
      const actual = await evaluate(values, feeds);
      for (const key of Object.keys(values)) {
        const by = key === "at w" ? 0 : numbers[key.slice("at ".length)][0];
        assertClose(actual[key], expectedNumbers(numbers, problem.bias, by), 1e-5, key);
      }
    });
  });
}
