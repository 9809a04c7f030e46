import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { randomStream } from "../common/random.ts";
import { readModel, writeModel } from "../onnx/model.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import type { TensorData, Tensors } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import type { EngineOptions } from "../runtime/engine.ts";
import { openEngine } from "../runtime/remote.ts";
import { integersSaturate } from "../runtime/saturation.ts";
import { temporaryFolder } from "../testing/cli.ts";
import { assertClose } from "../testing/numeric.ts";
import { type NodeText, onnxModel } from "../testing/onnx-models.ts";
import { activationMethods } from "./activation-ranges.ts";
import { correctBiases } from "./bias-correction.ts";
import { ModelEditor } from "./editor.ts";
import { integerWeights, quantizeLayer, quantizeSites } from "./insert.ts";
import { outputAxis } from "./layers.ts";
import { PostTraining, type QuantizeOptions, quantizeModel } from "./quantize.ts";
import { quantizedLayers, sitesOf } from "./sites.ts";
import { largestWeight } from "./weight-scales.ts";

// Quantized models in ONNX Runtime: what they compute, and in which kernels.

const folder = temporaryFolder();
const engine = openEngine({ threads: 1 });
after(() => engine.close());

/** Outputs of a model in a bare session, and the operators that ONNX Runtime made of it. */
async function executed(
  model: ModelProto,
  feeds: Record<string, TensorData>,
  graphOptimizationLevel: "all" | "disabled" = "all",
) {
  const optimizedModelFilePath = join(folder, "optimized.onnx");
  const session = await InferenceSession.create(writeModel(model), {
    ...{ graphOptimizationLevel, optimizedModelFilePath, intraOpNumThreads: 1, logSeverityLevel: 4 },
    // Products of 8-bit weights saturate on processors without VNNI otherwise.
    extra: { session: { x64quantprecision: "1" } },
  });
  const given = Object.entries(feeds).map(([name, { data, shape }]) => [
    name,
    new Tensor("float32", data as Float32Array, shape),
  ]);
  const outputs = await session.run(Object.fromEntries(given));
  await session.release();
  const { graph } = readModel(new Uint8Array(readFileSync(optimizedModelFilePath)));
  const [output] = Object.values(outputs);
  return {
    values: Array.from(output.data as Float32Array),
    operators: graph!.node.map(({ opType }) => opType),
  };
}

const random = randomStream(1, "quantization");
const normal = (shape: number[], scale = 1) =>
  tensorData(
    Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => scale * random.normal()),
    shape,
    "float32",
  );
const positive = (count: number) => {
  const { type, shape, data } = normal([count]);
  return tensorData(
    Float32Array.from(data as Float32Array, (value) => 0.5 + Math.abs(value)),
    shape,
    type,
  );
};

/** Convolutions with BatchNorm, a residual addition, a depthwise convolution, pooling, and a linear layer. */
const nodes: NodeText[] = [
  ["Conv", ["x", "conv1.weight"], ["a"], { pads: { ints: [1, 1, 1, 1] } }],
  ["BatchNormalization", ["a", "bn.scale", "bn.bias", "bn.mean", "bn.var"], ["b"]],
  ["Relu", ["b"], ["c"]],
  [
    "Conv",
    ["c", "depthwise.weight", "depthwise.bias"],
    ["d"],
    { pads: { ints: [1, 1, 1, 1] }, group: { int: 8 } },
  ],
  ["Relu", ["d"], ["e"]],
  ["Conv", ["e", "conv2.weight", "conv2.bias"], ["f"]],
  ["Add", ["f", "c"], ["g"]],
  ["Relu", ["g"], ["h"]],
  ["MaxPool", ["h"], ["i"], { kernel_shape: { ints: [2, 2] }, strides: { ints: [2, 2] } }],
  ["GlobalAveragePool", ["i"], ["j"]],
  ["Flatten", ["j"], ["k"]],
  ["Gemm", ["k", "fc.weight", "fc.bias"], ["y"], { transB: { int: 1 } }],
];
const network = onnxModel({
  inputs: { x: ["batch", 3, 8, 8] },
  weights: {
    "conv1.weight": normal([8, 3, 3, 3], 0.3),
    ...{
      "bn.scale": positive(8),
      "bn.bias": normal([8], 0.2),
      "bn.mean": normal([8], 0.2),
      "bn.var": positive(8),
    },
    ...{ "depthwise.weight": normal([8, 1, 3, 3], 0.4), "depthwise.bias": normal([8], 0.1) },
    ...{ "conv2.weight": normal([8, 8, 1, 1], 0.3), "conv2.bias": normal([8], 0.1) },
    ...{ "fc.weight": normal([5, 8], 0.5), "fc.bias": normal([5], 0.1) },
  },
  nodes,
  outputs: ["y"],
});
const examples = Array.from({ length: 4 }, () => normal([8, 3, 8, 8]));
async function* batches(): AsyncGenerator<Tensors> {
  for (const x of examples) yield { x: { ...x, data: x.data.slice() as Float32Array<ArrayBuffer> } };
}
const quantizeOn = (...given: Tensors[]) =>
  quantizeModel(
    network,
    {},
    {
      engine,
      async *batches() {
        yield* given;
      },
    },
  );
const quantize = (options: QuantizeOptions = {}, model = network) =>
  quantizeModel(model, options, { engine, batches });

/** ‖a − b‖ / ‖b‖ */
function relativeError(got: readonly number[], wanted: readonly number[]): number {
  const norm = (values: readonly number[]) => Math.hypot(...values);
  return norm(got.map((value, index) => value - wanted[index])) / norm(wanted);
}

describe("post-training quantization", () => {
  test("8 bits are near the float network, and every layer computes in integers", async () => {
    const [x] = examples;
    const float = await executed(network, { x });
    const { model, layers } = await quantize();
    const plain = await executed(model, { x }, "disabled");
    const fused = await executed(model, { x });
    assert.ok(relativeError(plain.values, float.values) < 0.02);
    assert.ok(relativeError(fused.values, plain.values) < 0.01);
    const count = (name: string) => fused.operators.filter((operator) => operator === name).length;
    assert.equal(count("QLinearConv"), 3, fused.operators.join());
    assert.equal(count("QGemm"), 1);
    assert.equal(count("QLinearAdd"), 1);
    assert.equal(count("QLinearGlobalAveragePool"), 1);
    assert.ok(!fused.operators.some((operator) => ["Conv", "FusedConv", "Gemm", "Relu"].includes(operator)));
    assert.deepEqual(
      layers.map(({ name, bits }) => [name, bits?.weights]),
      [
        ["conv1", 8],
        ["depthwise", 8],
        ["conv2", 8],
        ["fc", 8],
      ],
    );
  });

  test("fewer bits are farther away, and 4 bits compute in integers too", async () => {
    const [x] = examples;
    const float = await executed(network, { x });
    const errors: number[] = [];
    for (const bits of [8, 6, 4, 3]) {
      const { model } = await quantize({ weights: bits, activations: bits });
      const { values, operators } = await executed(model, { x });
      errors.push(relativeError(values, float.values));
      assert.ok(!operators.includes("Conv"), operators.join());
    }
    assert.deepEqual(
      errors,
      errors.toSorted((a, b) => a - b),
    );
    assert.ok(errors[2] < 0.3, String(errors));
  });

  test("a layer that stays float has its weights as they were, and is named", async () => {
    const { model, layers } = await quantize({ layers: { "depth*": "float", conv2: { weights: 5 } } });
    assert.deepEqual(
      layers.map(({ bits }) => bits),
      [
        { weights: 8, activations: 8 },
        undefined,
        { weights: 5, activations: 8 },
        { weights: 8, activations: 8 },
      ],
    );
    const { operators } = await executed(model, { x: examples[0] });
    assert.equal(operators.filter((operator) => operator === "QLinearConv").length, 2);
    assert.ok(model.graph!.initializer.some(({ name }) => name === "depthwise.weight"));
  });

  test("ranges of least error are measured again for other bits", async () => {
    const options = { activationMethod: "mse" } as const;
    const training = new PostTraining(network, options, { engine, batches });
    await training.quantize();
    const few = { "*": { weights: 8, activations: 3 } };
    const again = await training.quantize(few);
    const alone = await quantize({ ...options, layers: few });
    const scalesOf = ({ graph }: ModelProto) =>
      graph!.initializer
        .filter(({ name }) => name.endsWith("_scale"))
        .flatMap(({ rawData }) => Array.from(new Float32Array(rawData.slice().buffer)));
    // What else is measured beside them moves the last bits of what ONNX Runtime computes.
    assert.ok(scalesOf(alone.model).length > 10);
    assertClose(scalesOf(again.model), scalesOf(alone.model), 1e-5);
  });

  test("equalization keeps what the float network computes, and evens out channels", async () => {
    // One channel of the first layer is a hundred times another's; with a scale per tensor the small ones vanish.
    const uneven = readModel(writeModel(network));
    const weight = uneven.graph!.initializer.find(({ name }) => name === "depthwise.weight")!;
    const values = new Float32Array(weight.rawData.slice().buffer);
    for (let channel = 0; channel < 8; channel++)
      for (let at = 0; at < 9; at++) values[9 * channel + at] *= 10 ** (channel / 4);
    weight.rawData = new Uint8Array(values.buffer);
    const [x] = examples;
    const float = await executed(uneven, { x });
    const errorOf = async (options: QuantizeOptions) => {
      const training = new PostTraining(uneven, { perChannel: false, ...options }, { engine, batches });
      const { values } = await executed((await training.quantize()).model, { x });
      return { pairs: training.equalizedPairs, error: relativeError(values, float.values) };
    };
    const [without, withIt] = [await errorOf({}), await errorOf({ equalize: true })];
    // conv1's result is read by the addition too.
    assert.deepEqual([without.pairs, withIt.pairs], [0, 1]);
    assert.ok(withIt.error < without.error, `${withIt.error}, ${without.error}`);
  });
});

describe("bias correction", () => {
  const { biasCorrection } = JSON.parse(
    readFileSync(new URL("../../fixtures/quantization/ptq.json", import.meta.url), "utf8"),
  );
  for (const { name, kind, bits, weight, bias, inputs, correctedBiasOfBoth, ...given } of biasCorrection)
    test(`${name}: the bias that float64 gives`, async () => {
      const isLinear = kind === "linear";
      const editor = new ModelEditor(
        onnxModel({
          inputs: { x: ["batch", ...inputs.shape.slice(1)] },
          weights: {
            w: tensorData(weight.data, weight.shape, "float32"),
            b: tensorData(bias.data, bias.shape, "float32"),
          },
          nodes: [
            isLinear
              ? ["Gemm", ["x", "w", "b"], ["y"], { transB: { int: 1 } }]
              : ["Conv", ["x", "w", "b"], ["y"], { pads: { ints: [1, 1, 1, 1] } }],
          ],
          outputs: ["y"],
        }),
      );
      const [layer] = quantizedLayers(editor, () => false);
      const scales = Float64Array.from(given.weightScale.data as number[]);
      const quantized = {
        ...{ layer, weight: { axis: 0, scales, high: largestWeight(bits) } },
        input: { scale: given.inputScale, zeroPoint: given.inputZeroPoint, low: 0, high: 255 },
      };
      // In two batches: the mean is over all examples.
      const half = inputs.shape[0] / 2;
      const size = inputs.data.length / 2;
      async function* parts(): AsyncGenerator<Tensors> {
        for (const start of [0, size]) {
          const shape = [half, ...inputs.shape.slice(1)];
          yield { x: tensorData(inputs.data.slice(start, start + size), shape, "float32") };
        }
      }
      await correctBiases(editor, [quantized], { engine, batches: parts });
      const { data } = editor.weight(layer.input[2])!;
      for (const [channel, wanted] of correctedBiasOfBoth.data.entries())
        assert.ok(Math.abs(data[channel] - wanted) < 1e-6, `${data[channel]}, ${wanted}`);
    });
});

describe("integers against float64", () => {
  const { networks } = JSON.parse(
    readFileSync(new URL("../../fixtures/quantization/int8.json", import.meta.url), "utf8"),
  );
  for (const { name, input, output, layers, outputStep } of networks) {
    test(`${name}: the numbers of fake quantization, plain and in integer kernels`, async () => {
      const weights = layers.flatMap(
        (layer: Record<string, { shape: number[]; data: number[] }>, index: number) => {
          const { weightQuantized, weightStep, bias } = layer;
          const slice = weightQuantized.data.length / weightStep.data.length;
          const data = weightQuantized.data.map((q, at) => q * weightStep.data[Math.floor(at / slice)]);
          return [
            [`w${index}`, tensorData(data, weightQuantized.shape, "float32")],
            [`b${index}`, tensorData(bias.data, bias.shape, "float32")],
          ];
        },
      );
      const float = onnxModel({
        inputs: { x: input.shape },
        weights: Object.fromEntries(weights),
        nodes: [
          ["Conv", ["x", "w0", "b0"], ["a"], { pads: { ints: [1, 1, 1, 1] } }],
          ["Relu", ["a"], ["b"]],
          ["Conv", ["b", "w1", "b1"], ["c"], { pads: { ints: [1, 1, 1, 1] } }],
          ["Relu", ["c"], ["d"]],
          ["GlobalAveragePool", ["d"], ["e"]],
          ["Flatten", ["e"], ["f"]],
          ["Gemm", ["f", "w2", "b2"], ["y"], { transB: { int: 1 } }],
        ],
        outputs: ["y"],
      });
      const unsigned = (scale: number, bits = 8) => ({ scale, zeroPoint: 0, low: 0, high: 2 ** bits - 1 });
      const quantizers: Record<string, ReturnType<typeof unsigned>> = {
        x: { ...unsigned(layers[0].inputStep), zeroPoint: 128 },
        b: unsigned(layers[1].inputStep, layers[1].bits),
        d: unsigned(layers[1].outputStep),
        e: unsigned(layers[2].inputStep),
        y: { ...unsigned(outputStep), zeroPoint: 128 },
      };
      const editor = new ModelEditor(float);
      const wanted = quantizedLayers(editor, () => false);
      const sites = sitesOf(editor, wanted);
      assert.deepEqual(
        sites.map((site) => [site.name, site.like]),
        [...["x", "b", "d", "e"].map((each) => [each, undefined]), ["f", "e"], ["y", undefined]],
      );
      quantizeSites(editor, sites, (site) => quantizers[site.like ?? site.name]);
      for (const [index, layer] of wanted.entries()) {
        const scales = Float64Array.from(layers[index].weightStep.data as number[]);
        const reads = quantizers[["x", "b", "e"][index]];
        const weights = integerWeights(editor.weight(layer.input[1])!, {
          ...{ axis: outputAxis(layer), scales, high: 127 },
        });
        quantizeLayer(editor, layer, weights, reads);
      }
      const model = editor.finish();
      const stored = (tensor: string) =>
        Array.from(new Int8Array(model.graph!.initializer.find((one) => one.name === tensor)!.rawData));
      for (const [index, layer] of layers.entries())
        assert.deepEqual(
          stored(`w${index}_integers`),
          layer.weightQuantized.data.map((q: number) => q + 0),
        );
      const x = tensorData(input.data, input.shape, "float32");
      for (const level of ["disabled", "all"] as const) {
        const { values } = await executed(model, { x }, level);
        for (const [at, value] of values.entries()) {
          const steps = Math.abs(value - output.data[at]) / outputStep;
          // Sums nearer to a tie than float32 resolves fall to either side.
          assert.ok(steps < 1.001, `${level} ${at}: ${steps} steps`);
          if (level === "disabled") assert.ok(steps < 1e-3 || Math.abs(steps - 1) < 1e-3, `${steps} steps`);
        }
      }
    });
  }
});

describe("kernels for 8 bits", () => {
  const { saturation } = JSON.parse(
    readFileSync(new URL("../../fixtures/quantization/int8.json", import.meta.url), "utf8"),
  );
  const runWith = async (file: string, options: EngineOptions) => {
    const own = openEngine({ threads: 1, ...options });
    try {
      const path = new URL(`../../fixtures/quantization/${file.replace("int8/", "")}`, import.meta.url);
      await own.load("model", new Uint8Array(readFileSync(path)));
      const x = tensorData(new Float32Array(32).fill(255), [1, 8, 2, 2], "float32");
      return Number(Object.values((await own.run("model", { x })).outputs)[0].data[0]);
    } finally {
      await own.close();
    }
  };
  for (const { name, file, output } of saturation) {
    test(`${name}: exact kernels do not saturate`, async () => {
      assert.equal(await runWith(file, {}), output);
    });
  }

  test("the fastest kernels are exact for 7 bits, and for 8 where the processor is found to be", async () => {
    const [full, half] = saturation;
    assert.equal(await runWith(half.file, { exactIntegers: false }), half.output);
    const saturates = await integersSaturate();
    assert.equal((await runWith(full.file, { exactIntegers: false })) !== full.output, saturates);
    assert.equal(await integersSaturate(), saturates, "when it is asked again");
  });
});

describe("bad input", () => {
  const refusals: [what: string, run: () => Promise<unknown>, message: RegExp][] = [
    ["1 bit", () => quantize({ weights: 1 }), /^weights: 1 bits were asked for; integers have 2 to 8$/],
    ["17 bits", () => quantize({ activations: 17 }), /^activations: 17 bits/],
    [
      "a pattern without layers",
      () => quantize({ layers: { "head*": "float" } }),
      /^layers: "head\*" fits no layer; the layers are conv1, depthwise, conv2, fc$/,
    ],
    [
      "a percentile that swaps the ends",
      () => quantize({ percentile: 1 }),
      /^percentile is 1; it has to be above 50 and at most 100$/,
    ],
    ["all layers float", () => quantize({ layers: { "*": "float" } }), /^every layer stays float/],
    ["no data", () => quantizeOn(), /^there are no calibration data; /],
    [
      "batches of no examples",
      () => quantizeOn({ x: normal([0, 3, 8, 8]) }),
      /^there are no calibration data; /,
    ],
    [
      "images of another size",
      () => quantizeOn({ x: normal([2, 3, 9, 8]) }),
      /^the model reads x: float32 \[batch, 3, 8, 8\], and the calibration data are x: float32 \[2, 3, 9, 8\]; give batches as the model reads them \(.+\)$/,
    ],
    [
      "rows in place of images",
      () => quantizeOn({ x: normal([2, 192]) }),
      /the calibration data are x: float32 \[2, 192\]; give batches as the model reads them/,
    ],
    [
      "data by another name",
      () => quantizeOn({ images: normal([2, 3, 8, 8]) }),
      /the calibration data are images: float32 \[2, 3, 8, 8\]; give batches as the model reads them/,
    ],
    [
      "integers in place of numbers",
      () => quantizeOn({ x: tensorData(new Int32Array(384), [2, 3, 8, 8], "int32") }),
      /the calibration data are x: int32 \[2, 3, 8, 8\]; give batches as the model reads them/,
    ],
    [
      "numbers that are not finite",
      () => quantizeOn({ x: tensorData(new Float32Array(384).fill(Number.NaN), [2, 3, 8, 8], "float32") }),
      /^"x" is not finite on the calibration data; it cannot be quantized$/,
    ],
    [
      "a quantized model",
      async () => quantize({}, (await quantize()).model),
      /^the model is quantized already \(\d+ nodes: (Dequantize|Quantize)Linear, (Dequantize|Quantize)Linear\); quantize the float model that it was made of$/,
    ],
  ];
  for (const [what, run, message] of refusals)
    test(what, async () => {
      await assert.rejects(run, { name: "UserError", message });
    });

  for (const activationMethod of activationMethods)
    test(`${activationMethod}: an activation that is always 0 stays 0, and the rest is quantized`, async () => {
      const dead = readModel(writeModel(network));
      const bias = dead.graph!.initializer.find(({ name }) => name === "bn.bias")!;
      bias.rawData = new Uint8Array(Float32Array.from({ length: 8 }, () => -1e6).buffer);
      const [x] = examples;
      const float = await executed(dead, { x });
      const { model } = await quantize({ activationMethod }, dead);
      const { values, operators } = await executed(model, { x });
      assert.ok(relativeError(values, float.values) < 0.02, String(values));
      assert.ok(!operators.includes("Conv"), operators.join());
    });

  test("channels whose weights are 0 or next to nothing keep their biases", async () => {
    const weight = normal([8, 8, 1, 1], 0.3);
    const values = weight.data as Float32Array;
    for (let at = 0; at < 8; at++) [values[at], values[8 + at]] = [0, 1e-12 * values[8 + at]];
    const editor = new ModelEditor(network);
    const layer = editor.nodes.find(({ input }) => input[1] === "conv2.weight")!;
    editor.replaceWeight(layer, 1, weight);
    editor.replaceWeight(layer, 2, tensorData([0.013, -0.37, 1, 0, 0, 0, 0, 0], [8], "float32"));
    const flat = editor.finish();
    const float = await executed(flat, { x: examples[0] });
    for (const perChannel of [true, false]) {
      const { values: own } = await executed((await quantize({ perChannel }, flat)).model, {
        x: examples[0],
      });
      assert.ok(relativeError(own, float.values) < 0.02, String(relativeError(own, float.values)));
    }
  });

  test("an operator without integer kernels stays float, its layers do not", async () => {
    const nodes: NodeText[] = [
      ["Conv", ["x", "w"], ["a"]],
      ["Erf", ["a"], ["b"]],
      ["Conv", ["b", "v"], ["y"]],
    ];
    const weights = { w: normal([4, 3, 1, 1]), v: normal([4, 4, 1, 1]) };
    const model = onnxModel({ inputs: { x: ["batch", 3, 8, 8] }, weights, nodes, outputs: ["y"] });
    const { model: quantized } = await quantize({}, model);
    const { operators } = await executed(quantized, { x: examples[0] });
    assert.equal(operators.filter((operator) => operator === "QLinearConv").length, 2);
    assert.ok(operators.includes("Erf"));
  });
});
