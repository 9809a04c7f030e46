import assert from "node:assert/strict";
import { test } from "node:test";
import { randomStream } from "../common/random.ts";
import { elementCount, type Shape } from "../graph/graph.ts";
import { assertClose, compileForTest, evaluate, tensor } from "../testing/numeric.ts";
import {
  adaptiveAveragePool,
  averagePool,
  flatten,
  padChannels,
  residualSum,
  sequential,
  silu,
  squeezeExcitation,
  stochasticDepth,
} from "./layers.ts";
import { buildModel, drawRandomInputs, initialTensors, type Layer } from "./module.ts";

// The layers that only networks of the zoo need, against their definitions.

const double = (layer: Layer, inputShape: Shape, { training = false, batchSize = 2 } = {}) =>
  buildModel(layer, { inputShape, batchSize, training, type: "float64" });

const normal = (shape: Shape, seed: number) => {
  const random = randomStream(seed, "zoo layers");
  return Array.from({ length: elementCount(shape) }, () => random.normal());
};

test("adaptive average pooling takes the mean of windows from ⌊i·H/n⌋ to ⌈(i + 1)·H/n⌉", async () => {
  for (const [height, width] of [
    [7, 7],
    [1, 1],
    [2, 3],
    [14, 21],
    [8, 13],
  ]) {
    const model = double(adaptiveAveragePool(7), [3, height, width]);
    assert.deepEqual(model.logits.shape, [2, 3, 7, 7]);
    const x = normal([2, 3, height, width], 1);
    const { y } = await evaluate({ y: model.logits }, { input: tensor(x, [2, 3, height, width]) });
    const expected: number[] = [];
    for (let image = 0; image < 6; image++) {
      for (let row = 0; row < 7; row++) {
        for (let column = 0; column < 7; column++) {
          let [sum, count] = [0, 0];
          for (let i = Math.floor((row * height) / 7); i < ((row + 1) * height) / 7; i++) {
            for (let j = Math.floor((column * width) / 7); j < ((column + 1) * width) / 7; j++) {
              sum += x[(image * height + i) * width + j];
              count++;
            }
          }
          expected.push(sum / count);
        }
      }
    }
    assertClose(y, expected, 1e-12, `${height}×${width}`);
  }
});

test("an average pool in ceil mode takes the mean of what a last window covers", async () => {
  const model = double(averagePool(2, { ceilMode: true }), [1, 3, 3], { batchSize: 1 });
  const { y } = await evaluate(
    { y: model.logits },
    { input: tensor([1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 1, 3, 3]) },
  );
  assertClose(y, [3, 4.5, 7.5, 9], 1e-12);
});

test("stochastic depth leaves out whole images, and divides the others by 1 − p", async () => {
  const layer = sequential({ main: residualSum(stochasticDepth(0.25)), flat: flatten() });
  const model = double(layer, [5, 2], { training: true, batchSize: 400 });
  model.graph.output("y", model.logits);
  const drawn = drawRandomInputs(model, randomStream(3, "stochastic depth"));
  assert.deepEqual(drawn["main.uniform"].shape, [400, 1, 1]);
  const uniform = Array.from(drawn["main.uniform"].data as Float64Array);
  const x = normal([400, 10], 2);
  const program = await compileForTest(model.graph);
  const { y } = await program.run({ input: tensor(x, [400, 5, 2]), ...drawn });
  await program.close();
  assertClose(
    y,
    x.map((value, index) => value + (uniform[Math.floor(index / 10)] < 0.25 ? 0 : value / 0.75)),
    1e-12,
  );
  // 400 draws: five standard deviations are 0.11.
  const left = uniform.filter((value) => value < 0.25).length / 400;
  assert.ok(Math.abs(left - 0.25) < 0.11, `${left} were left out`);
});

test("stochastic depth does nothing in inference, and nothing at p = 0", () => {
  for (const [p, training] of [
    [0.25, false],
    [0, true],
  ] as const) {
    const model = double(stochasticDepth(p), [3], { training });
    assert.equal(model.randomInputs.length, 0);
    assert.equal(model.logits, model.input);
  }
  assert.throws(() => stochasticDepth(-0.1), /^UserError: stochasticDepth: p is -0\.1; it has to be/);
});

test("squeeze and excitation multiplies channels by σ(fc2(silu(fc1(their means))))", async () => {
  const model = double(squeezeExcitation(4, 2, { activation: silu() }), [4, 2, 3]);
  const tensors = initialTensors(model, 5);
  assert.deepEqual(
    model.parameters.map(({ name, shape }) => `${name} ${shape}`),
    ["fc1.weight 2,4,1,1", "fc1.bias 2", "fc2.weight 4,2,1,1", "fc2.bias 4"],
  );
  const x = normal([2, 4, 2, 3], 4);
  const { y } = await evaluate({ y: model.logits }, { ...tensors, input: tensor(x, [2, 4, 2, 3]) });
  const [w1, b1, w2, b2] = ["fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"].map((name) =>
    Array.from(tensors[name].data as Float64Array),
  );
  const sigmoid = (value: number) => 1 / (1 + Math.exp(-value));
  const layer = (w: number[], b: number[], values: number[]) =>
    b.map((bias, row) => values.reduce((sum, value, at) => sum + w[row * values.length + at] * value, bias));
  const expected = [0, 1].flatMap((image) => {
    const channels = [0, 1, 2, 3].map((channel) =>
      x.slice((4 * image + channel) * 6, (4 * image + channel + 1) * 6),
    );
    const means = channels.map((pixels) => pixels.reduce((a, b) => a + b) / 6);
    const squeezed = layer(w1, b1, means).map((value) => value * sigmoid(value));
    const scales = layer(w2, b2, squeezed).map(sigmoid);
    return channels.flatMap((pixels, channel) => pixels.map((pixel) => pixel * scales[channel]));
  });
  assertClose(y, expected, 1e-12);
});

test("channels of zeros stand before and after", async () => {
  const model = double(padChannels(1, 2), [1, 1, 2], { batchSize: 1 });
  assert.deepEqual(model.logits.shape, [1, 4, 1, 2]);
  const { y } = await evaluate({ y: model.logits }, { input: tensor([3, 4], [1, 1, 1, 2]) });
  assertClose(y, [0, 0, 3, 4, 0, 0, 0, 0], 0);
});
