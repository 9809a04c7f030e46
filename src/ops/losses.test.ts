import assert from "node:assert/strict";
import { test } from "node:test";
import { gradients } from "../autodiff/gradients.ts";
import { randomStream } from "../common/random.ts";
import { Graph } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
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

// torch.nn.functional.cross_entropy of PyTorch 2.13 in float64, with weight [0.5, 2, 1.25].
const weighted = {
  logits: [0.3, -1.2, 2, 1.5, 0.2, -0.4, -0.7, 0.9, 0.1, 0, 0.4, -2.2],
  target: [2, 0, 1, 1],
  classWeights: [0.5, 2, 1.25],
  cases: [
    {
      labelSmoothing: 0,
      none: [0.2520890561909882, 0.17606747114466978, 1.0030354573331455, 1.1130432968952744],
      mean: 0.44247570114157875,
      gradient: [
        0.03246062221378069, 0.0072429438330785635, -0.039703566046859255, -0.025809980334825344,
        0.016664376566743754, 0.009145603768081597, 0.04252894385714788, -0.13717884905678882,
        0.09464990519964091, 0.13364418818240761, -0.14845238632978844, 0.014808198147380857,
      ],
    },
    {
      labelSmoothing: 0.4,
      none: [1.2187557228576549, 0.945041287164805, 1.0925801387331737, 1.4060868023609832],
      mean: 0.8108632958463682,
      gradient: [
        0.020866419315229968, -0.03913386776112433, 0.018267448445894376, 0.03406635030485916,
        -0.019713809087412888, -0.014352541217446255, 0.02455539938002498, -0.07602231155334294,
        0.05146691217331796, 0.10200335705649576, -0.08560481823539262, -0.016398538821103082,
      ],
    },
  ],
};

test("class weights as PyTorch's", async () => {
  const { logits, target, classWeights, cases } = weighted;
  for (const { labelSmoothing, none, mean, gradient } of cases) {
    const graph = new Graph();
    const value = graph.input("logits", "float64", [4, 3]);
    const classNumbers = graph.constant(tensorData(target, [4], "int64"));
    const options = { labelSmoothing, classWeights };
    const loss = softmaxCrossEntropy(value, classNumbers, options);
    const outputs = await evaluate(
      {
        none: softmaxCrossEntropy(value, classNumbers, { ...options, reduction: "none" }),
        mean: loss,
        gradient: gradients(loss, [value])[0],
      },
      { logits: tensorData(logits, [4, 3], "float64") },
    );
    assertClose(outputs.none, none, 1e-12);
    assertClose(outputs.mean, [mean], 1e-12);
    assertClose(outputs.gradient, gradient, 1e-12);
  }
});

test("class weights multiply a divergence by the factor of the right class", async () => {
  const graph = new Graph();
  const logits = graph.constant(tensorData(weighted.logits, [4, 3], "float64"));
  const target = graph.constant(tensorData(weighted.target, [4], "int64"));
  const options = { labelSmoothing: 0.1, labelSmoothingKind: "kl", reduction: "none" } as const;
  const { plain, factored } = await evaluate({
    plain: softmaxCrossEntropy(logits, target, options),
    factored: softmaxCrossEntropy(logits, target, { ...options, classWeights: [2, 3, 5] }),
  });
  assertClose(
    factored,
    Array.from(plain, (loss, row) => loss * [2, 3, 5][weighted.target[row]]),
    1e-12,
  );
});

test("class weights: a batch whose classes all weigh nothing has the loss 0; others are refused", async () => {
  const graph = new Graph();
  const logits = graph.constant(tensorData([1, 2, 3, 4], [2, 2], "float64"));
  const target = graph.constant(tensorData([0, 0], [2], "int64"));
  const { loss } = await evaluate({ loss: softmaxCrossEntropy(logits, target, { classWeights: [0, 1] }) });
  assert.equal(loss[0], 0);
  for (const classWeights of [[1], [1, -1], [1, Number.NaN], [1, Number.POSITIVE_INFINITY]])
    assert.throws(
      () => softmaxCrossEntropy(logits, target, { classWeights }),
      /classWeights is .*; it has to be 2 finite numbers of 0 or more/,
    );
});
