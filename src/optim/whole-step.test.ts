import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { randomStream } from "../common/random.ts";
import { Graph } from "../graph/graph.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { div, mul, square, sub } from "../ops/arithmetic.ts";
import { matMul } from "../ops/linear.ts";
import { reduceSum } from "../ops/reduction.ts";
import {
  assertSameTensors,
  networkKinds,
  numbers,
  openStep,
  randomSample,
  type Sample,
} from "../testing/networks.ts";
import { assertClose } from "../testing/numeric.ts";
import { methods, pairs } from "../testing/optimizers.ts";
import type { Optimizer, StepRule } from "./optimizer.ts";
import { defaultSettings, type ParameterSettings } from "./parameter-groups.ts";
import { sgd } from "./sgd.ts";

// What a step does around the direction, for every method over every base: clipping, scope, micro-batches.

/** A random network of each kind in turn, in float64. */
function sampleFor(turn: number, seed: number): Sample {
  const kind = networkKinds[turn % networkKinds.length];
  return randomSample(kind, "float64", randomStream(seed, kind));
}

/** The same optimizer with its directions multiplied. */
function scaledBy(optimizer: Optimizer, factor: number): Optimizer {
  const scaled = (rule: StepRule): StepRule => ({
    ...rule,
    direction: (context) => {
      const made = rule.direction(context);
      return { ...made, direction: made.direction.map((value) => mul(value, factor)) };
    },
  });
  const steps = Object.entries(optimizer.steps).map(([kind, rule]) => [kind, scaled(rule)]);
  return { ...optimizer, steps: Object.fromEntries(steps) };
}

describe("rule 6: clipping acts on d, once", () => {
  for (const { method, base, turn, optimizer } of pairs) {
    test(`${method}, ${base}`, async () => {
      const sample = sampleFor(turn, 21);
      const batch = sample.batch();
      const after = async (each: Optimizer, clipNorm?: number) => {
        const step = await openStep(sample, each, { clipNorm });
        const { scalars } = await step.run(batch, { learningRate: 0.1, rhoMax: 0.2, rhoMin: 0.1 });
        const tensors = await step.read();
        await step.close();
        return { norm: scalars.direction_norm, tensors };
      };
      const free = await after(optimizer());
      assertSameTensors((await after(optimizer(), 3 * free.norm)).tensors, free.tensors);
      const clipped = await after(optimizer(), free.norm / 3);
      assert.equal(clipped.norm, free.norm, "what is reported is the norm before");
      const expected = await after(scaledBy(optimizer(), 1 / 3));
      for (const [name, tensor] of Object.entries(expected.tensors)) {
        assertClose(numbers(clipped.tensors[name]), numbers(tensor), 1e-9, name);
      }
    });
  }
});

describe("rule 7: only what is perturbed enters the norm that scales a perturbation", () => {
  for (const { method, base, turn, optimizer } of pairs) {
    if (["plain", "bilateral-sam reused step"].includes(method)) continue;
    test(`${method}, ${base}`, async () => {
      const sample = sampleFor(turn, 22);
      const batches = [sample.batch(), sample.batch()];
      const names = [...sample.objective.parameters.keys()];
      const left = names.filter((_, index) => index % 2 === turn % 2);
      const losses = async (changes: Partial<ParameterSettings>) => {
        const settings = new Map(
          names.map((name) => [name, { ...defaultSettings, ...(left.includes(name) ? changes : {}) }]),
        );
        const step = await openStep(sample, optimizer(), { settings });
        // The first step moves nothing; it gives the base a momentum, for the method that goes along it.
        await step.run(batches[0], { learningRate: 0, rhoMax: 0.3, rhoMin: 0.2 });
        const { scalars } = await step.run(batches[1], { learningRate: 0.1, rhoMax: 0.3, rhoMin: 0.2 });
        const tensors = await step.read();
        await step.close();
        const seen = ["loss", "loss_max", "loss_min"].filter((name) => name in scalars);
        return { seen: seen.map((name) => scalars[name]), tensors };
      };
      const frozen = await losses({ frozen: true });
      const unperturbed = await losses({ perturbed: false });
      const all = await losses({});
      assertClose(unperturbed.seen, frozen.seen, 1e-11, "losses");
      assert.notDeepEqual(all.seen, frozen.seen);
      for (const name of names) {
        const moved =
          JSON.stringify(numbers(frozen.tensors[name])) !== JSON.stringify(numbers(sample.start[name]));
        assert.equal(moved, !left.includes(name), `${name} has moved`);
      }
      assertSameTensors(
        Object.fromEntries(left.map((name) => [name, frozen.tensors[name]])),
        Object.fromEntries(left.map((name) => [name, sample.start[name]])),
      );
      const stateOf = (name: string) =>
        Object.keys(frozen.tensors).filter((key) => key.startsWith(`${name}.`));
      for (const name of left) assert.deepEqual(stateOf(name), [], `${name} has no state`);
    });
  }
});

describe("rule 8: micro-batches", () => {
  const batchSize = 12;
  const sampleOf = (size: number) => randomSample("mlp", "float64", randomStream(23, "micro-batches"), size);
  const rates = { learningRate: 0.1, rhoMax: 0.2, rhoMin: 0.1 };

  for (const { method, base, turn, optimizer } of pairs) {
    test(`${method}, ${base}: one perturbation for all parts is the whole batch`, async () => {
      const sample = sampleOf(batchSize);
      const microBatches = [2, 3, 4, 6][turn % 4];
      const whole = await openStep(sample, optimizer());
      const parts = await openStep(sampleOf(batchSize / microBatches), optimizer(), { microBatches });
      for (let index = 0; index < 2; index++) {
        const batch = sample.batch();
        const expected = await whole.run(batch, rates);
        const actual = await parts.run(batch, rates);
        assert.deepEqual(Object.keys(actual.scalars), Object.keys(expected.scalars));
        assertClose(Object.values(actual.scalars), Object.values(expected.scalars), 1e-9, "scalars");
      }
      const [expected, actual] = [await whole.read(), await parts.read()];
      for (const name of Object.keys(expected)) {
        assertClose(numbers(actual[name]), numbers(expected[name]), 1e-9, name);
      }
      await whole.close();
      await parts.close();
    });
  }

  for (const [method, withBase] of Object.entries(methods)) {
    test(`${method}: parts of a weighted mean count as their examples do`, async () => {
      const optimizer = withBase(sgd({ momentum: 0.9 }));
      const batch = weightedSample(batchSize).batch();
      const whole = await openStep(weightedSample(batchSize), optimizer);
      const parts = await openStep(weightedSample(3), optimizer, { microBatches: 4 });
      const [expected, actual] = [await whole.run(batch, rates), await parts.run(batch, rates)];
      assertClose(Object.values(actual.scalars), Object.values(expected.scalars), 1e-9, "scalars");
      const [ends, others] = [await whole.read(), await parts.read()];
      for (const name of Object.keys(ends))
        assertClose(numbers(others[name]), numbers(ends[name]), 1e-9, name);
      await whole.close();
      await parts.close();
    });
  }

  test("a perturbation for each part: their steps count as their examples do", async () => {
    const optimizer = methods.sam(sgd({ weightDecay: 0.01 }));
    const batch = weightedSample(batchSize).batch();
    const half = weightedSample(batchSize / 2);
    const together = await openStep(half, optimizer, { microBatches: 2, perturbationPer: "micro-batch" });
    await together.run(batch, rates);
    const actual = await together.read();
    await together.close();
    const ends = [];
    for (const part of [0, 1]) {
      const alone = await openStep(half, optimizer);
      const feeds = Object.entries(batch).map(([name, tensor]) => [name, halfOf(tensor, part)]);
      await alone.run(Object.fromEntries(feeds), rates);
      ends.push(await alone.read());
      await alone.close();
    }
    const weights = [0, 1].map((part) =>
      numbers(halfOf(batch.weights, part)).reduce((sum, weight) => sum + weight, 0),
    );
    assert.ok(Math.abs(weights[0] - weights[1]) > 0.1, "the parts weigh differently");
    for (const name of half.objective.parameters.keys()) {
      const [left, right] = ends.map((end) => numbers(end[name]));
      const mean = left.map(
        (value, index) => (weights[0] * value + weights[1] * right[index]) / (weights[0] + weights[1]),
      );
      assertClose(numbers(actual[name]), mean, 1e-10, name);
    }
  });

  for (const [method, withBase] of Object.entries(methods)) {
    if (method === "momentum-sam") continue;
    test(`${method}: a perturbation for each part is the mean of the parts' own steps`, async () => {
      // Without momentum the update is linear in d, so the mean of the parts' results is the result of the mean.
      const optimizer = withBase(sgd({ weightDecay: 0.01 }));
      const batch = sampleOf(batchSize).batch();
      const half = sampleOf(batchSize / 2);
      const options = { microBatches: 2, perturbationPer: "micro-batch" } as const;
      const together = await openStep(half, optimizer, options);
      await together.run(batch, rates);
      const actual = await together.read();
      await together.close();
      const ends = await Promise.all(
        [0, 1].map(async (part) => {
          const alone = await openStep(half, optimizer);
          const feeds = Object.entries(batch).map(([name, tensor]) => [name, halfOf(tensor, part)]);
          await alone.run(Object.fromEntries(feeds), rates);
          const end = await alone.read();
          await alone.close();
          return end;
        }),
      );
      for (const name of half.objective.parameters.keys()) {
        const [left, right] = ends.map((end) => numbers(end[name]));
        const mean = left.map((value, index) => (value + right[index]) / 2);
        assertClose(numbers(actual[name]), mean, 1e-10, name);
      }
    });
  }
});

/** Least squares with a weight for each example: Σ w·(x·v − y)² / Σ w. */
function weightedSample(size: number): Sample {
  const random = randomStream(29, "weighted");
  const graph = new Graph();
  const vector = graph.input("v", "float64", [3, 1]);
  const input = graph.input("input", "float64", [size, 3]);
  const [target, weights] = ["target", "weights"].map((name) => graph.input(name, "float64", [size, 1]));
  const weight = reduceSum(weights);
  const loss = div(reduceSum(mul(weights, square(sub(matMul(input, vector), target)))), weight);
  const drawn = (shape: readonly number[], draw: () => number) =>
    tensorData(Array.from({ length: shape[0] * shape[1] }, draw), shape, "float64");
  return {
    type: "float64",
    objective: { loss, weight, parameters: new Map([["v", vector]]), buffers: new Map() },
    start: { v: drawn([3, 1], () => random.normal()) },
    batch: () => ({
      input: drawn([size, 3], () => random.normal()),
      target: drawn([size, 1], () => random.normal()),
      weights: drawn([size, 1], () => 0.1 + 3 * random.uniform()),
    }),
  };
}

/** The first or second half of a tensor along its first axis. */
function halfOf({ type, shape, data }: TensorData, part: number): TensorData {
  const length = data.length / 2;
  const values = Array.from(data as ArrayLike<number>).slice(part * length, (part + 1) * length);
  return tensorData(values, [shape[0] / 2, ...shape.slice(1)], type);
}
