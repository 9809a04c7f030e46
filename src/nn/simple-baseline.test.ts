import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { randomStream } from "../common/random.ts";
import { elementCount, type Shape } from "../graph/graph.ts";
import { assertClose, checkGradient, evaluate, tensor } from "../testing/numeric.ts";
import { convTranspose2d } from "./layers.ts";
import { createModel, modelNamesWith } from "./models.ts";
import { buildModel, initialTensors, type Layer, type Model, parameterCount } from "./module.ts";

// Networks that give heat maps, and the layer that only they have.

const build = (name: string, [channels, height, width, classes]: readonly number[], training = true) =>
  buildModel(createModel(name, { channels, height, width, classes }), {
    inputShape: [channels, height, width],
    batchSize: 2,
    training,
  });
const coco = [3, 64, 32, 17] as const;

describe("a transposed convolution", () => {
  const random = randomStream(3, "transposed");
  const normal = (shape: Shape) => Array.from({ length: elementCount(shape) }, () => random.normal());

  /** Each number of the input adds its multiple of the kernel to the output. */
  function byDefinition(
    x: readonly number[],
    [count, inputs, height, width]: readonly number[],
    weight: readonly number[],
    { outputs, kernel, stride, padding, extra }: Record<string, number>,
  ) {
    const [rows, columns] = [height, width].map((n) => (n - 1) * stride - 2 * padding + kernel + extra);
    const y = new Float64Array(count * outputs * rows * columns);
    for (const [at, value] of x.entries()) {
      const [column, row] = [at % width, Math.floor(at / width) % height];
      const input = Math.floor(at / (width * height)) % inputs;
      const image = Math.floor(at / (width * height * inputs));
      for (let output = 0; output < outputs; output++)
        for (let i = 0; i < kernel; i++)
          for (let j = 0; j < kernel; j++) {
            const [to, across] = [row * stride - padding + i, column * stride - padding + j];
            if (to < 0 || to >= rows || across < 0 || across >= columns) continue;
            y[((image * outputs + output) * rows + to) * columns + across] +=
              value * weight[((input * outputs + output) * kernel + i) * kernel + j];
          }
    }
    return { y, shape: [count, outputs, rows, columns] };
  }

  const cases = [
    { outputs: 2, kernel: 4, stride: 2, padding: 1, extra: 0 },
    { outputs: 3, kernel: 3, stride: 2, padding: 1, extra: 1 },
    { outputs: 1, kernel: 2, stride: 3, padding: 0, extra: 0 },
  ];
  for (const form of cases) {
    const { outputs, kernel, extra, ...options } = form;
    const layer = convTranspose2d(3, outputs, kernel, { ...options, outputPadding: extra, bias: false });
    test(`by its definition: ${JSON.stringify(form)}`, async () => {
      const inputShape = [3, 4, 5];
      const model = buildModel(layer, { inputShape, batchSize: 2, training: false, type: "float64" });
      const [x, weight] = [normal([2, ...inputShape]), normal([3, outputs, kernel, kernel])];
      const feeds = {
        input: tensor(x, [2, ...inputShape]),
        weight: tensor(weight, [3, outputs, kernel, kernel]),
      };
      const { y } = await evaluate({ y: model.logits }, feeds);
      const expected = byDefinition(x, [2, ...inputShape], weight, form);
      assert.deepEqual(model.logits.shape, expected.shape);
      assertClose(y, expected.y, 1e-12);
    });
    for (const order of [1, 2] as const) {
      test(`derivative ${order} against finite differences: ${JSON.stringify(form)}`, () =>
        checkGradient({
          shapes: [
            [2, 3, 3, 2],
            [3, outputs, kernel, kernel],
          ],
          build: ([x, weight]) => layer(x, { parameter: () => weight } as unknown as Parameters<Layer>[1]),
          random,
          order,
        }));
    }
  }

  test("starts as PyTorch's: uniform on ±1/√(outputs per group · kernel²), bias too", () => {
    const model = buildModel(convTranspose2d(64, 8, 4, { groups: 2 }), {
      inputShape: [64, 2, 2],
      batchSize: 1,
      training: false,
    });
    assert.deepEqual(
      model.parameters.map(({ name, shape }) => `${name} ${shape}`),
      ["weight 64,4,4,4", "bias 8"],
    );
    const bound = 1 / Math.sqrt(4 * 16);
    const { weight, bias } = initialTensors(model, 1);
    const values = Array.from(weight.data as Float32Array, Math.abs);
    assert.ok(Math.max(...values) <= bound && Math.max(...values) > 0.999 * bound);
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    assert.ok(Math.abs(mean / bound - 0.5) < 0.02);
    assert.ok(Array.from(bias.data as Float32Array).every((value) => Math.abs(value) <= bound));
  });

  test("channels that do not divide into groups are refused", () => {
    assert.throws(
      () => convTranspose2d(6, 4, 3, { groups: 3 }),
      /convTranspose2d: 6 input and 4 output channels do not divide into 3 groups/,
    );
  });
});

describe("names and shapes of microsoft/human-pose-estimation.pytorch", () => {
  /** The state dictionary as lib/models/pose_resnet.py builds it, without the counters of batches. */
  function published(units: readonly number[], expansion: 1 | 4): string[] {
    const names: string[] = [];
    const weight = (name: string, ...shape: number[]) => names.push(`${name}.weight ${shape}`);
    const norm = (name: string, width: number) => {
      for (const part of ["weight", "bias", "running_mean", "running_var"])
        names.push(`${name}.${part} ${width}`);
    };
    weight("conv1", 64, 3, 7, 7);
    norm("bn1", 64);
    let from = 64;
    for (const [index, count] of units.entries()) {
      const width = 64 * 2 ** index;
      for (let unit = 0; unit < count; unit++) {
        const at = `layer${index + 1}.${unit}`;
        const to = width * expansion;
        const convolutions =
          expansion === 1
            ? [
                [from, width, 3],
                [width, width, 3],
              ]
            : [
                [from, width, 1],
                [width, width, 3],
                [width, to, 1],
              ];
        for (const [number, [inputs, outputs, kernel]] of convolutions.entries()) {
          weight(`${at}.conv${number + 1}`, outputs, inputs, kernel, kernel);
          norm(`${at}.bn${number + 1}`, outputs);
        }
        if (unit === 0 && (from !== to || index > 0)) {
          weight(`${at}.downsample.0`, to, from, 1, 1);
          norm(`${at}.downsample.1`, to);
        }
        from = to;
      }
    }
    for (const at of [0, 3, 6]) {
      weight(`deconv_layers.${at}`, at === 0 ? from : 256, 256, 4, 4);
      norm(`deconv_layers.${at + 1}`, 256);
    }
    weight("final_layer", 17, 256, 1, 1);
    names.push("final_layer.bias 17");
    return names;
  }
  const described = ({ parameters, buffers }: Model) =>
    [...parameters, ...buffers].map(({ name, shape }) => `${name} ${shape}`).toSorted();

  test("simple-baseline-18", () => {
    assert.deepEqual(described(build("simple-baseline-18", coco)), published([2, 2, 2, 2], 1).toSorted());
  });

  test("simple-baseline-50: the published 34.0 million parameters", () => {
    const model = build("simple-baseline-50", coco);
    assert.deepEqual(described(model), published([3, 4, 6, 3], 4).toSorted());
    // torchvision's ResNet-50 without its last layer, and the head.
    const head = 2048 * 256 * 16 + 2 * 256 * 256 * 16 + 3 * 2 * 256 + 17 * 257;
    assert.equal(parameterCount(model), 25_557_032 - 2049 * 1000 + head);
    assert.equal((parameterCount(model) / 1e6).toFixed(1), "34.0");
  });
});

describe("heat maps", () => {
  const smallest: Record<string, [height: number, width: number]> = {
    "simple-baseline-18": [64, 32],
    "simple-baseline-50": [32, 64],
    "simple-baseline-small": [16, 48],
    "simple-baseline-small:width=0.5,units=2": [32, 16],
  };
  const untested = modelNamesWith("maps").filter((name) => name.startsWith("simple") && !smallest[name]);
  assert.deepEqual(untested, []);
  for (const [name, [height, width]] of Object.entries(smallest)) {
    test(`${name}: a quarter of the resolution, in both modes the same tensors`, () => {
      const shape = [2, height, width, 5];
      const [training, inference] = [build(name, shape), build(name, shape, false)];
      for (const { logits } of [training, inference])
        assert.deepEqual(logits.shape, [2, 5, height / 4, width / 4]);
      assert.deepEqual(
        inference.parameters.map(({ name }) => name),
        training.parameters.map(({ name }) => name),
      );
      assert.deepEqual(
        [...training.bufferUpdates.keys()],
        training.buffers.map(({ name }) => name),
      );
    });

    test(`${name} starts near zero maps, its head with deviation 0.001`, () => {
      const model = build(name, [3, 64, 64, 17]);
      const tensors = initialTensors(model, 2);
      const deviation = (parameter: string) => {
        const data = tensors[parameter].data as Float32Array;
        return Math.sqrt(data.reduce((sum, value) => sum + value ** 2, 0) / data.length);
      };
      assert.ok(Math.abs(deviation("final_layer.weight") / 0.001 - 1) < 0.1);
      assert.equal(deviation("final_layer.bias"), 0);
      // The reference's for networks that start from ImageNet's weights, PyTorch's own for the small one.
      const isSmall = name.startsWith("simple-baseline-small");
      const width = isSmall
        ? model.parameters.find((info) => info.name === "deconv_layers.0.weight")!.shape[1]
        : 0;
      const expected = isSmall ? 1 / Math.sqrt(3 * width * 16) : 0.001;
      assert.ok(Math.abs(deviation("deconv_layers.0.weight") / expected - 1) < 0.05);
    });
  }

  test("simple-baseline-small takes 23 million multiplications and additions at 96×96", () => {
    const { parameters } = build("simple-baseline-small", [3, 96, 96, 17]);
    // Each weight of a convolution is used once for each pixel of its output, of a transposed one of its input.
    const places: [RegExp, number][] = [
      [/^conv1/, 48 * 48],
      [/^conv2/, 24 * 24],
      [/^conv3/, 12 * 12],
      [/^conv4|^blocks|^deconv_layers\.0/, 6 * 6],
      [/^deconv_layers\.3/, 12 * 12],
      [/^final_layer/, 24 * 24],
    ];
    const total = parameters
      .filter(({ shape }) => shape.length === 4)
      .reduce((sum, { name, shape }) => {
        const [, pixels] = places.find(([pattern]) => pattern.test(name))!;
        return sum + elementCount(shape) * pixels;
      }, 0);
    assert.equal(Math.round(total / 1e6), 23);
  });

  test("images that cannot be halved and doubled back are refused, with the nearest size", () => {
    assert.throws(
      () => build("simple-baseline-50", [3, 100, 60, 17]),
      /simple-baseline-50 takes images whose sides are multiples of 32, got 100×60; choose 96×64/,
    );
    assert.throws(() => build("simple-baseline-small", [3, 100, 4, 17]), /multiples of 16, .*choose 96×16/);
  });
});
