import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { UserError } from "../common/errors.ts";
import { randomStream } from "../common/random.ts";
import { elementCount, type Shape } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import type { Tensors } from "../runtime/engine.ts";
import { assertClose, evaluate } from "../testing/numeric.ts";
import {
  averagePool,
  batchNorm,
  conv2d,
  flatten,
  globalAveragePool,
  linear,
  maxPool,
  relu,
  residual,
  sequential,
} from "./layers.ts";
import { buildModel, initialTensors, type Layer } from "./module.ts";

const double = (layer: Layer, inputShape: Shape, { training = true, batchSize = 2 } = {}) =>
  buildModel(layer, { inputShape, batchSize, training, type: "float64" });

const normal = (shape: Shape, seed: number, factor = 1) => {
  const random = randomStream(seed, "layers");
  return Array.from({ length: elementCount(shape) }, () => factor * random.normal());
};

/** Runs a layer in float64 on given numbers. */
async function run(layer: Layer, inputShape: Shape, input: readonly number[], tensors: Tensors = {}) {
  const batchSize = input.length / elementCount(inputShape);
  const model = double(layer, inputShape, { training: false, batchSize });
  const feeds = { input: tensorData(input, [batchSize, ...inputShape], "float64") };
  const { y } = await evaluate({ y: model.logits }, { ...initialTensors(model, 1), ...tensors, ...feeds });
  return { y, shape: model.logits.shape };
}

describe("BatchNorm", () => {
  test("inference with the batch's own mean and population variance is training's normalization", async () => {
    for (const shape of [[3], [2, 5], [4, 3, 2]]) {
      const channels = shape[0];
      const [layer, batchSize] = [batchNorm(channels, { epsilon: 0.01 }), 6];
      const training = double(layer, shape, { batchSize });
      const x = normal([batchSize, ...shape], 1, 3);
      const parameters = {
        weight: tensorData(normal([channels], 2), [channels], "float64"),
        bias: tensorData(normal([channels], 3), [channels], "float64"),
      };
      const feeds = { ...parameters, input: tensorData(x, [batchSize, ...shape], "float64") };
      const { y } = await evaluate({ y: training.logits }, feeds);

      const places = elementCount(shape) / channels;
      const statistics = Array.from({ length: channels }, (_, channel) => {
        const seen = x.filter((_, index) => Math.floor(index / places) % channels === channel);
        const mean = seen.reduce((sum, value) => sum + value, 0) / seen.length;
        return { mean, variance: seen.reduce((sum, value) => sum + (value - mean) ** 2, 0) / seen.length };
      });
      const running: Tensors = {
        running_mean: tensorData(
          statistics.map(({ mean }) => mean),
          [channels],
          "float64",
        ),
        running_var: tensorData(
          statistics.map(({ variance }) => variance),
          [channels],
          "float64",
        ),
      };
      const inference = await run(layer, shape, x, { ...parameters, ...running });
      // ONNX holds ε in float32.
      assertClose(inference.y, y, 1e-9);
    }
  });

  test("momentum is the share of the new batch", async () => {
    const training = double(batchNorm(1, { momentum: 0.25 }), [1], { batchSize: 4 });
    const next = Object.fromEntries(training.bufferUpdates);
    // 1, 2, 3, 6: mean 3, squared deviations 4 + 1 + 0 + 9 = 14, unbiased variance 14/3.
    const actual = await evaluate(
      { mean: next.running_mean, variance: next.running_var },
      {
        ...initialTensors(training, 0),
        input: tensorData([1, 2, 3, 6], [4, 1], "float64"),
        running_mean: tensorData([10], [1], "float64"),
        running_var: tensorData([2], [1], "float64"),
      },
    );
    assertClose(actual.mean, [0.75 * 10 + 0.25 * 3], 1e-12);
    assertClose(actual.variance, [0.75 * 2 + (0.25 * 14) / 3], 1e-12);
  });

  test("training on one value per channel has no variance", () => {
    assert.throws(() => double(sequential({ bn: batchNorm(3) }), [3], { batchSize: 1 }), {
      name: "UserError",
      message: 'batchNorm "bn": float64 [1, 3] has one value per channel, which has no variance',
    });
  });
});

describe("layers", () => {
  test("linear is x·Wᵀ + b", async () => {
    const weights = {
      weight: tensorData([1, 2, 3, 4, 5, 6], [2, 3], "float64"),
      bias: tensorData([10, 20], [2], "float64"),
    };
    const { y } = await run(linear(3, 2), [3], [1, 0, -1, 2, 1, 0], weights);
    assert.deepEqual(y, [8, 18, 14, 33]);
    const bare = await run(linear(3, 2, { bias: false }), [3], [1, 0, -1], { weight: weights.weight });
    assert.deepEqual(bare.y, [-2, -2]);
  });

  test("conv2d takes stride, padding, dilation and groups as PyTorch does", () => {
    // PyTorch's formula: ⌊(size + 2·padding − dilation·(kernel − 1) − 1)/stride⌋ + 1.
    const model = double(
      conv2d(4, 6, 3, { stride: 2, padding: 2, dilation: 2, groups: 2, bias: false }),
      [4, 9, 12],
    );
    assert.deepEqual(model.logits.shape, [2, 6, 5, 6]);
    assert.deepEqual(
      model.parameters.map(({ name, shape }) => [name, shape]),
      [["weight", [6, 2, 3, 3]]],
    );
    for (const [inputs, outputs] of [
      [3, 4],
      [4, 3],
    ]) {
      assert.throws(() => conv2d(inputs, outputs, 3, { groups: 2 }), UserError);
    }
  });

  test("pooling strides are the kernel unless given", async () => {
    const x = Array.from({ length: 16 }, (_, index) => index);
    assert.deepEqual((await run(maxPool(2), [1, 4, 4], x)).y, [5, 7, 13, 15]);
    assert.deepEqual((await run(averagePool(2), [1, 4, 4], x)).y, [2.5, 4.5, 10.5, 12.5]);
    assert.deepEqual((await run(maxPool(3, { stride: 1 }), [1, 4, 4], x)).y, [10, 11, 14, 15]);
    // Padding counts as zeros: the corner window holds one pixel of four.
    const padded = await run(averagePool(2, { padding: 1 }), [1, 4, 4], x);
    assert.deepEqual(padded.y, [0, 3 / 4, 3 / 4, 3, 7.5, 4.5, 3, 6.75, 15 / 4]);
    const mean = await run(globalAveragePool(), [1, 4, 4], x);
    assert.deepEqual([mean.y, mean.shape], [[7.5], [1, 1]]);
  });

  test("flatten keeps the batch axis", async () => {
    const { shape } = await run(flatten(), [2, 3, 1], [1, 2, 3, 4, 5, 6]);
    assert.deepEqual(shape, [1, 6]);
  });

  test("residual is relu(main(x) + shortcut(x))", async () => {
    const negated: Layer = (x, scope) => scope.within("fc", linear(2, 2, { bias: false }), x);
    const weight = { "fc.weight": tensorData([-2, 0, 0, -2], [2, 2], "float64") };
    const { y } = await run(
      residual(negated, (x) => x),
      [2],
      [1, -3],
      weight,
    );
    assert.deepEqual(y, [0, 3]);
  });

  test("sequential counts layers of a list and names those of a record, nested with dots", () => {
    const model = double(sequential({ head: sequential([linear(3, 3), relu(), linear(3, 2)]) }), [3]);
    assert.deepEqual(
      model.parameters.map(({ name }) => name),
      ["head.0.weight", "head.0.bias", "head.2.weight", "head.2.bias"],
    );
  });

  test("two tensors of one name are refused", () => {
    const twice: Layer = (x, scope) => linear(2, 2)(linear(2, 2)(x, scope), scope);
    assert.throws(
      () => double(sequential({ fc: twice }), [2]),
      (error) =>
        error instanceof UserError &&
        /two tensors of the network are called "fc\.weight"/.test(error.message),
    );
  });
});
