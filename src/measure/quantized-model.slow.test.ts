import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import { loadDataset } from "../data/catalogue.ts";
import type { DatasetPair } from "../data/source.ts";
import { openSurface, type Surface } from "../flatness/surface.ts";
import { worstCaseSharpness } from "../flatness/worst-case.ts";
import { evaluateModel } from "../model-files/evaluate.ts";
import { FileQuantizer } from "../model-files/quantize.ts";
import { parseRun } from "../runs/configuration.ts";
import { openTask } from "../runs/open-task.ts";
import { train } from "../runs/train.ts";
import { findModel } from "../runs/trained-model.ts";
import { openEngine } from "../runtime/remote.ts";
import { lowland, readJsonFile, refusal, temporaryFolder } from "../testing/cli.ts";
import { assertClose } from "../testing/numeric.ts";
import type { RunSummary } from "../train/records.ts";
import { type MeasuredOptions, openModel } from "./measured-model.ts";

// Quantized models whose weights are moved: losses are those of what runs, derivatives those of a function that has them.

const folder = temporaryFolder();
const run = join(folder, "small");
const file = join(folder, "float.w6a6.onnx");
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
    ...{ ...settings, epochs: 1, learningRate: 0.01, out: run, keepWeights: true },
    ...{ weights: join(folder, "float", "model.safetensors"), quantization: { weights: 4, activations: 4 } },
  });
  summary = readJsonFile(run, "summary.json");
  const path = join(folder, "float", "model.onnx");
  const opened = await openTask(parseRun({ data: "digits" }), digits);
  const quantizer = await FileQuantizer.open(path, opened, { weights: 6, activations: 6, threads: 1 });
  writeFileSync(file, (await quantizer.quantize()).bytes);
  await quantizer.close();
});

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
        assert.equal(metrics.accuracy, summary.metrics.accuracy);
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

  test("a file of lowland quantize: loss as ONNX Runtime has it, second derivatives of what is differentiable", async () => {
    const evaluated = await evaluateModel(file, digits.test, { threads: 1 });
    await opened(file, { batchSize: 120 }, async ({ surface, smooth }) => {
      const { loss } = await surface.evaluate();
      assertClose([loss], [evaluated.loss], 2e-3);
      assert.deepEqual(smooth.weights, surface.weights);
      const { gradient } = await smooth.gradient();
      const length = Math.hypot(...gradient);
      const along = gradient.map((value) => value / length);
      const step = 1e-2;
      const at = (size: number) => smooth.weights.map((value, index) => value + size * along[index]);
      const [{ loss: up }, { loss: down }] = [
        await smooth.evaluate(at(step)),
        await smooth.evaluate(at(-step)),
      ];
      assertClose([(up - down) / (2 * step)], [length], 0.02 * length);
      const product = await smooth.hessianProduct(along);
      const [high, low] = [await smooth.gradient(at(step)), await smooth.gradient(at(-step))];
      const curvature = product.reduce((sum, value, index) => sum + value * along[index], 0);
      const slope = (of: Float64Array) => of.reduce((sum, value, index) => sum + value * along[index], 0);
      const expected = (slope(high.gradient) - slope(low.gradient)) / (2 * step);
      assert.ok(Math.abs(curvature - expected) < 0.1 * Math.abs(expected), `${curvature} ${expected}`);
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
