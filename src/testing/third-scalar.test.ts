import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { loadModel } from "../import/load.ts";
import { exportStep } from "../model-files/exported-step.ts";
import { bilateralSam } from "../optim/bilateral-sam.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { sam } from "../optim/sam.ts";
import { constant } from "../optim/schedules.ts";
import { sgd } from "../optim/sgd.ts";
import { chartFigures } from "../report/charts.ts";
import { reportData } from "../report/data.ts";
import { chartCsv } from "../report/drawing/table.ts";
import { findingsOf } from "../report/findings.ts";
import { totalRadius } from "../report/method.ts";
import { metricsOfRuns, readComparison } from "../report/read.ts";
import { measureStepCosts } from "../runs/step-cost.ts";
import { train } from "../runs/train.ts";
import { randomBatch } from "../tasks/classification/random-batch.ts";
import { temporaryFolder } from "./cli.ts";
import { blendedSam, rising } from "./third-scalar.ts";

// What an optimizer schedules is known by the optimizer's own names everywhere: nothing between names the third scalar
// of `third-scalar.ts`.

const root = temporaryFolder();
const base = sgd({ momentum: 0.9 });
const trained = (optimizer: Optimizer, out?: string) =>
  train({
    ...{ data: "digits", model: "mlp", epochs: 2, batchSize: 64, limit: 320, sharpness: { images: 64 } },
    ...{ threads: 1, optimizer, out },
  });

test("steps are fed the scalar: held at 0 and 1 the method is the two that it goes between, to the last bit", async () => {
  for (const [share, same] of [
    [0, sam(base, { rho: 0.05 })],
    [1, bilateralSam(base)],
  ] as const) {
    const { model } = await trained(blendedSam(base, constant(share)));
    assert.deepEqual(model, (await trained(same)).model, `at ${share}`);
  }
});

test("step records and the report have the scalar by its name", async () => {
  const out = join(root, "run");
  const { summary } = await trained(blendedSam(base), out);
  assert.equal(summary!.optimizer, "blended-sam (ρmax 0.05, ρmin 0.05→0, blendShare rising)");
  const comparison = await readComparison(out);
  const [run] = comparison.runs;
  // 320 images in batches of 64, two epochs.
  const shares = Array.from({ length: 10 }, (_, step) => step / 10);
  assert.deepEqual(
    run.steps.map(({ scalars }) => scalars.blendShare),
    shares,
  );
  assert.deepEqual(Object.keys(run.steps[0].scalars), ["rhoMax", "rhoMin", "blendShare"]);
  assert.equal(totalRadius(run), 0.1, "the scalar is no radius");
  const control = {
    ...run,
    label: "SAM",
    record: { ...run.record!, configuration: { optimizer: { method: "sam", rho: 0.1 } } },
  };
  const found = findingsOf([run, { ...control, steps: [] }]).find(({ topic }) => topic === "Blended SAM");
  assert.match(found!.text, /SAM is the control: its radius equals ρmax \+ ρmin of blended SAM/);
  const charts = chartFigures(reportData(comparison), metricsOfRuns(comparison.runs)).flatMap(
    (figure) => figure.charts,
  );
  const chart = charts.find(({ title }) => title === "blendShare");
  assert.ok(chart, charts.map(({ title }) => title).join());
  const rows = chartCsv(chart).trimEnd().split("\r\n");
  assert.equal(rows[0], "line,optimizer step,blendShare,low,high");
  assert.deepEqual(
    rows.slice(1).map((row) => row.split(",").slice(-4, -2).map(Number)),
    shares.map((share, step) => [step + 1, share]),
  );
});

test("an exported step has the scalar as an input, described with its schedule", async () => {
  const { model } = await trained(base);
  const { describe } = exportStep(await loadModel(model), blendedSam(base), { batchSize: 4 });
  const scalars = describe("step.onnx").steps[0].inputs.filter(({ role }) => role === "scalar");
  assert.deepEqual(scalars.map(({ name, shape, schedule }) => [name, shape, schedule]).sort(), [
    ["learning_rate", [], undefined],
    ["optimizer.blend_share", [], rising.config],
    ["rho_max", [], { name: "constant", value: 0.05 }],
    ["rho_min", [], { name: "proportional-to-learning-rate", high: 0.05, low: 0 }],
  ]);
});

test("the cost of a step is measured, whatever its scalars", async () => {
  const costs = await measureStepCosts({
    ...(await randomBatch("mlp", { channels: 1, height: 4, width: 4, classes: 3 }, 2)),
    ...{ optimizers: { blended: blendedSam(base) }, rounds: 1, threads: 1 },
  });
  assert.deepEqual(
    costs.map(({ id, label, gradientEvaluations }) => [id, label, gradientEvaluations]),
    [["blended", "blended-sam (ρmax 0.05, ρmin 0.05→0, blendShare rising)", 3]],
  );
});
