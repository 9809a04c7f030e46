import assert from "node:assert/strict";
import { test } from "node:test";
import { randomStream } from "../common/random.ts";
import { tensorData } from "../graph/constants.ts";
import { Graph } from "../graph/graph.ts";
import { many, normal, upTo } from "../testing/by-definition.ts";
import { at } from "../testing/naive.ts";
import { assertClose, evaluate } from "../testing/numeric.ts";
import { softmaxCrossEntropy } from "./losses.ts";

for (const kind of ["uniform", "kl"] as const) {
  test(`${kind} smoothing by its definition`, async () => {
    const random = randomStream(5, kind);
    for (let index = 0; index < 9; index++) {
      const [count, classes] = [upTo(random, 4), 1 + upTo(random, 4)];
      const smoothing = [0, 0.1, 0.4][index % 3];
      const logits = normal(random, [count, classes]);
      const target = many(count, () => random.integer(classes));
      const each = target.map((right, row) => {
        const line = many(classes, () => 0).map((_, column) => at(logits, [row, column])!);
        const total = line.reduce((sum, value) => sum + Math.exp(value), 0);
        const logProbability = line.map((value) => Math.log(Math.exp(value) / total));
        const q = line.map((_, column) => {
          if (kind === "uniform") return smoothing / classes + (column === right ? 1 - smoothing : 0);
          return column === right ? 1 - smoothing : smoothing / (classes - 1);
        });
        // Cross entropy −Σ q·ln p; the divergence KL(q‖p) = Σ q·(ln q − ln p), with 0·ln 0 = 0.
        return q.reduce((sum, mass, column) => {
          const own = kind === "kl" && mass > 0 ? Math.log(mass) : 0;
          return sum + mass * (own - logProbability[column]);
        }, 0);
      });
      const options = { labelSmoothing: smoothing, labelSmoothingKind: kind };
      for (const type of ["int32", "int64"] as const) {
        const graph = new Graph();
        const value = graph.input("logits", "float64", [count, classes]);
        const classNumbers = graph.input("target", type, [count]);
        const { none, mean } = await evaluate(
          {
            none: softmaxCrossEntropy(value, classNumbers, { ...options, reduction: "none" }),
            mean: softmaxCrossEntropy(value, classNumbers, options),
          },
          {
            logits: tensorData(logits.data, logits.shape, "float64"),
            target: tensorData(target, [count], type),
          },
        );
        assertClose(none, each, 1e-12);
        assertClose(mean, [each.reduce((sum, loss) => sum + loss, 0) / count], 1e-12);
      }
    }
  });
}

test("kl is 0 where the network says exactly the smoothed label", async () => {
  const graph = new Graph();
  const logits = [0.9, 0.05, 0.05].map(Math.log);
  const { loss } = await evaluate({
    loss: softmaxCrossEntropy(
      graph.constant(tensorData(logits, [1, 3], "float64")),
      graph.constant(tensorData([0], [1], "int64")),
      { labelSmoothing: 0.1, labelSmoothingKind: "kl" },
    ),
  });
  assert.ok(Math.abs(loss[0]) < 1e-15, `${loss[0]}`);
});

test("logits beyond the range of exp are no problem", async () => {
  for (const [type, large] of [
    ["float32", 1e4],
    ["float64", 1e5],
  ] as const) {
    const graph = new Graph();
    const { loss } = await evaluate({
      loss: softmaxCrossEntropy(
        graph.constant(tensorData([large, 0, -large, large], [2, 2], type)),
        graph.constant(tensorData([0, 0], [2], "int64")),
        { reduction: "none" },
      ),
    });
    assertClose(loss, [0, 2 * large], 1e-7);
  }
});
