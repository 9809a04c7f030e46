import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { UserError } from "../common/errors.ts";
import { elementCount, Graph } from "../graph/graph.ts";
import { enlarge } from "../ops/resize.ts";
import { assertSameTensors, numbers } from "../testing/networks.ts";
import { assertClose, evaluate, tensor } from "../testing/numeric.ts";
import { linear, sequential } from "./layers.ts";
import { createModel, type ModelShape, modelNamesWith, modelText } from "./models.ts";
import { buildModel, initialTensors, type Layer, parameterCount } from "./module.ts";

const build = (layer: Layer, { channels, height, width }: Omit<ModelShape, "classes">, training = true) =>
  buildModel(layer, { inputShape: [channels, height, width], batchSize: 3, training });

/** Those that start from PyTorch's defaults for their layers; of the others `zoo.test.ts` says what they start from. */
const plain = ["mlp", "lenet5", "cnn", "resnet20"];
const images = { channels: 1, height: 28, width: 28, classes: 10 };
const color = { channels: 3, height: 32, width: 32, classes: 10 };
const imageNet = { channels: 3, height: 224, width: 224, classes: 1000 };

describe("parameters", () => {
  // Counted from the definitions. 61,706 for LeNet-5 and 0.27 million for ResNet-20 (269,722) are published numbers.
  const linearOf = (inputs: number, outputs: number) => inputs * outputs + outputs;
  const counts: [string, ModelShape, number][] = [
    ["mlp", images, linearOf(784, 256) + linearOf(256, 128) + linearOf(128, 10)],
    ["mlp", images, 235_146],
    ["lenet5", images, 61_706],
    [
      "cnn",
      images,
      9 * (1 * 16 + 16 * 32 + 32 * 32 + 32 * 64 + 64 * 64) + 2 * (16 + 32 + 32 + 64 + 64) + linearOf(64, 10),
    ],
    ["cnn", images, 70_330],
    ["cnn", { ...color, classes: 100 }, 70_330 + 9 * 2 * 16 + 65 * 90],
    ["resnet20", color, 269_722],
    ["resnet18", color, 11_173_962],
    ["wide-resnet-28-10", color, 36_479_194],
    ["wide-resnet-28-10:units=5", color, 46_160_474],
    ["pyramidnet-110", color, 28_485_477],
    ["vgg16-bn", color, 134_309_962],
    ["mobilenet-v2", color, 2_236_682],
    ["efficientnet-b0", color, 4_020_358],
    // torchvision's numbers for ImageNet.
    ["resnet18-imagenet", imageNet, 11_689_512],
    ["resnet34-imagenet", imageNet, 21_797_672],
    ["resnet50-imagenet", imageNet, 25_557_032],
    ["vgg16-bn", imageNet, 138_365_992],
    ["mobilenet-v2", imageNet, 3_504_872],
    ["efficientnet-b0", imageNet, 5_288_548],
    ["efficientnet-b0:depth=1.1", imageNet, 7_794_184],
    ["mobilenet-v2:width=0.5", imageNet, 1_968_680],
  ];
  for (const [name, shape, expected] of counts) {
    test(`${name} for ${shape.channels} channels and ${shape.classes} classes has ${expected}`, () => {
      assert.equal(parameterCount(build(createModel(name, shape), shape)), expected);
    });
  }

  test("carry PyTorch's names", () => {
    const names = build(createModel("resnet20", color), color).parameters.map(({ name }) => name);
    assert.deepEqual(names.slice(0, 3), ["conv1.weight", "bn1.weight", "bn1.bias"]);
    assert.deepEqual(names.slice(-2), ["linear.weight", "linear.bias"]);
    for (let layer = 1; layer <= 3; layer++) {
      for (let block = 0; block < 3; block++) {
        for (const part of ["conv1.weight", "bn1.weight", "bn1.bias", "conv2.weight", "bn2.weight"]) {
          assert.ok(names.includes(`layer${layer}.${block}.${part}`), `layer${layer}.${block}.${part}`);
        }
      }
    }
    assert.equal(names.length, 19 + 2 * 19 + 2);
  });

  test("say what they are to their layer", () => {
    const { parameters } = build(createModel("cnn", images), images);
    const kinds = Object.fromEntries(parameters.map(({ name, kind }) => [name, kind]));
    assert.equal(kinds["conv1.weight"], "weight");
    assert.equal(kinds["bn1.weight"], "norm-weight");
    assert.equal(kinds["bn1.bias"], "norm-bias");
    assert.equal(kinds["fc.bias"], "bias");
  });
});

describe("shapes", () => {
  for (const name of modelNamesWith("classes")) {
    test(`${name}: logits for every kind of image, in both modes the same tensors`, () => {
      const sizes = name.startsWith("vgg") ? [33, 47] : [12, 17];
      const odd = { channels: 2, height: sizes[0], width: sizes[1], classes: 7 };
      for (const shape of name.startsWith("vgg") ? [color, odd] : [images, color, odd]) {
        const layer = createModel(name, shape);
        const [training, inference] = [build(layer, shape, true), build(layer, shape, false)];
        assert.deepEqual(training.logits.shape, [3, shape.classes]);
        assert.deepEqual(inference.logits.shape, [3, shape.classes]);
        const described = ({ parameters, buffers }: typeof training) =>
          [...parameters, ...buffers].map((info) => `${info.name} ${info.shape}`);
        assert.deepEqual(described(inference), described(training));
        assert.deepEqual(
          [...training.bufferUpdates.keys()],
          training.buffers.map((buffer) => buffer.name),
        );
        assert.equal(inference.bufferUpdates.size, 0);
      }
    });
  }

  test("a name that is not there lists the choices", () => {
    assert.throws(
      () => createModel("resnet19", images),
      (error) =>
        error instanceof UserError &&
        error.message.startsWith(
          'there is no model "resnet19"; choose one of mlp, lenet5, cnn, resnet20, resnet18,',
        ),
    );
  });

  test("options that are at their defaults are left out of the text, the others stand in the table's order", () => {
    assert.equal(modelText("pyramidnet-110"), "pyramidnet-110");
    assert.equal(modelText("pyramidnet-110:units=9,alpha=48"), "pyramidnet-110:alpha=48,units=9");
    assert.equal(modelText("pyramidnet-110:units=18,alpha=4.8e1"), "pyramidnet-110:alpha=48");
  });

  test("an option that is not there or makes no sense is reported with what would", () => {
    for (const [settings, expected] of [
      ["resnet20:units=3", /^resnet20 has no option "units"; it has none$/],
      ["pyramidnet-110:alfa=3", /^pyramidnet-110 has no option "alfa"; it has alpha, units$/],
      [
        "wide-resnet-28-10:units=2.5",
        /^wide-resnet-28-10: units is 2\.5; it has to be a whole number, at least 1$/,
      ],
      ["wide-resnet-28-10:units", /^wide-resnet-28-10: units is ; it has to be/],
      ["vgg16-bn:dropout=1", /^vgg16-bn: dropout is 1; it has to be at least 0 and less than 1$/],
      ["mobilenet-v2:width=many", /^mobilenet-v2: width is many; it has to be at least 0\.05$/],
      ["mobilenet-v2:constructor=1", /no option "constructor"/],
    ] as const) {
      const refused = (error: Error) => error instanceof UserError && expected.test(error.message);
      assert.throws(() => createModel(settings, color), refused, String(expected));
    }
  });

  test("vgg refuses images that its five poolings leave nothing of", () => {
    for (const name of ["vgg16-bn", "vgg16-bn-small"]) {
      assert.throws(() => createModel(name, images), /needs images of at least 32×32, got 28×28/);
    }
  });

  test("unet refuses images that it cannot halve so often, and enlarges by repeating pixels", async () => {
    assert.throws(
      () => createModel("unet", images),
      /unet with depth 3 needs images whose height and width are multiples of 8, got 28×28; choose such a size/,
    );
    assert.deepEqual(build(createModel("unet:depth=2", images), images).logits.shape, [3, 10, 28, 28]);
    // With a stem the levels begin at a lower resolution, and the logits still have the image's.
    assert.throws(
      () => createModel("unet:depth=2,stem=2", images),
      /unet with depth 2 and stem 2 needs images whose height and width are multiples of 8, got 28×28/,
    );
    const stemmed = build(createModel("unet:depth=1,stem=2,growth=8", images), images);
    assert.deepEqual(stemmed.logits.shape, [3, 10, 28, 28]);
    assert.deepEqual(
      stemmed.parameters.find(({ name }) => name === "stem.conv.weight")?.shape,
      [12, 1, 3, 3],
    );
    // A stride of 4 passes over no pixel.
    const steep = build(createModel("unet:depth=1,stem=4", color), color);
    assert.deepEqual(steep.parameters.find(({ name }) => name === "stem.conv.weight")?.shape, [12, 3, 7, 7]);
    const graph = new Graph();
    const x = graph.input("x", "float32", [1, 1, 2, 2]);
    const { y } = await evaluate(
      { y: enlarge(x, [1, 1, 2, 2]) },
      { x: tensor([1, 2, 3, 4], [1, 1, 2, 2], "float32") },
    );
    assertClose(y, [1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4], 0);
  });

  test("networks with dilated stages keep to their output stride, and give maps of the image's size", () => {
    const odd = { channels: 3, height: 40, width: 52, classes: 4 };
    for (const [stride, height, width] of [
      [8, 5, 7],
      [16, 3, 4],
      [32, 2, 2],
    ]) {
      for (const name of [`fcn-resnet18:stride=${stride}`, `deeplabv3-resnet50:stride=${stride},rate=1`]) {
        const { logits } = build(createModel(name, odd), odd);
        assert.deepEqual(logits.shape, [3, 4, 40, 52]);
        assert.ok(logits.origin.kind === "node");
        const [maps] = logits.origin.node.inputs;
        assert.deepEqual(maps?.shape, [3, 4, height, width], name);
      }
    }
    assert.throws(
      () => createModel("fcn-resnet18:stride=4", odd),
      /fcn-resnet18: stride is 4; it has to be one of 8, 16, 32/,
    );
  });

  test("lenet5 refuses images that its two poolings leave nothing of", () => {
    const small = { channels: 1, height: 12, width: 12, classes: 10 };
    assert.deepEqual(build(createModel("lenet5", small), small).logits.shape, [3, 10]);
    assert.throws(() => createModel("lenet5", { ...small, width: 11 }), /at least 12×12, got 12×11/);
  });

  test("an input that does not fit is reported with the layer's name", () => {
    const layer = createModel("resnet20", color);
    assert.throws(
      () => build(layer, { ...color, channels: 1 }),
      (error) =>
        error instanceof UserError &&
        error.message === 'conv "conv1": input has 1 channels, weight expects 3 (shape [16, 3, 3, 3])',
    );
  });
});

describe("initialization", () => {
  for (const name of plain) {
    test(`${name}: uniform on ±1/√fanIn, BatchNorm the identity (PyTorch's defaults)`, () => {
      const model = build(createModel(name, images), images);
      const start = initialTensors(model, 5);
      const fanIn = (parameter: string) => {
        const weight = model.parameters.find((other) => other.name === parameter.replace("bias", "weight"))!;
        return elementCount(weight.shape.slice(1));
      };
      for (const { name: parameter, kind, shape } of model.parameters) {
        const values = numbers(start[parameter]);
        assert.equal(values.length, elementCount(shape));
        if (kind === "norm-weight") assert.ok(values.every((value) => value === 1));
        else if (kind === "norm-bias") assert.ok(values.every((value) => value === 0));
        else {
          const bound = 1 / Math.sqrt(fanIn(parameter));
          const scaled = values.map((value) => value / bound);
          assert.ok(scaled.every((value) => Math.abs(value) <= 1 + 1e-7));
          // Mean 0 with variance 1/3, mean square 1/3 with variance 1/5 − 1/9, each within 5 standard errors.
          const count = scaled.length;
          const mean = scaled.reduce((sum, value) => sum + value, 0) / count;
          const square = scaled.reduce((sum, value) => sum + value * value, 0) / count;
          assert.ok(Math.abs(mean) < 5 * Math.sqrt(1 / 3 / count), `${parameter}: mean ${mean}`);
          assert.ok(Math.abs(square - 1 / 3) < 5 * Math.sqrt(4 / 45 / count), `${parameter}: ${square}`);
        }
      }
      for (const { name: buffer } of model.buffers) {
        const expected = buffer.endsWith("running_mean") ? 0 : 1;
        assert.ok(numbers(start[buffer]).every((value) => value === expected));
      }
    });
  }

  test("one seed is one network, another seed another one", () => {
    const model = () => build(createModel("cnn", images), images);
    const first = initialTensors(model(), 1);
    assertSameTensors(initialTensors(model(), 1), first);
    const other = initialTensors(model(), 2);
    for (const name of ["conv1.weight", "fc.weight", "fc.bias"]) {
      const [a, b] = [numbers(first[name]), numbers(other[name])];
      assert.ok(
        a.every((value, index) => value !== b[index]),
        name,
      );
    }
  });

  test("a parameter's numbers depend on its name alone, not on what is built before it", () => {
    const parts = { a: linear(4, 4), b: linear(4, 4), c: linear(4, 4) };
    const start = (layers: Record<string, Layer>) =>
      initialTensors(buildModel(sequential(layers), { inputShape: [4], batchSize: 2, training: true }), 9);
    const forward = start(parts);
    assertSameTensors(forward, start({ c: parts.c, b: parts.b, a: parts.a }));
    assertSameTensors(forward, start({ b: parts.b }));
    assert.notDeepEqual(forward["a.weight"].data, forward["b.weight"].data);
  });

  test("float32 numbers are the float64 ones rounded", () => {
    const start = (type: "float32" | "float64") =>
      initialTensors(
        buildModel(createModel("mlp", images), {
          inputShape: [1, 28, 28],
          batchSize: 1,
          training: true,
          type,
        }),
        3,
      );
    const [single, double] = [start("float32"), start("float64")];
    for (const [name, tensor] of Object.entries(double)) {
      assert.deepEqual(single[name].data, Float32Array.from(numbers(tensor)), name);
    }
  });
});
