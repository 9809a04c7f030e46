import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { randomStream } from "../common/random.ts";
import { Graph } from "../graph/graph.ts";
import { compile } from "../lower/compile.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { mul } from "../ops/arithmetic.ts";
import { matMul } from "../ops/linear.ts";
import { reduceSum } from "../ops/reduction.ts";
import { bilateralSam } from "../optim/bilateral-sam.ts";
import { sgd } from "../optim/sgd.ts";
import { initialState } from "../optim/state.ts";
import { trainingStep } from "../optim/training-step.ts";
import { affine, using, vector } from "../testing/engines.ts";
import { assertSameTensors, networkKinds, numbers, randomSample } from "../testing/networks.ts";
import type { Engine, Tensors } from "./engine.ts";
import { OnnxRuntimeEngine } from "./onnxruntime.ts";
import { openEngine } from "./remote.ts";

const engines: readonly (() => Engine)[] = [
  () => new OnnxRuntimeEngine({ threads: 1 }),
  () => openEngine({ threads: 1 }),
];

describe("the two engines give the same bits", () => {
  for (const kind of networkKinds) {
    test(`after ten steps of bilateral SAM on ${kind}`, async () => {
      const results: { stored: Tensors; outputs: Tensors[] }[] = [];
      for (const open of engines) {
        const { objective, start, batch } = randomSample(kind, "float32", randomStream(21, kind));
        const optimizer = bilateralSam(sgd({ momentum: 0.9, weightDecay: 1e-3 }));
        await using(open(), async (engine) => {
          await engine.load("step", compile(trainingStep(objective, optimizer)));
          await engine.write({ ...start, ...initialState(objective, optimizer, start) });
          const outputs: Tensors[] = [];
          for (let step = 0; step < 10; step++) {
            const feeds = {
              ...batch(),
              learning_rate: tensorData([0.1], [], "float32"),
              rho_max: tensorData([0.05], [], "float32"),
              rho_min: tensorData([0.05], [], "float32"),
            };
            const result = await engine.run("step", feeds, { advance: true });
            assert.ok(result.advanced);
            outputs.push(result.outputs);
          }
          results.push({ stored: await engine.read(), outputs });
        });
      }
      const [local, remote] = results;
      assertSameTensors(remote.stored, local.stored);
      for (const [step, outputs] of local.outputs.entries()) assertSameTensors(remote.outputs[step], outputs);
    });
  }
});

describe("an engine on its own thread", () => {
  /** A program of many large matrix products, for something that takes a while. */
  const slow = () => {
    const graph = new Graph();
    const x = graph.input("x", "float32", [512, 512]);
    let value = x;
    for (let index = 0; index < 60; index++) value = mul(matMul(value, x), 1 / 512);
    graph.output("sum", reduceSum(value));
    return compile(graph);
  };
  const ones = () => tensorData(new Float32Array(512 * 512).fill(1), [512, 512], "float32");

  test("leaves the calling thread free during a long run", () =>
    using(openEngine({ threads: 1 }), async (engine) => {
      await engine.load("slow", slow());
      let ticks = 0;
      const timer = setInterval(() => ticks++, 1);
      const started = performance.now();
      const { outputs } = await engine.run("slow", { x: ones() });
      const elapsed = performance.now() - started;
      clearInterval(timer);
      // Ones times ones is 512 everywhere, over 512 again 1.
      assert.deepEqual(numbers(outputs.sum), [512 * 512]);
      // A blocked thread ticks once at most; a free one about once a millisecond.
      assert.ok(ticks >= Math.max(3, elapsed / 50), `${ticks} ticks in ${elapsed} ms`);
    }));

  test("takes over the memory of feeds that are a whole buffer, and says so when it is fed again", () =>
    using(openEngine({ threads: 1 }), async (engine) => {
      await engine.load("p", affine);
      const feeds = { x: vector(1, 2), a: vector(1, 1), b: vector(0, 0) };
      await engine.run("p", feeds);
      assert.equal(feeds.x.data.length, 0);
      await assert.rejects(engine.run("p", feeds), /memory of "x" is gone: it was handed to an earlier run/);
      // The call that could not be sent leaves nothing behind.
      const again = await engine.run("p", { x: vector(1, 2), a: vector(1, 1), b: vector(0, 0) });
      assert.deepEqual(numbers(again.outputs.sum), [3]);
    }));

  test("several run side by side and are independent", () =>
    using(openEngine({ threads: 1 }), (first) =>
      using(openEngine({ threads: 1 }), async (second) => {
        const ends = [first, second].map(async (engine, index) => {
          await engine.load("p", affine);
          await engine.write({ x: vector(index + 1, 5), a: vector(2, 2), b: vector(0, index) });
          for (let step = 0; step < 5; step++) await engine.run("p", {}, { advance: true });
          return numbers((await engine.read(["x"])).x);
        });
        // x·2⁵, and b·(1 + 2 + … + 16) more.
        assert.deepEqual(await Promise.all(ends), [
          [32, 160],
          [64, 160 + 31],
        ]);
      }),
    ));
});
