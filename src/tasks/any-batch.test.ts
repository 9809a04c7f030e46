import assert from "node:assert/strict";
import { test } from "node:test";
import { Graph, type Value } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { expand, reshape, transpose } from "../ops/movement.ts";
import { reduceSum } from "../ops/reduction.ts";
import { assertClose } from "../testing/numeric.ts";
import { runModel } from "../testing/onnx-models.ts";
import { forAnyBatch } from "./any-batch.ts";

function networkOf(body: (x: Value) => Value): (batch: number) => Graph {
  return (batch) => {
    const graph = new Graph();
    graph.output("y", body(graph.input("x", "float32", [batch, 2, 3])));
    return graph;
  };
}

/** What sizes of a batch stand in: first, in the middle, as a factor. */
const networks: Record<string, (x: Value) => Value> = {
  "rows for each example": (x) => reshape(x, [x.shape[0], 6]),
  "the batch with another axis": (x) => mul(reshape(reshape(x, [x.shape[0] * 2, 3]), [x.shape[0], 2, 3]), 2),
  "the batch behind another axis": (x) => reshape(transpose(x, [1, 0, 2]), [2, x.shape[0], 3, 1]),
};

for (const [name, body] of Object.entries(networks)) {
  test(`${name}: one file for any batch`, async () => {
    const build = networkOf(body);
    const graph = forAnyBatch(build(1), build(2));
    assert.ok(graph);
    const file = compile(graph, { symbolicBatch: "batch" });
    for (const batch of [1, 2, 5]) {
      const x = tensorData(
        Array.from({ length: 6 * batch }, (_, index) => index),
        [batch, 2, 3],
        "float32",
      );
      const own = (await runModel(compile(build(batch)), { x })).y;
      const { y } = await runModel(file, { x });
      assert.deepEqual(y.shape, own.shape);
      assertClose(y.data as Float32Array, own.data as Float32Array, 0);
    }
  });
}

test("a batch size that is no Reshape's is left alone", () => {
  const bodies: ((x: Value) => Value)[] = [
    (x) => mul(x, 1 / x.shape[0]),
    (x) => add(x, expand(x.graph.scalar(1, x.type), [x.shape[0], 1, 1])),
    (x) => reduceSum(reshape(x, [x.shape[0], 6, ...Array<number>(x.shape[0]).fill(1)])),
  ];
  for (const body of bodies) {
    const build = networkOf(body);
    assert.equal(forAnyBatch(build(1), build(2)), undefined);
  }
});
