import assert from "node:assert/strict";
import { test } from "node:test";
import { parseTheorem } from "../theorem/configuration.ts";
import type { TheoremRecord, TheoremRun, Trace } from "../theorem/records.ts";
import { type RunScalesRecord, runScalesFigures } from "./figures/run-scales.ts";
import { theoremFigures } from "./figures/theorem.ts";
import { runScalesTables, theoremTables } from "./theorem-table.ts";

const steps = 20;
const trace = (of: (t: number) => number | null): Trace => {
  const mean = Array.from({ length: steps }, (_, index) => of(index + 1));
  return {
    mean,
    low: mean.map((value) => value && value / 2),
    high: mean.map((value) => value && value * 2),
  };
};
const across = (mean: number) => ({ mean, low: mean - 0.01, high: mean + 0.01, confidence: 0.95 });

const run = (own: Pick<TheoremRun, "name" | "method" | "decay"> & Partial<TheoremRun>): TheoremRun => ({
  problem: "non-convex",
  squaredGradient: trace((t) => 1 / t),
  meanSquaredGradient: trace((t) => 3 / t),
  minSquaredGradient: trace((t) => 1 / t ** 2),
  meanSlope: across(-1),
  minSlope: across(-2),
  ...own,
});
const scale = {
  scale: trace((t) => (t === 7 ? null : 1.25)),
  theoremOne: trace((t) => (t === 7 ? null : -0.1)),
  shareAtLeastOne: across(0.881),
  ...{ steps: 39, undefinedSteps: 1, overshot: 4 },
  withinLimit: { steps: 30, belowOne: 3 },
  beyondLimit: { steps: 9, belowOne: 2 },
};
const record: TheoremRecord = {
  type: "theorem",
  configuration: parseTheorem({ steps, draws: 2, problems: ["non-convex"] }),
  problems: [{ kind: "non-convex", smoothness: 4, variance: 0.25, start: [1, 2], learningRate: 0.1 }],
  runs: (["constant", "1/sqrt(t)"] as const).flatMap((decay) => [
    run({ name: "sgd", method: "sgd", decay }),
    run({ name: "bilateral-sam, ρmax 0.05, ρmin 0.05", method: "bilateral-sam", decay, scale }),
  ]),
};

test("the theorem's tables: gradients with slopes, ς at some steps, shares; at most 100 columns", () => {
  const text = theoremTables(record);
  for (const line of text.split("\n")) assert.ok(line.length <= 100, line);
  assert.match(text, /Non-convex: τ 4, σ² 0.25/);
  assert.match(text, /^sgd +constant +0.15 +−1.00 ± 0.01 +0.0025 +−2.00 ± 0.01$/m);
  assert.match(text, /^bilateral-sam +at step +1 +2 +5 +10 +20$/m);
  assert.match(text, /^ς +1\/sqrt\(t\)( +1.250){5}$/m);
  assert.match(
    text.replaceAll("\n", " "),
    /ς ≥ 1 in 88.1 % of the steps; 30 steps with ρmin ≤ ρmax \+ 2‖g‖\/τ, 3 of them with ς < 1; 9 steps beyond/,
  );
  assert.match(text, /fitted to steps 2 to 20/);
});

test("the theorem's figures: every quantity at every step that has it, and the shares", () => {
  const charts = theoremFigures(record).flatMap((figure) => figure.charts);
  assert.deepEqual(
    charts.map(({ id }) => id),
    [
      ...["mean-constant", "min-constant", "mean-decaying", "min-decaying", "scale", "z1"].map(
        (id) => `theorem-non-convex-${id}`,
      ),
      "theorem-shares",
    ],
  );
  const [mean, , , , scales] = charts;
  assert.ok(mean.kind === "lines" && scales.kind === "lines");
  assert.deepEqual(
    mean.lines.map(({ name, points }) => [name, points.length]),
    [
      ["sgd", 20],
      ["bilateral-sam, ρmax 0.05, ρmin 0.05", 20],
    ],
  );
  assert.deepEqual(mean.lines[0].points[2], [3, 1]);
  assert.match(mean.note ?? "", /Slope from step 2 to 20: sgd: −1.00; /);
  assert.equal(scales.lines[0].points.length, 19, "the step without ς is left out");
  const shares = charts.at(-1);
  assert.ok(shares?.kind === "bars");
  assert.equal(shares.series[1].bars[0]?.value, 0.881);
});

test("ς of runs: a table and charts by epoch", () => {
  const quantiles = (median: number) => ({ low: median - 0.1, median, high: median + 0.1 });
  const epoch = (number: number, shareAtLeastOne: number, count: number) => ({
    ...{ epoch: number, learningRate: 0.05 / number, rhoMax: 0.05, rhoMin: 0.05, steps: count },
    ...{ shareAtLeastOne, shareInConflict: 0, scale: quantiles(1.2), theoremOne: quantiles(-0.1) },
  });
  const runs: RunScalesRecord = {
    type: "theorem-runs",
    runs: [{ name: "b", label: "bilateral-sam", folder: "b", epochs: [epoch(1, 0.5, 10), epoch(2, 1, 30)] }],
  };
  const text = runScalesTables(runs);
  assert.match(text, /^1 +0.05 +0.05 +50.0 % +1.200 +1.100–1.300 +−0.1000 +0.0 %$/m);
  assert.match(text, /ς ≥ 1 in 87.5 % of all steps/, "epochs count by their steps");
  const [{ charts }] = runScalesFigures(runs);
  const [share] = charts;
  assert.ok(share.kind === "lines");
  assert.deepEqual(share.lines[0].points, [
    [1, 0.5],
    [2, 1],
  ]);
});
