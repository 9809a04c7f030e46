import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Graph } from "../graph/graph.ts";
import { mul, square } from "../ops/arithmetic.ts";
import { reduceMean } from "../ops/reduction.ts";
import { trainingStep } from "../optim/training-step.ts";
import { pairs } from "../testing/optimizers.ts";
import { namesInGraphs } from "./reserved-names.ts";

test("no name of a training step is left to a stored tensor", () => {
  const graph = new Graph();
  const w = graph.input("w", "float32", [2]);
  const x = graph.input("input", "float32", [2]);
  const objective = {
    loss: reduceMean(square(mul(x, w))),
    parameters: new Map([["w", w]]),
    buffers: new Map(),
  };
  for (const { optimizer: optimizerOf } of pairs) {
    const optimizer = optimizerOf();
    for (const step of Object.keys(optimizer.steps)) {
      const made = trainingStep(objective, optimizer, { step, averageDecay: 0.9 });
      const names = [...made.inputs.keys(), ...made.outputs.keys()].filter((name) => name !== "w");
      const renamed = namesInGraphs(["w", ...names]);
      assert.deepEqual([...renamed.keys()].sort(), [...names].sort());
    }
  }
});

test("other names stay, and new ones are distinct and free", () => {
  const name = fc.stringMatching(/^[a-z_]{1,3}([./][a-z]{1,2}){0,2}(\.next|\.uniform)?$/);
  fc.assert(
    fc.property(
      fc.uniqueArray(
        fc.oneof(
          name,
          fc.constantFrom("input", "loss", "input_", "toString", "rho", "rho_", "rho_up", "optimizer.share"),
        ),
      ),
      (stored) => {
        const renamed = namesInGraphs(stored);
        const all = stored.map((one) => renamed.get(one) ?? one);
        assert.equal(new Set(all).size, all.length);
        assert.equal(namesInGraphs(all).size, 0);
      },
    ),
  );
});

test("ordinary names of layers are kept", () => {
  const names = [
    "conv1.weight",
    "bn.running_mean",
    "onnx::MatMul_3",
    "fc/kernel:0",
    "w",
    "0",
    "重み",
    "a.b.c",
  ];
  assert.equal(namesInGraphs(names).size, 0);
});
