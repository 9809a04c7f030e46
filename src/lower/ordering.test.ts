import assert from "node:assert/strict";
import { test } from "node:test";
import { Graph } from "../graph/graph.ts";
import { readModel } from "../onnx/model.ts";
import { readTensor } from "../onnx/tensor.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { relu } from "../ops/elementwise.ts";
import { reshape } from "../ops/movement.ts";
import { after } from "../ops/ordering.ts";
import { fusedOperators } from "../runtime/onnxruntime.ts";
import { evaluate, tensor } from "../testing/numeric.ts";
import { compile } from "./compile.ts";
import type { Target } from "./target.ts";

const targets: Record<string, Target> = { "the processor": {}, "a device": { lacks: [] } };

for (const [name, target] of Object.entries(targets)) {
  for (const number of [0, 3, -3, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    test(`what waits for ${number} on ${name} has the numbers it had`, async () => {
      const graph = new Graph();
      const x = graph.input("x", "float32", [2, 1, 3]);
      const other = graph.input("other", "float32", [2, 2]);
      const feeds = {
        x: tensor([1, -2, Number.NaN, -0, Number.POSITIVE_INFINITY, 5], [2, 1, 3], "float32"),
        other: tensor([number, 1, 2, 3], [2, 2], "float32"),
      };
      const { y } = await evaluate({ y: reshape(after(x, other), [3, 2]) }, feeds, { target });
      assert.deepEqual(y, Array.from(feeds.x.data as Float32Array));
    });
  }
}

test("ONNX Runtime neither drops the wait nor shares what is computed before it", async () => {
  const graph = new Graph();
  const x = graph.input("x", "float32", [4, 4]);
  const y = relu(reshape(x, [2, 8]));
  const again = relu(after(reshape(x, [2, 8]), y));
  graph.output("z", mul(y, again));
  const operators = await fusedOperators(compile(graph));
  assert.equal(operators.filter((operator) => operator === "Relu").length, 2);
  assert.ok(operators.includes("Unsqueeze"));
});

test("a program in which something waits leaves the sizes of its data open, and those of its weights not", async () => {
  const program = (waits: boolean) => {
    const graph = new Graph();
    const [x, weight] = ["x", "weight"].map((name) => graph.input(name, "float32", [4, 6]));
    const sum = add(reshape(x, [8, 3]), reshape(waits ? after(weight, x) : weight, [8, 3]));
    graph.output("weight.next", reshape(sum, [4, 6]));
    const { input, node, initializer } = readModel(compile(graph)).graph!;
    const first = Object.fromEntries(
      input.map(({ name, type }) => {
        const tensor = type!.value.case === "tensorType" ? type!.value.value : undefined;
        return [name, tensor?.shape?.dim[0].value.case];
      }),
    );
    const tensors = new Map(initializer.map((tensor) => [tensor.name, readTensor(tensor)]));
    const sizes = node
      .filter(({ opType }) => opType === "Reshape")
      .flatMap(({ input: [, name] }) => Array.from(tensors.get(name)?.data as BigInt64Array, Number));
    return { first, open: sizes.filter((size) => size === -1).length };
  };
  assert.deepEqual(program(false), { first: { x: "dimValue", weight: "dimValue" }, open: 0 });
  // The element that is waited for becomes a vector of one, which has nothing to leave open.
  assert.deepEqual(program(true), { first: { x: undefined, weight: "dimValue" }, open: 3 });
});
