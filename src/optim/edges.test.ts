import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { randomStream } from "../common/random.ts";
import { elementCount, Graph } from "../graph/graph.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { mul, sub } from "../ops/arithmetic.ts";
import { relu } from "../ops/elementwise.ts";
import { linear } from "../ops/linear.ts";
import { reduceSum, reduceSumSquare } from "../ops/reduction.ts";
import type { Tensors } from "../runtime/engine.ts";
import {
  assertSameTensors,
  networkKinds,
  numbers,
  openStep,
  randomSample,
  type Sample,
  vectorSample,
} from "../testing/networks.ts";
import { methods, pairs } from "../testing/optimizers.ts";
import type { Float } from "../testing/problems.ts";
import { bilateralSam } from "./bilateral-sam.ts";
import { sgd } from "./sgd.ts";

// Gradients that are exactly zero, and steps that are not finite.

const types = ["float64", "float32"] as const;

function assertFinite(scalars: Record<string, number>): void {
  for (const [name, value] of Object.entries(scalars))
    assert.ok(Number.isFinite(value), `${name} is ${value}`);
}

/** A network whose every hidden unit is off, so that each gradient is exactly 0. */
function deadNetwork(type: Float): Sample {
  const graph = new Graph();
  const shapes = { weight1: [4, 3], bias1: [4], weight2: [2, 4] };
  const parameters = new Map(
    Object.entries(shapes).map(([name, shape]) => [name, graph.input(name, type, shape)]),
  );
  const random = randomStream(2, "dead network");
  const draw = (shape: readonly number[], next = () => random.normal()) =>
    tensorData(Array.from({ length: elementCount(shape) }, next), shape, type);
  const start = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [
      name,
      draw(shape, name === "bias1" ? () => -100 : undefined),
    ]),
  );
  const x = graph.input("x", type, [5, 3]);
  const hidden = relu(linear(x, parameters.get("weight1")!, parameters.get("bias1")!));
  const loss = reduceSum(linear(hidden, parameters.get("weight2")!));
  const batch = { x: draw([5, 3]) };
  return { type, start, batch: () => batch, objective: { loss, parameters, buffers: new Map() } };
}

describe("rule 4: a gradient of exactly zero", () => {
  // Numbers that every operation below computes without rounding, so that results can be compared for equality.
  const [learningRate, momentum, weightDecay] = [0.25, 0.5, 0.5];

  for (const [method, withBase] of Object.entries(methods)) {
    for (const type of types) {
      test(`${method}, ${type}: at a minimum the base update gets 0`, async () => {
        const center = [1, -2, 3];
        const sample = vectorSample(
          (w) => reduceSumSquare(sub(w, w.graph.constant(tensorData(center, [3], type)))),
          center,
          type,
        );
        const step = await openStep(sample, withBase(sgd({ momentum, weightDecay })));
        let [w, buffer] = [center, center.map(() => 0)];
        const { scalars, advanced } = await step.run({}, { learningRate, rhoMax: 0.5, rhoMin: 0.5 });
        assert.ok(advanced);
        assertFinite(scalars);
        assert.equal(scalars.loss, 0);
        assert.equal(scalars.grad_norm, 0);
        assert.equal(scalars.direction_norm, 0);
        buffer = buffer.map((value, index) => momentum * value + weightDecay * w[index]);
        w = w.map((value, index) => value - learningRate * buffer[index]);
        const after = await step.read();
        assert.deepEqual(numbers(after.w), w);
        assert.deepEqual(numbers(after["w.momentum"]), buffer);
        await step.close();
      });
    }
  }

  for (const { method, base, turn, optimizer, plain } of pairs) {
    test(`${method}, ${base}: where every ReLU is dead the step is the base's, to the last bit`, async () => {
      const sample = deadNetwork(types[turn % 2]);
      const ends: Tensors[] = [];
      for (const each of [optimizer(), plain()]) {
        const step = await openStep(sample, each);
        for (let index = 0; index < 3; index++) {
          const { scalars, advanced } = await step.run(sample.batch(), {
            learningRate,
            rhoMax: 0.5,
            rhoMin: 0.5,
          });
          assert.ok(advanced);
          assertFinite(scalars);
          assert.equal(scalars.grad_norm, 0);
          assert.equal(scalars.direction_norm, 0);
        }
        ends.push(await step.read());
        await step.close();
      }
      assertSameTensors(ends[0], ends[1]);
      // Without weight decay nothing moves at all.
      if (["sgd plain", "sgd momentum", "sgd nesterov"].includes(base))
        assertSameTensors(ends[0], sample.start);
    });
  }

  for (const variant of ["paper", "released"] as const) {
    for (const type of types) {
      test(`${variant}, ${type}: the term of g⁻ is left out where only ‖g⁻‖ is 0`, async () => {
        // L = ½‖w‖² has g = w. With ρ_min = ‖w‖ the descent point is the minimum, 0, where g⁻ = 0. The norms are
        // whole numbers and ρ_max = ‖w‖/2, so w + ε⁺ = 1.5·w and g⁺ = 1.5·w without rounding.
        for (const w of [
          [3, 4],
          [2, -3, 6],
          [1, -2, 2, 0],
        ]) {
          const length = Math.hypot(...w);
          const sample = vectorSample((value) => mul(0.5, reduceSumSquare(value)), w, type);
          const step = await openStep(sample, bilateralSam(sgd({ momentum, weightDecay }), { variant }));
          const { scalars, advanced } = await step.run(
            {},
            { learningRate, rhoMax: length / 2, rhoMin: length },
          );
          assert.ok(advanced);
          assertFinite(scalars);
          assert.equal(scalars.grad_norm, length);
          assert.equal(scalars.grad_norm_max, 1.5 * length);
          assert.equal(scalars.grad_norm_min, 0);
          assert.equal(scalars.scale, 0);
          assert.equal(scalars.cos_grad_min, 0);
          assert.equal(scalars.direction_norm, 2.5 * length);
          const start = variant === "paper" ? w : w.map(() => 0);
          const expected = w.map(
            (value, index) => start[index] - learningRate * (2.5 * value + weightDecay * start[index]),
          );
          assert.deepEqual(numbers((await step.read()).w), expected);
          await step.close();
        }
      });
    }
  }
});

describe("rule 5: a step that is not finite changes nothing that is stored", () => {
  const bad = {
    NaN: () => Number.NaN,
    Infinity: () => Number.POSITIVE_INFINITY,
    "the largest number": (type: string) => (type === "float32" ? 3e38 : 1e308),
  };
  for (const { method, base, turn, optimizer: make } of pairs) {
    const [kind, type] = [networkKinds[turn % networkKinds.length], types[turn % types.length]];
    test(`${method}, ${base}, ${kind}, ${type}`, async () => {
      const sample = randomSample(kind, type, randomStream(11, `${kind} ${type}`));
      const [step, reference] = [await openStep(sample, make()), await openStep(sample, make())];
      const settings = { learningRate: 0.1, rhoMax: 0.1, rhoMin: 0.05 };
      const good = Array.from({ length: 3 }, sample.batch);
      const both = async (batch: Tensors) => {
        for (const each of [step, reference]) assert.ok((await each.run(batch, settings)).advanced);
      };
      await both(good[0]);
      for (const [name, value] of Object.entries(bad)) {
        // tanh saturates: without BatchNorm a large number is a batch like any other.
        if (kind === "mlp" && Number.isFinite(value(type))) continue;
        const before = await step.read();
        const batch = sample.batch();
        (batch.input.data as Float32Array)[1] = value(type);
        const { advanced } = await step.run(batch, settings);
        assert.equal(advanced, false, name);
        assertSameTensors(await step.read(), before);
      }
      await both(good[1]);
      await both(good[2]);
      assertSameTensors(await step.read(), await reference.read());
      await step.close();
      await reference.close();
    });
  }

  test("weights that overflow while every loss and gradient is finite", async () => {
    const sample = vectorSample((w) => mul(0.5, reduceSumSquare(w)), [1, -2], "float32");
    for (const { base, optimizer } of pairs) {
      if (base !== "sgd momentum") continue;
      const step = await openStep(sample, optimizer());
      const { scalars, advanced } = await step.run({}, { learningRate: 3e38, rhoMax: 0.1, rhoMin: 0.1 });
      assertFinite(scalars);
      assert.equal(advanced, false);
      assertSameTensors(await step.read(), sample.start);
      await step.close();
    }
  });

  test("a feed that is not finite", async () => {
    const sample = vectorSample((w) => mul(0.5, reduceSumSquare(w)), [3, 4], "float64");
    for (const settings of [
      { learningRate: Number.NaN, rhoMax: 0.1, rhoMin: 0.1 },
      { learningRate: 0.1, rhoMax: Number.POSITIVE_INFINITY, rhoMin: 0.1 },
      { learningRate: 0.1, rhoMax: 0.1, rhoMin: Number.NaN },
    ]) {
      const step = await openStep(sample, bilateralSam(sgd()));
      assert.equal((await step.run({}, settings)).advanced, false, JSON.stringify(settings));
      assertSameTensors(await step.read(), sample.start);
      await step.close();
    }
  });
});
