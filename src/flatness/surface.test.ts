import assert from "node:assert/strict";
import { test } from "node:test";
import { UserError } from "../common/errors.ts";
import { randomStream } from "../common/random.ts";
import { elementCount, Graph } from "../graph/graph.ts";
import {
  batchNorm,
  conv2d,
  flatten,
  globalAveragePool,
  linear,
  maxPool,
  relu,
  sequential,
} from "../nn/layers.ts";
import { buildModel, initialTensors } from "../nn/module.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add, mul } from "../ops/arithmetic.ts";
import { conv } from "../ops/convolution.ts";
import { tanh } from "../ops/elementwise.ts";
import { softmaxCrossEntropy } from "../ops/losses.ts";
import { reduceMean } from "../ops/reduction.ts";
import { assertClose } from "../testing/numeric.ts";
import { type CurvatureFixture, readFixture } from "../testing/problems.ts";
import { problemSurface, singleBatch, usingSurface } from "../testing/surfaces.ts";
import { checkDeterminism } from "./determinism.ts";
import { layersOf } from "./parameter-vector.ts";
import type { LossSurface, Surface } from "./surface.ts";

for (const problem of ["mlp", "cnn"] as const) {
  test(`loss, gradient and Hessian-vector product of ${problem} are those of an independent program`, async () => {
    const expected = readFixture<CurvatureFixture>(`curvature-${problem}`);
    for (const memory of [0, 1e9]) {
      await usingSurface(
        problemSurface(problem, "float64"),
        async (surface) => {
          const { loss, gradient } = await surface.gradient();
          assertClose([loss], [expected.loss], 1e-9);
          assertClose(gradient, expected.gradient.data, 1e-9);
          const probe = Float64Array.from(expected.probe.data);
          for (let time = 0; time < 2; time++) {
            assertClose(await surface.hessianProduct(probe), expected.hessianVectorProduct.data, 1e-9);
          }
        },
        { memory },
      );
    }
  });
}

const images = 23;
const random = randomStream(1, "surface test");
const pixels = Float64Array.from({ length: images * 36 }, () => random.normal());
const labels = Int32Array.from({ length: images }, () => random.integer(3));
const layer = sequential({
  conv1: conv2d(1, 4, 3, { padding: 1, bias: false }),
  bn1: batchNorm(4),
  relu1: relu(),
  pool: maxPool(2),
  conv2: conv2d(4, 5, 3, { padding: 1 }),
  relu2: relu(),
  mean: globalAveragePool(),
  flatten: flatten(),
  fc: linear(5, 3),
});

/** A convolutional network on 23 images in batches of the given sizes. */
function network(sizes: readonly number[], training = false): LossSurface {
  const build = (batchSize: number) => {
    const model = buildModel(layer, { inputShape: [1, 6, 6], batchSize, training, type: "float64" });
    const target = model.graph.input("target", "int32", [batchSize]);
    return {
      model,
      output: model.logits,
      loss: softmaxCrossEntropy(model.logits, target),
      parameters: new Map(model.parameters.map(({ name }) => [name, model.graph.inputs.get(name)!])),
    };
  };
  let start = 0;
  const batches = sizes.map((size) => {
    const first = start;
    start += size;
    const feeds = () => ({
      input: tensorData(pixels.slice(first * 36, (first + size) * 36), [size, 1, 6, 6], "float64"),
      target: tensorData(labels.slice(first, first + size), [size], "int32"),
    });
    return { size, feeds };
  });
  return { build, batches, tensors: initialTensors(build(1).model, 1), description: { data: "noise" } };
}

const vectorFor = (surface: Surface) => {
  const draws = randomStream(2, "vector");
  return Float64Array.from({ length: surface.layout.length }, () => draws.normal());
};

/** Everything a surface computes, at its weights and beside them. */
async function everything(surface: Surface) {
  const vector = vectorFor(surface);
  const beside = surface.weights.map((value, i) => value + 0.1 * vector[i]);
  const { loss, gradient } = await surface.gradient();
  const moved = await surface.gradient(beside);
  return [
    loss,
    moved.loss,
    (await surface.evaluate(beside)).loss,
    ...gradient,
    ...moved.gradient,
    ...(await surface.hessianProduct(vector)),
    ...(await surface.gaussNewtonProduct(vector)),
  ];
}

test("batches of any sizes give the mean over all examples", async () => {
  const whole = await usingSurface(network([images]), everything);
  for (const sizes of [[10, 10, 3], [1, 22], new Array(23).fill(1)]) {
    assertClose(await usingSurface(network(sizes), everything), whole, 1e-11, sizes.join());
  }
});

test("the number of engines and the memory they keep do not change a bit", async () => {
  const sizes = [6, 6, 6, 5];
  const one = await usingSurface(network(sizes), everything);
  for (const engines of [2, 3, 5]) {
    assert.deepEqual(await usingSurface(network(sizes), everything, { engines }), one);
  }
  for (const memory of [0, 20_000, 60_000]) {
    assert.deepEqual(await usingSurface(network(sizes), everything, { memory }), one);
  }
});

test("where convolutions in blocks add up sums, what is kept does not change a bit", async () => {
  const shapes = { x: [16, 32, 8, 8], first: [32, 32, 3, 3], left: [32, 32, 3, 3], right: [32, 32, 3, 3] };
  const draws = randomStream(4, "sums");
  const tensors = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const numbers = Array.from({ length: elementCount(shape) }, () => 0.1 * draws.normal());
      return [name, tensorData(numbers, shape, "float32")];
    }),
  );
  const build = () => {
    const graph = new Graph();
    const [x, first, left, right] = Object.entries(shapes).map(([name, shape]) =>
      graph.input(name, "float32", shape),
    );
    const settings = { pads: [1, 1, 1, 1] };
    const y = tanh(conv(x, first, undefined, settings));
    const sum = tanh(add(conv(y, left, undefined, settings), conv(y, right, undefined, settings)));
    return { loss: reduceMean(mul(sum, sum)), parameters: new Map(Object.entries({ first, left, right })) };
  };
  const product = (memory: number) =>
    usingSurface(singleBatch(build, tensors), (surface) => surface.hessianProduct(vectorFor(surface)), {
      memory,
    });
  assert.deepEqual(await product(0), await product(1e9));
});

test("calls that are made at once give what they give one after the other", async () => {
  await usingSurface(network([12, 11]), async (surface) => {
    const vectors = [1, 2].map((factor) =>
      vectorFor(surface).map((value, i) => value * Math.cos(factor * i)),
    );
    const moved = surface.weights.map((value, i) => value + 0.1 * Math.sin(i));
    const atOnce = await Promise.all<unknown>([
      surface.hessianProduct(vectors[0]),
      surface.gradient(moved),
      surface.hessianProduct(vectors[1]),
      surface.evaluate(),
    ]);
    assert.deepEqual(atOnce[0], await surface.hessianProduct(vectors[0]));
    assert.deepEqual(atOnce[1], await surface.gradient(moved));
    assert.deepEqual(atOnce[2], await surface.hessianProduct(vectors[1]));
    assert.deepEqual(atOnce[3], await surface.evaluate());
  });
});

test("what is kept for one kind of product makes room for the next", async () => {
  await usingSurface(network([12, 11]), async (surface) => {
    const vector = vectorFor(surface);
    const hessian = await surface.hessianProduct(vector);
    const gaussNewton = await surface.gaussNewtonProduct(vector);
    assert.notDeepEqual(hessian, gaussNewton);
    assert.deepEqual(await surface.hessianProduct(vector), hessian);
    assert.deepEqual(await surface.onBatches([0, 1]).gaussNewtonProduct(vector), gaussNewton);
  });
});

test("BatchNorm in batch mode is another loss, of batches", async () => {
  const [evaluation, batch, smaller] = await Promise.all(
    [network([23]), network([23], true), network([12, 11], true)].map((surface) =>
      usingSurface(surface, async (opened) => (await opened.evaluate()).loss),
    ),
  );
  assert.ok(Math.abs(evaluation - batch) > 1e-3 && Math.abs(batch - smaller) > 1e-5);
});

test("restricted to a layer: its part of the gradient, and of the product with a vector that is 0 elsewhere", async () => {
  await usingSurface(network([23]), async (surface) => {
    const { gradient } = await surface.gradient();
    for (const [layerName, names] of layersOf(surface.layout)) {
      const block = surface.restrictedTo(names);
      const { offset } = surface.layout.parts.find(({ name }) => name === names[0])!;
      const part = (vector: Float64Array) => vector.slice(offset, offset + block.layout.length);
      assertClose((await block.gradient()).gradient, part(gradient), 1e-12, layerName);
      const inside = vectorFor(block);
      const vector = new Float64Array(surface.layout.length);
      vector.set(inside, offset);
      const expected = part(await surface.hessianProduct(vector));
      assertClose(await block.hessianProduct(inside), expected, 1e-11, layerName);
      assert.deepEqual(block.weights, part(surface.weights));
    }
  });
});

test("what was measured is stated", async () => {
  await usingSurface(network([20, 3]), async ({ description, examples, batchCount, layout }) => {
    assert.deepEqual(description, { data: "noise", examples: 23 });
    assert.deepEqual([examples, batchCount], [23, 2]);
    assert.deepEqual([...layersOf(layout).keys()], ["conv1", "bn1", "conv2", "fc"]);
  });
});

test("the same data gives the same loss and gradient, to the last bit", async () => {
  const { deterministic, differing, lossDifference, largestDifference, loss } = await usingSurface(
    network([12, 11]),
    (surface) => checkDeterminism(surface),
    { engines: 2 },
  );
  assert.deepEqual([deterministic, differing, lossDifference, largestDifference], [true, 0, 0, 0]);
  assert.ok(loss > 0);
});

test("data that is not the same is found out", async () => {
  let calls = 0;
  const surface = network([23]);
  const [{ feeds }] = surface.batches;
  const changing = async () => {
    const { input, target } = await feeds();
    (input.data as Float64Array)[0] += 1e-3 * calls++;
    return { input, target };
  };
  const found = await usingSurface({ ...surface, batches: [{ size: 23, feeds: changing }] }, (opened) =>
    checkDeterminism(opened),
  );
  assert.equal(found.deterministic, false);
  assert.ok(found.differing > 0 && found.largestDifference > 0 && found.lossDifference > 0);
});

test("an aborted measurement ends before its next batch", async () => {
  await usingSurface(network(new Array(23).fill(1)), async (surface) => {
    const abort = new AbortController();
    const running = surface.gradient(surface.weights, { signal: abort.signal });
    abort.abort(new Error("enough"));
    await assert.rejects(running, /^Error: enough$/);
  });
});

test("an empty subset, and models that are not finite, are refused in one sentence", async () => {
  const open = (surface: LossSurface) => usingSurface(surface, async (opened) => opened.evaluate());
  const refused = (message: string) => new UserError(message);
  const surface = network([23]);
  const { tensors } = surface;
  await assert.rejects(
    open({ ...surface, batches: [] }),
    refused("the data subset is empty: flatness needs at least one example; choose a larger subset"),
  );
  const broken = tensorData([0, Number.NaN, 0], [3], "float64");
  await assert.rejects(
    open({ ...surface, tensors: { ...tensors, "fc.bias": broken } }),
    refused('parameter "fc.bias" holds NaN: the model has diverged; measure a checkpoint from before'),
  );
  const { "fc.bias": _, ...missing } = tensors;
  await assert.rejects(
    open({ ...surface, tensors: missing }),
    refused('parameter "fc.bias" has no numbers; the model wants 3'),
  );
  const variance = tensorData([1, Number.NaN, 1, 1], [4], "float64");
  const diverged = { ...surface, tensors: { ...tensors, "bn1.running_var": variance } };
  await assert.rejects(
    usingSurface(diverged, (opened) => opened.gradient()),
    refused(
      "the loss is not finite: the model has diverged at these weights, so there is no flatness to measure; measure a checkpoint from before",
    ),
  );
  await assert.rejects(
    usingSurface(diverged, (opened) => opened.hessianProduct(vectorFor(opened))),
    refused(
      "the network or its gradient is not finite on this data: the model has diverged; measure a checkpoint from before",
    ),
  );
});
