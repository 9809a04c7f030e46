import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { randomStream } from "../common/random.ts";
import { Graph, type Value } from "../graph/graph.ts";
import { nodesOf } from "../graph/walk.ts";
import { compile } from "../lower/compile.ts";
import { deviceTargets, type Target } from "../lower/target.ts";
import { createModel } from "../nn/models.ts";
import { square } from "../ops/arithmetic.ts";
import { exp } from "../ops/elementwise.ts";
import { matMul } from "../ops/linear.ts";
import { reduceMean } from "../ops/reduction.ts";
import type { Tensors } from "../runtime/engine.ts";
import { blockedNodes, targets, withoutBlocks } from "../testing/blocks.ts";
import { assertSameTensors, networkKinds, openStep, randomSample, sampleOf } from "../testing/networks.ts";
import { runModel } from "../testing/onnx-models.ts";
import { pairs } from "../testing/optimizers.ts";
import type { Float } from "../testing/problems.ts";
import { bilateralSam } from "./bilateral-sam.ts";
import { placeInStep } from "./passes.ts";
import { scalarInputs } from "./scalars.ts";
import { sgd } from "./sgd.ts";
import { initialState } from "./state.ts";
import { trainingStep } from "./training-step.ts";

// `recompute` changes what is kept in memory, and no bit of any number.

const settings = { learningRate: 0.1, rhoMax: 0.2, rhoMin: 0.1 };

describe("two steps have the same bits with and without", () => {
  for (const { method, base, turn, optimizer } of pairs) {
    const kind = networkKinds[turn % networkKinds.length];
    const type = turn % 2 === 0 ? "float32" : "float64";
    test(`${method}, ${base}: ${kind}, ${type}`, async () => {
      const sample = randomSample(kind, type, randomStream(5, kind), 6);
      const batches = [sample.batch(), sample.batch()];
      const after = async (recompute: boolean) => {
        const step = await openStep(sample, optimizer(), { recompute });
        const scalars = [];
        for (const batch of batches) scalars.push((await step.run({ ...batch }, settings)).scalars);
        const tensors = await step.read();
        await step.close();
        return { scalars, tensors };
      };
      const [plain, recomputed] = [await after(false), await after(true)];
      assert.deepEqual(recomputed.scalars, plain.scalars);
      assertSameTensors(recomputed.tensors, plain.tensors);
    });
  }
});

/** A step of bilateral SAM on a network of the zoo, and what it is fed. */
function stepOf(name: string, channels: number, batchSize = 16) {
  const inputShape = [channels, 16, 16];
  const layer = createModel(name, { channels, height: 16, width: 16, classes: 10 });
  const random = randomStream(6, name);
  const sample = sampleOf(layer, { inputShape, classes: 10, batchSize, type: "float32", random });
  const { objective, start } = sample;
  const optimizer = bilateralSam(sgd({ momentum: 0.9 }));
  const scalars = scalarInputs({ learningRate: 0.1, scalars: { rhoMax: 0.05, rhoMin: 0.05 } }, "float32");
  const feeds = (): Tensors => ({
    ...start,
    ...initialState(objective, optimizer, start),
    ...sample.batch(),
    ...scalars,
  });
  const graph = (recompute?: boolean) => trainingStep(objective, optimizer, { recompute });
  return { graph, feeds };
}

describe("every form of a program has the same bits with and without", () => {
  const { graph, feeds: feedsOf } = stepOf("cnn", 1);
  const feeds = feedsOf();
  const device: Target = { lacks: [] };
  for (const [name, target] of Object.entries({ ...targets, "none, on a device": device })) {
    test(`cnn, blocks of ${name}`, async () => {
      const [plain, recomputed] = [false, true].map((recompute) => {
        const bytes = compile(graph(recompute), { target });
        assert.equal(blockedNodes(bytes) > 0, target.blockedChannels !== undefined);
        return target.blockedChannels ? withoutBlocks(bytes, target.blockedChannels) : bytes;
      });
      assertSameTensors(await runModel(recomputed, feeds), await runModel(plain, feeds));
    });
  }
});

// Programs are compared as files: nothing runs, so shapes may be as large as they like.
describe("left out, it is decided by what the gradient reads", () => {
  /** Whether the step that decides by itself is the same program as the one with recomputation off, or on. */
  const choiceOf = (graph: (recompute?: boolean) => Graph, target: Target) => {
    const [automatic, off, on] = [undefined, false, true].map((recompute) =>
      Buffer.from(compile(graph(recompute), { target })),
    );
    assert.ok(!on.equals(off));
    return automatic.equals(on) ? "on" : automatic.equals(off) ? "off" : "neither";
  };

  // The gradient reads what each convolution gives, among others: 40 KiB an image, 640 MiB for 16,384 of them.
  for (const [batchSize, choice] of [
    [16, "off"],
    [16384, "on"],
  ] as const) {
    test(`cnn, batch ${batchSize}: ${choice}`, () => {
      const { graph } = stepOf("cnn", 1, batchSize);
      for (const target of Object.values(targets)) assert.equal(choiceOf(graph, target), choice);
    });
  }

  test("engines that do not free memory run the plain program, whatever its size", () => {
    const { graph } = stepOf("cnn", 1, 16384);
    const others = {
      "a file": {},
      WebGPU: deviceTargets.webgpu,
      CUDA: deviceTargets.cuda,
      WebAssembly: { webAssembly: true },
    };
    for (const [name, target] of Object.entries(others)) assert.equal(choiceOf(graph, target), "off", name);
  });

  /** The mean of (exp(x·w)·v)². Its gradient reads x, v, what exp gives, [rows, hidden], and much smaller values. */
  const exponential = (
    rows: number,
    options: { type?: Float; columns?: number; hidden?: number; outputs?: number } = {},
  ) => {
    const { type = "float32", columns = 8, hidden = 128, outputs = 1 } = options;
    const graph = new Graph();
    const [w, v] = [graph.input("w", type, [columns, hidden]), graph.input("v", type, [hidden, outputs])];
    const y = matMul(exp(matMul(graph.input("x", type, [rows, columns]), w)), v);
    const parameters = new Map([
      ["w", w],
      ["v", v],
    ]);
    const objective = { loss: reduceMean(square(y)), parameters, buffers: new Map() };
    return (recompute?: boolean) => trainingStep(objective, sgd(), { recompute });
  };
  const mebi = 2 ** 20;

  for (const [name, graph, choice] of [
    ["512 MiB", exponential(mebi), "off"],
    ["512 MiB and a row", exponential(mebi + 1), "on"],
    ["512 MiB of float64", exponential(mebi / 2, { type: "float64" }), "off"],
    ["512 MiB of float64 and a row", exponential(mebi / 2 + 1, { type: "float64" }), "on"],
    ["256 MiB, and 2 GiB of inputs", exponential(mebi / 2, { columns: 1024 }), "off"],
    ["4 MiB, and 1 GiB of weights", exponential(1, { hidden: mebi, outputs: 256 }), "off"],
  ] as const) {
    test(`${name}: ${choice}`, () => assert.equal(choiceOf(graph, targets.none), choice));
  }
});

/** Forward values of the first pass that its gradient reads without waiting for anything, by operator. */
function keptIn(graph: Graph): Map<string, number> {
  const kept = new Map<string, number>();
  const isForward = ({ origin }: Value) => {
    const place = origin.kind === "node" ? placeInStep(origin.node.scope) : undefined;
    return place?.part === "forward" && place.pass === 1;
  };
  const values = new Set<Value>();
  for (const { scope, inputs } of nodesOf(graph.outputs.values())) {
    if (placeInStep(scope).part !== "backward") continue;
    for (const input of inputs) if (input && isForward(input) && input.shape.length === 4) values.add(input);
  }
  for (const { origin } of values) {
    if (origin.kind !== "node") continue;
    kept.set(origin.node.operator, (kept.get(origin.node.operator) ?? 0) + 1);
  }
  return kept;
}

test("activations that follow from what BatchNorm's gradient reads are not kept, those between blocks by turns", () => {
  const { graph } = stepOf("resnet20", 3);
  // A ReLU in front of the first of nine blocks, and two in each; shortcuts have no convolution.
  assert.equal(keptIn(graph(false)).get("Relu"), 19);
  const kept = keptIn(graph(true));
  assert.equal(kept.get("Conv"), keptIn(graph(false)).get("Conv"));
  assert.equal(kept.get("Relu"), 5);
});
