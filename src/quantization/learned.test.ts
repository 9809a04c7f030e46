import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { randomStream } from "../common/random.ts";
import { Graph } from "../graph/graph.ts";
import { nodesOf } from "../graph/walk.ts";
import { filledWith } from "../nn/initializers.ts";
import { linear as linearLayer, relu, sequential } from "../nn/layers.ts";
import { buildModel } from "../nn/module.ts";
import type { Tensors } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { add } from "../ops/arithmetic.ts";
import { linear } from "../ops/linear.ts";
import { softmaxCrossEntropy } from "../ops/losses.ts";
import { learnedIntegers, learnedQuantize } from "../ops/quantization.ts";
import { defaultSettings, resolveGroups } from "../optim/parameter-groups.ts";
import { sam } from "../optim/sam.ts";
import { scalarInputs } from "../optim/scalars.ts";
import { sgd } from "../optim/sgd.ts";
import { initialState } from "../optim/state.ts";
import { type Objective, type TrainingStepOptions, trainingStep } from "../optim/training-step.ts";
import { assertClose, compileForTest, evaluate, tensor } from "../testing/numeric.ts";
import { quantizing } from "./learned.ts";

const [batch, inputs, outputs] = [5, 6, 4];
const range = { low: -2, high: 1 };
const random = randomStream(3, "learned");
const draw = (shape: number[]) =>
  tensor(
    Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal()),
    shape,
  );
const [w, x] = [draw([outputs, inputs]), draw([batch, inputs])];
const weights = w.data as Float64Array;
const step = 0.6;
const labels = tensorData([0, 1, 2, 3, 1], [batch], "int32");

/** Cross entropy of a linear layer of small integers. */
function objectiveOf(perturb: "quantized" | "latent"): Objective {
  const graph = new Graph();
  const weight = graph.input("w", "float64", [outputs, inputs]);
  const size = graph.input("s", "float64", []);
  const offset = graph.input("w.offset", "float64", [outputs, inputs]);
  const q = learnedQuantize(weight, size, range);
  const used = perturb === "quantized" ? add(q, offset) : q;
  const logits = linear(graph.input("x", "float64", [batch, inputs]), used);
  return {
    loss: softmaxCrossEntropy(logits, graph.input("y", "int32", [batch])),
    parameters: new Map([
      ["w", weight],
      ["s", size],
    ]),
    buffers: new Map(),
    ...(perturb === "quantized" && { offsets: new Map([["w", offset]]) }),
    integers: [learnedIntegers(perturb === "quantized" ? used : weight, size, range)],
  };
}

/** The loss at weights that are used as they are, and its gradient by finite differences. */
async function lossAt(values: ArrayLike<number>): Promise<number> {
  const graph = new Graph();
  const logits = linear(
    graph.input("x", "float64", [batch, inputs]),
    graph.input("w", "float64", [outputs, inputs]),
  );
  const loss = softmaxCrossEntropy(logits, graph.input("y", "int32", [batch]));
  const used = tensor(Array.from(values), [outputs, inputs]);
  return Number((await evaluate({ loss }, { x, y: labels, w: used })).loss[0]);
}

async function gradientAt(values: readonly number[]): Promise<number[]> {
  const h = 1e-5;
  const gradient: number[] = [];
  for (const [index, value] of values.entries()) {
    const [above, below] = [value + h, value - h].map((moved) => lossAt(values.with(index, moved)));
    gradient.push(((await above) - (await below)) / (2 * h));
  }
  return gradient;
}

const rounded = (value: number) => step * Math.min(range.high, Math.max(range.low, Math.round(value / step)));
const inside = (value: number) => value / step >= range.low && value / step <= range.high;
const norm = (values: readonly number[]) => Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0));

async function stepOf(
  objective: Objective,
  options: TrainingStepOptions,
  { learningRate = 0.1, rho = 0.2 } = {},
) {
  const optimizer = sam(sgd({ momentum: 0 }), { rho });
  const settings = new Map([
    ["w", defaultSettings],
    ["s", { ...defaultSettings, perturbed: false }],
  ]);
  const program = await compileForTest(trainingStep(objective, optimizer, { settings, ...options }));
  const start: Tensors = { w, s: tensor([step], []) };
  try {
    await program.engine.write({ ...start, ...initialState(objective, optimizer, start, { settings }) });
    const feeds = { x, y: labels, ...scalarInputs({ learningRate, scalars: { rho } }, "float64") };
    const { outputs: given } = await program.engine.run("test", feeds, { advance: true });
    return { given, next: await program.engine.read() };
  } finally {
    await program.close();
  }
}

describe("a perturbation", () => {
  test("behind the quantizer moves what is rounded, and the weights get the slope there", async () => {
    const q = Array.from(weights, rounded);
    const masked = (gradient: readonly number[]) =>
      gradient.map((value, index) => (inside(weights[index]) ? value : 0));
    const g = masked(await gradientAt(q));
    assert.ok(
      g.some((value) => value === 0),
      "no weight is out of range",
    );
    const moved = q.map((value, index) => value + (0.2 * g[index]) / norm(g));
    const expected = masked(await gradientAt(moved));
    const { given, next } = await stepOf(objectiveOf("quantized"), {});
    assertClose([Number(given.loss.data[0])], [await lossAt(q)], 1e-12);
    assertClose([Number(given.loss_max.data[0])], [await lossAt(moved)], 1e-12);
    const after = Array.from(weights, (value, index) => value - 0.1 * expected[index]);
    assertClose(next.w.data as Float64Array, after, 1e-9);
    // Nothing of it is far enough from its number to be another.
    assert.equal(Number(given.integers_changed.data[0]), 0);
  });

  test("of the latent weights is rounded, and changes the integers that are counted", async () => {
    const q = Array.from(weights, rounded);
    const g = (await gradientAt(q)).map((value, index) => (inside(weights[index]) ? value : 0));
    const latent = Array.from(weights, (value, index) => value + g[index] / norm(g));
    const { given } = await stepOf(objectiveOf("latent"), {}, { rho: 1 });
    assertClose([Number(given.loss_max.data[0])], [await lossAt(latent.map(rounded))], 1e-12);
    const changed = latent.filter((value, index) => rounded(value) !== q[index]).length;
    assert.ok(changed > 0, "nothing changes");
    assertClose([Number(given.integers_changed.data[0])], [changed / q.length], 1e-12);
  });
});

test("a step does not fall below its bound, however large the learning rate", async () => {
  const free = await stepOf(objectiveOf("latent"), {}, { learningRate: -1e3 });
  const other = await stepOf(objectiveOf("latent"), {}, { learningRate: 1e3 });
  const fallen = [free, other].map(({ next }) => Number(next.s.data[0]));
  assert.ok(Math.min(...fallen) < 0, "the step does not fall");
  const learningRate = fallen[0] < 0 ? -1e3 : 1e3;
  const bounds = new Map([["s", tensor([0.6e-6], [])]]);
  const { next } = await stepOf(objectiveOf("latent"), { lowerBounds: bounds }, { learningRate });
  assert.equal(Number(next.s.data[0]), 0.6e-6);
});

test("steps do not decay, and are perturbed only where a group says so", () => {
  const parameters = [
    { name: "conv1.weight", kind: "weight" },
    { name: "conv1.weightStep", kind: "step" },
  ] as const;
  const settings = resolveGroups(parameters);
  assert.deepEqual(settings.get("conv1.weight"), defaultSettings);
  assert.deepEqual(settings.get("conv1.weightStep"), {
    ...defaultSettings,
    weightDecay: 0,
    perturbed: false,
  });
  const perturbed = resolveGroups(parameters, [{ kinds: "step", perturbed: true }]);
  assert.equal(perturbed.get("conv1.weightStep")?.perturbed, true);
});

test("ranges: unsigned behind a ReLU, signed before; steps for each output channel or for the tensor", () => {
  const layer = sequential({
    fc1: linearLayer(inputs, 5, { initializer: filledWith(0.1) }),
    relu: relu(),
    fc2: linearLayer(5, 7),
    fc3: linearLayer(7, outputs),
  });
  const layers = new Map(["fc1", "fc2", "fc3"].map((name) => [name, { weights: 4, activations: 3 }]));
  for (const perChannel of [true, false]) {
    const small = quantizing(layer, { layers, perChannel, perturb: "quantized" });
    const model = buildModel(small, { inputShape: [inputs], batchSize: batch, training: true });
    const steps = model.parameters.filter(({ kind }) => kind === "step");
    assert.deepEqual(Object.fromEntries(steps.map(({ name, shape }) => [name, shape])), {
      ...{ "fc1.inputStep": [], "fc2.inputStep": [], "fc3.inputStep": [], "fc3.outputStep": [] },
      "fc1.weightStep": perChannel ? [5] : [],
      "fc2.weightStep": perChannel ? [7] : [],
      "fc3.weightStep": perChannel ? [outputs] : [],
    });
    const ranges = new Map<string, number>();
    for (const { inputs: read, attributes, operator } of nodesOf([model.logits])) {
      const by = read[1]?.origin;
      if (operator !== "FakeQuantize" || by?.kind !== "input") continue;
      ranges.set(by.name, "int" in attributes.low ? attributes.low.int : Number.NaN);
    }
    assert.deepEqual(Object.fromEntries(ranges), {
      ...{ "fc1.inputStep": -4, "fc2.inputStep": 0, "fc3.inputStep": -4, "fc3.outputStep": -128 },
      ...{ "fc1.weightStep": -8, "fc2.weightStep": -8, "fc3.weightStep": -8 },
    });
    assert.equal(model.offsets.size, 0);
    const options = { inputShape: [inputs], batchSize: batch, offsets: true };
    const perturbed = buildModel(small, { ...options, training: true });
    assert.deepEqual([...perturbed.offsets.keys()], ["fc1.weight", "fc2.weight", "fc3.weight"]);
  }
});
