import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { randomStream } from "../common/random.ts";
import { Graph } from "../graph/graph.ts";
import { loadModel } from "../import/load.ts";
import { compile } from "../lower/compile.ts";
import { readModel } from "../onnx/model.ts";
import type { TensorData } from "../onnx/tensor.ts";
import { add } from "../ops/arithmetic.ts";
import { conv } from "../ops/convolution.ts";
import { relu } from "../ops/elementwise.ts";
import { linear } from "../ops/linear.ts";
import { flatten } from "../ops/movement.ts";
import { batchNormInference } from "../ops/normalization.ts";
import { globalAveragePool, maxPool } from "../ops/pooling.ts";
import { bilateralSam } from "../optim/bilateral-sam.ts";
import { every, reuse, startingAt } from "../optim/cheaper.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { sam } from "../optim/sam.ts";
import { sgd } from "../optim/sgd.ts";
import { assertClose } from "../testing/numeric.ts";
import { buildProblem, type OptimizerFixture, readFixture } from "../testing/problems.ts";
import { readSafetensors } from "../weights/safetensors.ts";
import { exportStep, type StepDescription, type StepInput, writeExportedStep } from "./exported-step.ts";

// The exported files alone, in a session of ONNX Runtime and nothing else, against the numbers of an independent program.

const folder = mkdtempSync(join(tmpdir(), "lowland-step-"));
after(() => rmSync(folder, { recursive: true, force: true }));

type Case = OptimizerFixture["cases"][number];

const fixture = readFixture<OptimizerFixture>("optimizers-cnn");

/** The network of the vectors as somebody's file for inference. */
function cnnFile(): Uint8Array {
  const { start } = buildProblem("cnn", "float32");
  const { x, y, ...weights } = start;
  const graph = new Graph();
  const input = graph.input("x", x.type, x.shape);
  const weight = (name: string) => graph.input(name, weights[name].type, weights[name].shape);
  const batchNorm = (value: typeof input, name: string) =>
    batchNormInference(
      value,
      weight(`${name}.weight`),
      weight(`${name}.bias`),
      weight(`${name}.running_mean`),
      weight(`${name}.running_var`),
      fixture.data.bnEps,
    );
  const h = relu(batchNorm(conv(input, weight("conv1.weight"), undefined, { pads: [1, 1, 1, 1] }), "bn1"));
  const main = conv(h, weight("conv2.weight"), undefined, { pads: [1, 1, 1, 1], strides: [2, 2] });
  const short = conv(h, weight("short.weight"), undefined, { strides: [2, 2] });
  const joined = relu(add(batchNorm(main, "bn2"), batchNorm(short, "bn3")));
  const pooled = flatten(globalAveragePool(maxPool(joined, [2, 2])));
  graph.output("logits", linear(pooled, weight("fc.weight"), weight("fc.bias")));
  return compile(graph, { weights: new Map(Object.entries(weights)), symbolicBatch: "batch" });
}

const batchSize = fixture.data.y.length;
const base = sgd({ momentum: 0.9, weightDecay: 1e-3 });
const optimizers: Record<string, (expected: Case) => Optimizer> = {
  "sgd-momentum-wd": baseOf,
  sam: (expected) => sam(baseOf(expected), { rho: expected.method.rho_max }),
  bsam: (expected) => bilateralSam(baseOf(expected), radiiOf(expected)),
  "bsam-released": (expected) =>
    bilateralSam(baseOf(expected), { ...radiiOf(expected), variant: "released" }),
};

function baseOf({ base: own }: Case): Optimizer {
  return sgd({ momentum: "m" in own ? own.m : 0, weightDecay: own.wd });
}

function radiiOf({ method: { rho_max: rhoMax, rho_min: rhoMin } }: Case) {
  return { rhoMax, rhoMin };
}

const toTensor = ({ type, data, shape }: TensorData) =>
  new Tensor(type as Tensor.Type, data as Tensor.DataType, shape);

describe("the step as a file gives the vectors' numbers in a bare session", () => {
  for (const [name, optimizerOf] of Object.entries(optimizers)) {
    test(name, async () => {
      const expected = fixture.cases.find((one) => one.name === name)!;
      const model = await loadModel(cnnFile());
      const step = exportStep(model, optimizerOf(expected), {
        batchSize,
        labelSmoothing: fixture.data.labelSmoothing,
        labelSmoothingKind: "kl",
      });
      const [file] = await writeExportedStep(step, join(folder, `${name}.onnx`));
      const description: StepDescription = JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));
      const [{ inputs, outputs }] = description.steps;
      const stored = readSafetensors(
        readFileSync(join(folder, description.initialValues)),
        "initial",
      ).tensors;
      const state = Object.fromEntries(Object.entries(stored).map(([key, value]) => [key, toTensor(value)]));
      const fed: Record<string, Tensor> = {
        x: new Tensor("float32", Float32Array.from(fixture.data.x.data), fixture.data.x.shape),
        target: new Tensor("int64", BigInt64Array.from(fixture.data.y, BigInt), [batchSize]),
        learning_rate: new Tensor("float32", [expected.base.lr], []),
        rho: new Tensor("float32", [expected.method.rho_max ?? 0], []),
        rho_max: new Tensor("float32", [expected.method.rho_max ?? 0], []),
        rho_min: new Tensor("float32", [expected.method.rho_min ?? 0], []),
      };
      const session = await InferenceSession.create(file, { intraOpNumThreads: 1 });
      assert.deepEqual([...session.inputNames].sort(), inputs.map((input) => input.name).sort());
      assert.deepEqual([...session.outputNames].sort(), outputs.map((output) => output.name).sort());
      for (const quantities of expected.steps) {
        const feeds = Object.fromEntries(
          inputs.map((input) => [input.name, state[input.name] ?? fed[input.name]]),
        );
        const results = await session.run(feeds);
        for (const [quantity, value] of Object.entries(quantities)) {
          const key = quantity.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
          assertClose([Number(results[key].data[0])], [value], 1e-4, quantity);
        }
        for (const { name: own, next } of inputs) if (next) state[own] = results[next];
      }
      await session.release();
      for (const [key, { data }] of Object.entries({ ...expected.final, ...expected.runningStats })) {
        assertClose(state[key].data as Float32Array, data, 1e-4, key);
      }
    });
  }
});

const exported = async (optimizer: Optimizer, options = {}) =>
  exportStep(await loadModel(cnnFile(), options), optimizer, { batchSize });

test("the file holds operators of ONNX alone", async () => {
  const { programs } = await exported(bilateralSam(base));
  const model = readModel(programs[0].bytes);
  assert.deepEqual(
    model.opsetImport.map(({ domain }) => domain),
    [""],
  );
  assert.deepEqual([...new Set(model.graph!.node.map(({ domain }) => domain))], [""]);
});

test("every input is described: kept tensors with where they come from and go to, the rest with what to feed", async () => {
  const { describe: describeFiles, initial } = await exported(bilateralSam(base));
  const { steps, initialValues } = describeFiles("step.onnx");
  assert.equal(initialValues, "step.safetensors");
  const of = (wanted: StepInput["role"]) => steps[0].inputs.filter(({ role }) => role === wanted);
  assert.deepEqual(
    of("scalar")
      .map(({ name }) => name)
      .sort(),
    ["learning_rate", "rho_max", "rho_min"],
  );
  assert.deepEqual(
    of("data").map(({ name, shape }) => [name, shape]),
    [["x", fixture.data.x.shape]],
  );
  assert.deepEqual(
    of("target").map(({ type, shape }) => [type, shape]),
    [["int64", [batchSize]]],
  );
  assert.equal(of("buffer").length, 6);
  assert.deepEqual(
    of("state").map(({ name }) => name),
    of("parameter").map(({ name }) => `${name}.momentum`),
  );
  const kept = [...of("parameter"), ...of("state"), ...of("buffer")];
  assert.deepEqual(kept.map(({ name }) => name).sort(), Object.keys(initial).sort());
  const outputs = new Map(steps[0].outputs.map((output) => [output.name, output]));
  for (const { name, next, initial: from } of kept) {
    assert.equal(outputs.get(next!)?.input, name);
    assert.equal(from, "step.safetensors");
  }
  for (const { name, role, meaning } of outputs.values()) if (role === "metric") assert.ok(meaning, name);
});

test("frozen parameters are part of the file and no input", async () => {
  const { describe: describeFiles } = await exported(base, { frozen: "conv*" });
  const names = describeFiles("x.onnx").steps[0].inputs.map(({ name }) => name);
  assert.ok(!names.some((name) => name.startsWith("conv")));
  assert.ok(names.includes("short.weight"));
});

test("a method with several kinds of step is one file per kind, and says when which is made", async () => {
  const kindsOf = async (optimizer: Optimizer) =>
    (await exported(optimizer)).describe("step.onnx").steps.map(({ file, when }) => [file, when]);
  const whole = bilateralSam(base);
  assert.deepEqual(await kindsOf(every(whole, 4)), [
    ["step.onnx", "step % 4 == 0, counted from 0"],
    ["step-base.onnx", "not (step % 4 == 0)"],
  ]);
  assert.deepEqual(await kindsOf(whole), [["step.onnx", "every step"]]);
  assert.deepEqual(await kindsOf(startingAt(every(whole, 4), 0.5)), [
    ["step.onnx", "step >= 0.5 * total_steps and step % 4 == 0, counted from 0"],
    ["step-base.onnx", "step < 0.5 * total_steps or not (step % 4 == 0)"],
  ]);
  assert.deepEqual(await kindsOf(startingAt(reuse(whole, 3), 0.5)), [
    ["step.onnx", "step >= 0.5 * total_steps and step % 3 == 0, counted from 0"],
    ["step-reused.onnx", "step >= 0.5 * total_steps and step % 3 != 0"],
    ["step-base.onnx", "step < 0.5 * total_steps"],
  ]);
});

test("what one kind only keeps is among the initial values", async () => {
  const { initial } = await exported(reuse(bilateralSam(base), 2));
  const names = Object.keys(initial).filter((name) => name.endsWith(".orthogonal"));
  assert.deepEqual(
    names.sort(),
    Object.keys(fixture.initial)
      .map((name) => `${name}.orthogonal`)
      .sort(),
  );
  for (const name of names)
    assert.ok(
      (initial[name].data as Float32Array).every((value) => value === 0),
      name,
    );
});

const field = (name: string) => fileURLToPath(new URL(`../../fixtures/field/${name}`, import.meta.url));

/** The loss that a step of a classifier of [8, 1, 8, 8] gives, and the mean −ln p that the file itself gives. */
async function lossesOf(path: string, microBatches: number) {
  const [images, random] = [8, randomStream(3, "images of a step")];
  const x = Float32Array.from({ length: images * 64 }, () => random.normal());
  const classes = Array.from({ length: images }, (_, index) => index % 10);
  const run = async (source: string | Uint8Array, feeds: Record<string, Tensor>) => {
    const session = await InferenceSession.create(source as string, { intraOpNumThreads: 1 });
    const results = await session.run(
      Object.fromEntries(session.inputNames.map((name) => [name, feeds[name]])),
    );
    await session.release();
    return results;
  };
  const {
    programs,
    initial,
    describe: describeFiles,
  } = exportStep(await loadModel(path), base, {
    batchSize: images,
  });
  assert.equal(describeFiles("step.onnx").steps[0].gradientEvaluations, microBatches);
  const stored = Object.entries(initial).map(([name, value]) => [name, toTensor(value)]);
  const { loss } = await run(programs[0].bytes, {
    ...Object.fromEntries(stored),
    x: new Tensor(x, [images, 1, 8, 8]),
    target: new Tensor("int64", BigInt64Array.from(classes, BigInt), [images]),
    learning_rate: new Tensor("float32", [0.1], []),
  });
  const size = images / microBatches;
  let expected = 0;
  for (let start = 0; start < images; start += size) {
    const part = x.slice(start * 64, (start + size) * 64);
    const { y } = await run(path, { x: new Tensor(part, [size, 1, 8, 8]) });
    const values = Array.from(y.data as Float32Array);
    for (let index = 0; index < size; index++) {
      const row = values.slice(index * 10, index * 10 + 10);
      const isProbability = Math.abs(row.reduce((sum, value) => sum + value, 0) - 1) < 1e-4;
      const sum = isProbability ? 1 : row.reduce((total, logit) => total + Math.exp(logit), 0);
      const right = row[classes[start + index]];
      expected -= Math.log((isProbability ? right : Math.exp(right)) / sum) / images;
    }
  }
  return { loss: Number(loss.data[0]), expected };
}

for (const [name, file, microBatches] of [
  ["a Softmax behind a Reshape is left out", "softmax-then-reshape/softmax_reshape.onnx", 1],
  ["a Softmax at the end is left out", "evaluate-probabilities/softmax_out.onnx", 1],
  ["logits of four axes", "logits-four-axes/logits4.onnx", 1],
  ["a file for a batch of one takes the batch in parts", "fixed-batch/reshape_one.onnx", 8],
] as const) {
  test(`the loss of a step is −ln p of the file: ${name}`, async () => {
    const { loss, expected } = await lossesOf(field(file), microBatches);
    assertClose([loss], [expected], 1e-5, name);
  });
}
