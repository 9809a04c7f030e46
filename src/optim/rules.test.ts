import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { gradients } from "../autodiff/gradients.ts";
import { randomStream } from "../common/random.ts";
import { Graph } from "../graph/graph.ts";
import { copyInto } from "../graph/walk.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import type { Tensors } from "../runtime/engine.ts";
import {
  assertSameTensors,
  networkKinds,
  numbers,
  openStep,
  randomSample,
  type Sample,
} from "../testing/networks.ts";
import { assertClose, evaluate } from "../testing/numeric.ts";
import { bases, pairs } from "../testing/optimizers.ts";
import { bilateralSam } from "./bilateral-sam.ts";
import { sgd } from "./sgd.ts";

// What holds for every network: no perturbation is left behind in the weights, a radius of 0 is the base optimizer,
// and BatchNorm's running statistics are those of pass 1.

const types = ["float64", "float32"] as const;

const precision = { float64: 1e-12, float32: 2e-5 };

/**
 * Runs `body` for every kind of network in both types, or in the types' turn: then a case gets each kind in one type,
 * and the next case in the other one.
 */
function forEachNetwork(
  body: (sample: (seed: number) => Sample, title: string) => void,
  turn?: number,
): void {
  for (const [index, kind] of networkKinds.entries()) {
    for (const type of turn === undefined ? types : [types[(index + turn) % 2]]) {
      body((seed) => randomSample(kind, type, randomStream(seed, `${kind} ${type}`)), `${kind}, ${type}`);
    }
  }
}

/** The weights of `sample` without its buffers. */
function weightsOf({ objective, start }: Sample): Tensors {
  return Object.fromEntries([...objective.parameters.keys()].map((name) => [name, start[name]]));
}

/** w + radius·g/‖g‖ in float64, from the loss and gradient of the plain graph. */
async function perturbed({ objective, start, type }: Sample, batch: Tensors, radius: number) {
  const graph = new Graph();
  const [loss] = copyInto(graph, [objective.loss]);
  const names = [...objective.parameters.keys()];
  const gradient = gradients(
    loss,
    names.map((name) => graph.inputs.get(name)!),
  );
  const outputs = Object.fromEntries(gradient.map((value, index) => [names[index], value]));
  const g = await evaluate(
    Object.fromEntries(Object.entries(outputs).map(([name, value]) => [`gradient of ${name}`, value])),
    { ...start, ...batch },
  );
  const length = Math.hypot(...Object.values(g).flat());
  return Object.fromEntries(
    names.map((name) => {
      const values = numbers(start[name]).map(
        (value, index) => value + (radius * g[`gradient of ${name}`][index]) / length,
      );
      return [name, tensorData(values, start[name].shape, type)];
    }),
  );
}

describe("rule 1: a learning rate of 0 leaves every weight bit-identical, whatever the radii", () => {
  for (const { method, base, turn, optimizer } of pairs) {
    if (method === "bilateral-sam released") continue;
    test(`${method}, ${base}`, async () => {
      const random = randomStream(1, `radii ${method} ${base}`);
      const checks: Promise<void>[] = [];
      forEachNetwork((sampleOf) => checks.push(check(sampleOf(random.integer(1000)))), turn);
      await Promise.all(checks);

      async function check(sample: Sample) {
        const step = await openStep(sample, optimizer());
        const radius = () => 10 ** (4 * random.uniform() - 3);
        for (let index = 0; index < 3; index++) {
          const settings = { learningRate: 0, rhoMax: radius(), rhoMin: radius() };
          const { advanced } = await step.run(sample.batch(), settings);
          assert.ok(advanced);
        }
        assertSameTensors(await step.read(Object.keys(weightsOf(sample))), weightsOf(sample));
        await step.close();
      }
    });
  }

  for (const [turn, [name, base]] of Object.entries(bases).entries()) {
    test(`the released code moves the weights to w − ρ_min·u, ${name}`, async () => {
      const checks: Promise<void>[] = [];
      forEachNetwork((sampleOf) => checks.push(check(sampleOf(3))), turn);
      await Promise.all(checks);

      async function check(sample: Sample) {
        const step = await openStep(sample, bilateralSam(base(), { variant: "released" }));
        const [batch, rhoMin] = [sample.batch(), 0.25];
        const expected = await perturbed(sample, batch, -rhoMin);
        await step.run(batch, { learningRate: 0, rhoMax: 0.1, rhoMin });
        const after = await step.read();
        let squared = 0;
        for (const [key, tensor] of Object.entries(expected)) {
          const [moved, before] = [numbers(after[key]), numbers(sample.start[key])];
          assertClose(moved, numbers(tensor), precision[sample.type], key);
          squared += moved.reduce((sum, value, index) => sum + (value - before[index]) ** 2, 0);
        }
        assertClose([Math.sqrt(squared)], [rhoMin], precision[sample.type], "‖w′ − w‖");
        await step.close();
      }
    });
  }
});

describe("rule 2: radii of 0 are the base optimizer to the last bit, running statistics included", () => {
  for (const [turn, name] of Object.keys(bases).entries()) {
    forEachNetwork((sampleOf, title) => {
      test(`${name}, ${title}`, async () => {
        const sample = sampleOf(5);
        const batches = Array.from({ length: 4 }, sample.batch);
        const ends: Tensors[] = [];
        for (const { base, optimizer } of pairs) {
          if (base !== name) continue;
          const step = await openStep(sample, optimizer());
          for (const batch of batches) {
            const { scalars } = await step.run(batch, { learningRate: 0.1 });
            if ("scale" in scalars) assert.equal(scalars.scale, 1);
          }
          ends.push(await step.read());
          await step.close();
        }
        const [plain, ...others] = ends;
        for (const [key, tensor] of Object.entries(weightsOf(sample))) {
          if (/^fc.*weight$/.test(key))
            assert.notDeepEqual(plain[key].data, tensor.data, `${key} was trained`);
        }
        for (const other of others) {
          for (const [key, tensor] of Object.entries(plain))
            assertSameTensors({ [key]: other[key] }, { [key]: tensor });
        }
      });
    }, turn);
  }
});

describe("rule 3: BatchNorm", () => {
  // The base updates take turns in these four networks.
  const titles: string[] = [];
  forEachNetwork((sampleOf, title) => {
    if (title.startsWith("mlp,")) return;
    const place = titles.push(title) - 1;
    test(`running statistics are updated by pass 1 alone, ${title}`, async () => {
      const sample = sampleOf(7);
      const batch = sample.batch();
      const ends: Tensors[] = [];
      // Momentum-SAM too: at the first step it has no momentum, so its one pass is at w.
      for (const { turn, optimizer } of pairs) {
        if (turn % 4 !== place) continue;
        const step = await openStep(sample, optimizer());
        await step.run(batch, { learningRate: 0.1, rhoMax: 0.5, rhoMin: 0.3 });
        ends.push(await step.read([...sample.objective.buffers.keys()]));
        await step.close();
      }
      for (const other of ends.slice(1)) assertSameTensors(other, ends[0]);

      // bn0 sees the batch itself: mean and unbiased variance of each channel by their definitions.
      const [, channels] = batch.input.shape;
      const places = batch.input.data.length / (batch.input.shape[0] * channels);
      const values = numbers(batch.input);
      const expected = Array.from({ length: channels }, (_, channel) => {
        const seen = values.filter((_, index) => Math.floor(index / places) % channels === channel);
        const mean = seen.reduce((sum, value) => sum + value, 0) / seen.length;
        const squares = seen.reduce((sum, value) => sum + (value - mean) ** 2, 0);
        return { mean, variance: squares / (seen.length - 1) };
      });
      const tolerance = precision[sample.type];
      assertClose(
        numbers(ends[0]["bn0.running_mean"]),
        expected.map(({ mean }) => 0.1 * mean),
        tolerance,
      );
      assertClose(
        numbers(ends[0]["bn0.running_var"]),
        expected.map(({ variance }) => 0.9 + 0.1 * variance),
        tolerance,
      );
    });

    test(`every pass normalizes by the batch's statistics, ${title}`, async () => {
      const sample = sampleOf(8);
      const batch = sample.batch();
      const [rhoMax, rhoMin] = [0.4, 0.2];
      const step = await openStep(sample, bilateralSam(sgd()));
      const { scalars } = await step.run(batch, { learningRate: 0.1, rhoMax, rhoMin });
      await step.close();
      for (const [quantity, radius] of [
        ["loss", 0],
        ["loss_max", rhoMax],
        ["loss_min", -rhoMin],
      ] as const) {
        const weights = await perturbed(sample, batch, radius);
        const graph = new Graph();
        // The training-mode loss, computed as one forward pass at the perturbed weights.
        const [loss] = copyInto(graph, [sample.objective.loss]);
        const alone = await evaluate({ loss }, { ...sample.start, ...batch, ...weights });
        assertClose([scalars[quantity]], alone.loss, precision[sample.type], quantity);
      }
    });
  });
});
