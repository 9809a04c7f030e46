import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { randomStream } from "../common/random.ts";
import { loadDataset } from "../data/catalogue.ts";
import type { DatasetPair } from "../data/source.ts";
import { openSurface, type Surface } from "../flatness/surface.ts";
import { worstCaseSharpness } from "../flatness/worst-case.ts";
import { evaluateModel } from "../model-files/evaluate.ts";
import { FileQuantizer } from "../model-files/quantize.ts";
import { writeModel } from "../onnx/model.ts";
import type { ModelProto } from "../onnx/onnx_pb.ts";
import { tensorData } from "../onnx/tensor-data.ts";
import { parseRun } from "../runs/configuration.ts";
import { openTask } from "../runs/open-task.ts";
import { train } from "../runs/train.ts";
import { findModel } from "../runs/trained-model.ts";
import { openEngine } from "../runtime/remote.ts";
import { lowland, readJsonFile, refusal, temporaryFolder } from "../testing/cli.ts";
import { assertClose } from "../testing/numeric.ts";
import { onnxModel } from "../testing/onnx-models.ts";
import type { RunSummary } from "../train/records.ts";
import { type MeasuredOptions, openModel } from "./measured-model.ts";

// Quantized models whose weights are moved: losses are those of what runs, derivatives those of a function that has them.

const folder = temporaryFolder();
const run = join(folder, "small");
const file = join(folder, "float.w6a6.onnx");
const curvedFile = join(folder, "curved.w6a6.onnx");
let digits: DatasetPair;
let summary: RunSummary;
const settings = {
  data: "digits",
  limit: 512,
  batchSize: 32,
  threads: 1,
  learningRate: 0.05,
  model: "cnn",
  optimizer: { method: "sgd" },
  sharpness: { images: 125, rho: 0.05 },
} as const;

before(async () => {
  digits = await loadDataset("digits");
  await train({ ...settings, epochs: 2, evaluateEvery: 2, out: join(folder, "float") });
  await train({
    ...{ ...settings, epochs: 2, learningRate: 0.01, out: run, keepWeights: true },
    ...{ weights: join(folder, "float", "model.safetensors"), quantization: { weights: 4, activations: 4 } },
  });
  summary = readJsonFile(run, "summary.json");
  const curved = join(folder, "curved.onnx");
  writeFileSync(curved, writeModel(curvedNetwork()));
  await quantizeFile(join(folder, "float", "model.onnx"), file);
  await quantizeFile(curved, curvedFile);
});

/** A network with a second derivative everywhere. */
function curvedNetwork(): ModelProto {
  const random = randomStream(1, "network without kinks");
  const normal = (shape: number[], scale: number) =>
    tensorData(
      Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => scale * random.normal()),
      shape,
      "float32",
    );
  return onnxModel({
    inputs: { x: ["batch", 1, 8, 8] },
    weights: {
      ...{ "a.weight": normal([64, 24], 0.2), "a.bias": normal([24], 0.1) },
      ...{ "b.weight": normal([24, 10], 0.3), "b.bias": normal([10], 0.1) },
    },
    nodes: [
      ["Flatten", ["x"], ["flat"]],
      ["Gemm", ["flat", "a.weight", "a.bias"], ["a"]],
      ["Tanh", ["a"], ["hidden"]],
      ["Gemm", ["hidden", "b.weight", "b.bias"], ["y"]],
    ],
    outputs: ["y"],
  });
}

async function quantizeFile(path: string, to: string): Promise<void> {
  const opened = await openTask(parseRun({ data: "digits" }), digits);
  const quantizer = await FileQuantizer.open(path, opened, { weights: 6, activations: 6, threads: 1 });
  writeFileSync(to, (await quantizer.quantize()).bytes);
  await quantizer.close();
}

async function opened<T>(
  place: string,
  options: Partial<MeasuredOptions>,
  use: (surfaces: { surface: Surface; smooth: Surface }) => Promise<T>,
): Promise<T> {
  const model = await openModel(await findModel(place), digits, { subset: 360, ...options });
  const engines = [openEngine({ threads: 1 }), openEngine({ threads: 1 })];
  try {
    return await use({
      surface: await openSurface([engines[0]], model.surface),
      smooth: await openSurface([engines[1]], model.smooth!),
    });
  } finally {
    for (const engine of engines) await engine.close();
  }
}

describe("quantized models", () => {
  for (const perturb of ["quantized", "latent"] as const) {
    test(`${perturb}: loss and accuracy at the weights are those that the run measured`, async () => {
      await opened(run, { perturb, settings: { labelSmoothing: 0 } }, async ({ surface }) => {
        const { loss, metrics } = await surface.evaluate();
        assertClose([loss], [summary.testLoss], 1e-4);
        assertClose([metrics.accuracy], [summary.metrics.accuracy], 1e-6);
      });
    });
  }

  test("latent: MaxS and MinS in one step are those that the run measured", async () => {
    const data = { set: "train", subset: 125, batchSize: 125, perturb: "latent" } as const;
    await opened(run, data, async ({ surface }) => {
      const { oneStep } = await worstCaseSharpness(surface, { rho: 0.05, radius: "plain", steps: 0 });
      const { maxSharpness, minSharpness } = summary.sharpness!;
      assert.ok(Math.abs(maxSharpness) > 1e-4);
      assertClose([oneStep.maxSharpness, oneStep.minSharpness], [maxSharpness, minSharpness], 2e-4);
    });
  });

  for (const [name, path] of Object.entries({ cnn: file, "without kinks": curvedFile })) {
    test(`a file of lowland quantize, ${name}: loss as ONNX Runtime has it, of weights that both networks have`, async () => {
      const evaluated = await evaluateModel(path, digits.test, { threads: 1 });
      await opened(path, { batchSize: 120 }, async ({ surface, smooth }) => {
        const { loss } = await surface.evaluate();
        assertClose([loss], [evaluated.loss], 2e-3);
        assert.deepEqual(smooth.weights, surface.weights);
      });
    });
  }

  // Where a network has kinks, differences of gradients hold more than its second derivatives.
  test("second derivatives are those of the network whose activations are not rounded", async () => {
    await opened(curvedFile, { batchSize: 120 }, async ({ smooth }) => {
      const { gradient } = await smooth.gradient();
      const length = Math.hypot(...gradient);
      const along = gradient.map((value) => value / length);
      const step = 1e-2;
      const at = (size: number) => smooth.weights.map((value, index) => value + size * along[index]);
      const { loss: up } = await smooth.evaluate(at(step));
      const { loss: down } = await smooth.evaluate(at(-step));
      assertClose([(up - down) / (2 * step)], [length], 0.01 * length);
      const product = await smooth.hessianProduct(along);
      const [high, low] = [await smooth.gradient(at(step)), await smooth.gradient(at(-step))];
      const expected = product.map((_, index) => (high.gradient[index] - low.gradient[index]) / (2 * step));
      const difference = Math.hypot(...product.map((value, index) => value - expected[index]));
      assert.ok(difference < 0.02 * Math.hypot(...expected), `${difference} of ${Math.hypot(...expected)}`);
    });
  });

  test("the commands say what they measured; the latent trajectory ends at the weights", async () => {
    const quick = ["--subset", "60", "--batch-size", "30", "--threads", "1"];
    const flat = ["--measure", "sharpness,spectrum", "--steps", "1", "--directions", "2", "--top", "1"];
    const flatness = await lowland([
      "flatness",
      run,
      ...quick,
      ...flat,
      "--bottom",
      "0",
      "--out",
      join(folder, "a"),
    ]);
    assert.equal(flatness.code, 0, flatness.stderr);
    const words = flatness.stdout.replaceAll(/\s+/g, " ");
    assert.match(
      words,
      /The model is quantized: .* activations stay rounded; .* float network with the quantized weights/,
    );
    assert.match(words, /largest eigenvalues: \d/);
    const path = ["--along", "trajectory", "--perturb", "latent", "--points", "3", "--json"];
    const plane = await lowland(["landscape", run, ...quick, ...path, "--out", join(folder, "b")]);
    assert.equal(plane.code, 0, plane.stderr);
    const { trajectory, loss } = JSON.parse(plane.stdout);
    assertClose([trajectory.points.at(-1).loss], [loss], 1e-5);
  });

  test("what there is not is refused", async () => {
    const text = async (...args: string[]) => (await refusal(["landscape", ...args] as never)).text ?? "";
    const float = join(folder, "float");
    assert.match(await text(float, "--perturb", "latent"), /is not quantized; leave --perturb out$/);
    assert.match(
      await text(file, "--data", "digits", "--perturb", "latent"),
      /has integers and no float weights that they were rounded from/,
    );
    assert.match(await text(run, "--along", "trajectory"), /with --perturb latent$/);
    assert.match(
      await text(run, "--along", "eigenvectors", "--perturb", "latent"),
      /leave --perturb latent out/,
    );
  });
});
