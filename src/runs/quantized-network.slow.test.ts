import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { randomStream } from "../common/random.ts";
import { elementCount } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { filledWith } from "../nn/initializers.ts";
import * as nn from "../nn/layers.ts";
import { createModel } from "../nn/models.ts";
import { buildModel, initialTensors, type Layer } from "../nn/module.ts";
import type { Tensors } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { mul } from "../ops/arithmetic.ts";
import { abs } from "../ops/elementwise.ts";
import { flatten } from "../ops/movement.ts";
import { reduceMean } from "../ops/reduction.ts";
import { channelsOf } from "../quantization/channels.ts";
import { outputAxis } from "../quantization/layers.ts";
import { type Observed, observing } from "../quantization/learned.ts";
import { weightStepName } from "../quantization/learned-sites.ts";
import { firstStep, integerRange, weightRange } from "../quantization/lsq.ts";
import { fusedOperators } from "../runtime/onnxruntime.ts";
import { openEngine } from "../runtime/remote.ts";
import { using } from "../testing/engines.ts";
import { quantizationSettings } from "./quantization-settings.ts";
import { quantizedNetwork } from "./quantized-network.ts";

// The network with learned steps as it is evaluated in training, beside the file that is written of it: as it says, and in
// integer kernels.

const task = {
  metadata: {},
  input: [3, 32, 32],
  output: { name: "logits", shape: [10], holds: "logits" },
} as const;
const batchSize = 4;

interface Case {
  model: string;
  size?: number;
  bits: { weights: number; activations: number };
  perChannel?: boolean;
  /** Operators that must be there once fused, and those that must not. */
  integers: readonly string[];
  floats?: readonly string[];
}

const cases: Case[] = [
  { model: "mlp", bits: { weights: 4, activations: 4 }, integers: ["QGemm"], floats: ["Gemm"] },
  {
    model: "cnn",
    bits: { weights: 8, activations: 8 },
    integers: ["QLinearConv", "QGemm"],
    floats: ["Conv"],
  },
  {
    model: "cnn",
    bits: { weights: 2, activations: 4 },
    integers: ["QLinearConv", "QGemm"],
    floats: ["Conv"],
  },
  {
    ...{ model: "cnn", bits: { weights: 3, activations: 3 }, perChannel: false },
    ...{ integers: ["QLinearConv", "QGemm"], floats: ["Conv"] },
  },
  {
    ...{ model: "resnet20", bits: { weights: 4, activations: 4 } },
    ...{ integers: ["QLinearConv", "QLinearAdd", "QGemm"], floats: ["Conv", "Add"] },
  },
  {
    ...{ model: "mobilenet-v2:width=0.25", bits: { weights: 6, activations: 6 } },
    ...{ integers: ["QLinearConv", "QLinearAdd", "QGemm"], floats: ["Conv", "FusedConv"] },
  },
  { model: "unet:width=4,depth=2", bits: { weights: 8, activations: 8 }, integers: ["QLinearConv"] },
  {
    model: "simple-baseline-small:width=4,units=1",
    bits: { weights: 4, activations: 8 },
    integers: ["QLinearConv"],
  },
];

for (const { model: name, bits, perChannel = true, integers, floats = [], size = 32 } of cases) {
  test(`${name}, W${bits.weights}A${bits.activations}${perChannel ? "" : ", one step for all channels"}`, async () => {
    const inputShape = [3, size, size];
    const layer = createModel(name, { channels: 3, height: size, width: size, classes: 10 });
    const settings = quantizationSettings.parse({ ...bits, perChannel })!;
    const network = quantizedNetwork({ layer, inputShape }, task, settings);
    const weights = startOf(layer, inputShape);
    const input = images(inputShape);
    await using(openEngine({ threads: 1 }), async (engine) => {
      await engine.write(weights);
      const run = async (program: string, graph: ReturnType<typeof buildModel>["graph"]) => {
        await engine.load(program, compile(graph));
        return (await engine.run(program, { input: { ...input, data: input.data.slice() } })).outputs;
      };
      let observed: Observed | undefined;
      const watched = observing(layer, network.quantization, (found) => {
        observed = found;
      });
      const float = buildModel(watched, { inputShape, batchSize, training: false });
      const { layers, sites } = observed!;
      for (const { step, tensor } of sites) float.graph.output(step, reduceMean(abs(tensor)));
      const means = await run("float", float.graph);
      const steps: Tensors = {};
      for (const { step, bits: own, isUnsigned } of sites) {
        const { high } = integerRange(own, !isUnsigned);
        steps[step] = tensorData([(2 * Number(means[step].data[0])) / Math.sqrt(high)], [], "float32");
      }
      for (const { name: own, node, bits: ofLayer } of layers) {
        const channels = channelsOf(weights[node.input[1]], perChannel ? outputAxis(node) : undefined);
        const values = Array.from({ length: channels.count }, (_, channel) =>
          firstStep.mean(channels.values(channel), weightRange(ofLayer.weights)),
        );
        steps[weightStepName(own)] = tensorData(values, perChannel ? [values.length] : [], "float32");
      }
      const tensors = { ...weights, ...steps };
      await engine.write(tensors);
      const built = buildModel(network.layer, { inputShape, batchSize, training: false });
      assert.deepEqual(
        new Set(built.parameters.flatMap(({ name: own, kind }) => (kind === "step" ? [own] : []))),
        new Set(Object.keys(steps)),
      );
      // In training the same parameters are there.
      const trained = buildModel(network.layer, { inputShape, batchSize, training: true });
      assert.deepEqual(
        trained.parameters.map(({ name: own }) => own).sort(),
        built.parameters.map(({ name: own }) => own).sort(),
      );
      built.graph.output("logits", built.logits);
      const { logits } = await run("learned", built.graph);
      const file = network.write!(tensors, {});
      const operators = await fusedOperators(file);
      for (const operator of integers) assert.ok(operators.includes(operator), `${operator}: ${operators}`);
      for (const operator of floats) assert.ok(!operators.includes(operator), `${operator}: ${operators}`);
      for (const fuse of [false, true]) {
        await using(openEngine({ threads: 1, fuse }), async (other) => {
          await other.load("file", file);
          const { outputs } = await other.run("file", { input: { ...input, data: input.data.slice() } });
          const [own, expected] = [outputs.logits.data as Float32Array, logits.data as Float32Array];
          let others = 0;
          // Outputs are whole multiples of one step.
          const step = leastDistance(expected);
          for (const [index, value] of own.entries())
            if (Math.abs(value - expected[index]) > step / 2) others++;
          assert.ok(new Set(expected).size > 3, "the outputs are all alike");
          assert.ok(others <= 0.01 * own.length, `${others} of ${own.length} differ`);
        });
      }
    });
  });
}

function fill({ data }: Tensors[string], draw: () => number): void {
  const values = data as Float32Array;
  for (let index = 0; index < values.length; index++) values[index] = draw();
}

/** Weights with BatchNorm that shifts, and turns some channels around. */
function startOf(layer: ReturnType<typeof createModel>, inputShape: readonly number[]): Tensors {
  const tensors = initialTensors(buildModel(layer, { inputShape, batchSize, training: false }), 3);
  const random = randomStream(5, "statistics");
  for (const [name, tensor] of Object.entries(tensors)) {
    const isNorm = name.endsWith("weight") && name.replace(/weight$/, "running_var") in tensors;
    if (name.endsWith("running_var")) fill(tensor, () => 0.1 + random.uniform());
    else if (name.endsWith("running_mean") || name.endsWith("bias"))
      fill(tensor, () => 0.2 * random.normal());
    else if (isNorm) fill(tensor, () => (random.uniform() < 0.2 ? -0.8 : 1.1));
  }
  return tensors;
}

function images(inputShape: readonly number[]) {
  const random = randomStream(7, "images");
  const shape = [batchSize, ...inputShape];
  return {
    type: "float32" as const,
    shape,
    data: Float32Array.from({ length: elementCount(shape) }, () => random.normal()),
  };
}

/** Of two different numbers. */
function leastDistance(values: Float32Array): number {
  const sorted = [...new Set(values)].sort((x, y) => x - y);
  return Math.min(...sorted.slice(1).map((value, index) => value - sorted[index]));
}

describe("what cannot be quantized is said", () => {
  const shape = { channels: 1, height: 8, width: 8, classes: 10 };
  const float = { layer: createModel("cnn", shape), inputShape: [1, 8, 8] };
  const of = (settings: object) => quantizedNetwork(float, task, quantizationSettings.parse(settings)!);

  test("a pattern that fits no layer, bits that there are not, nothing left", () => {
    assert.throws(
      () => of({ layers: { "conv9*": "float" } }),
      /layers: "conv9\*" fits no layer; the layers are conv1, /,
    );
    for (const bits of [1, 17, 2.5])
      assert.throws(() => quantizationSettings.parse({ weights: bits }), /integers have 2 to 8 bits|int/);
    assert.throws(() => of({ layers: { "*": "float" } }), /every layer stays float/);
    const nothing = {
      layer: nn.sequential({ relu: nn.relu(), flatten: nn.flatten() }),
      inputShape: [1, 8, 8],
    };
    assert.throws(
      () => quantizedNetwork(nothing, task, quantizationSettings.parse({})!),
      /no convolution or linear layer/,
    );
  });

  test("layers that stay float, and weights of operators without integer kernels", () => {
    assert.deepEqual(of({ layers: { conv3: "float" } }).notes, ["layers that stay float: conv3"]);
    const layer: Layer = (x, scope) => {
      const scaled = mul(x, scope.parameter("gain", [1, 8, 8], "weight", filledWith(1)));
      return nn.linear(64, 10)(flatten(scaled), scope);
    };
    const { notes } = quantizedNetwork(
      { layer, inputShape: [1, 8, 8] },
      task,
      quantizationSettings.parse({})!,
    );
    assert.deepEqual(notes, [
      "weights that stay float, since integers have no kernel for what reads them: gain (Mul)",
    ]);
  });

  test("a network that is quantized already", () => {
    const small = of({});
    assert.throws(
      () => quantizedNetwork(small, task, quantizationSettings.parse({})!),
      /quantized already \(\d+ nodes: FakeQuantize\)/,
    );
  });
});
