import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import type { Spectrum } from "../flatness/index.ts";
import type { Chart, LineChart } from "../report/drawing/chart.ts";
import type { EpochRecord, StepRecord } from "../train/records.ts";
import { figureRuns, parseFigures } from "./configuration.ts";
import { figuresLead, paperFigures } from "./figures.ts";
import { collectResults } from "./results.ts";
import type { PlacedRun } from "./runs.ts";
import { meanLine, plusMinus, summary } from "./seeds.ts";
import { figuresTable } from "./table.ts";

const root = mkdtempSync(join(tmpdir(), "lowland-paper-"));
after(() => rmSync(root, { recursive: true, force: true }));

const configuration = parseFigures({
  data: "digits",
  epochs: 2,
  seeds: [1, 2],
  constantRhoMin: [0.1, 0.4],
  threads: 1,
});

/** Run folders with six steps each; g and g⁻ conflict in the last steps, the more the larger ρ_min is constantly. */
function writeRuns(): PlacedRun[] {
  return configuration.seeds.flatMap((seed) =>
    figureRuns(configuration, seed).map((run) => {
      const folder = join(root, `${seed}-${run.name}`);
      mkdirSync(folder, { recursive: true });
      const conflicts =
        run.role.kind === "constant-rho-min" ? (run.role.rhoMin === 0.4 ? 2 + seed : seed - 1) : 0;
      const takesBoth = run.configuration.optimizer.method === "bilateral-sam";
      const steps = Array.from(
        { length: 6 },
        (_, index): StepRecord => ({
          type: "step",
          step: index + 1,
          epoch: index < 3 ? 1 : 2,
          learningRate: 0.05 - 0.01 * index,
          loss: 1,
          gradNorm: 1,
          directionNorm: 1,
          scalars: takesBoth ? { rhoMax: 0.1, rhoMin: 0.05 - 0.01 * index } : {},
          ...(takesBoth && { cosGradMin: index >= 6 - conflicts ? -0.5 : 0.9 }),
        }),
      );
      const epochs = [1, 2].map(
        (epoch): EpochRecord => ({
          type: "epoch",
          epoch,
          step: 3 * epoch,
          trainLoss: 1 / epoch,
          testLoss: 1.5 / epoch,
          metrics: { accuracy: 0.5 + 0.1 * epoch + 0.01 * seed },
          sharpness: {
            rho: 0.05,
            images: 100,
            loss: 1,
            maxSharpness: 0.02 * seed,
            minSharpness: 0.01,
            bilateralSharpness: 0.03,
            gradNorm: 1,
          },
          seconds: 1,
          examplesPerSecond: 1,
          gradientEvaluations: 3 * epoch,
        }),
      );
      const lines = [...steps, ...epochs].map((record) => JSON.stringify(record));
      writeFileSync(join(folder, "metrics.jsonl"), `${lines.join("\n")}\n`);
      return { ...run, folder, ended: true };
    }),
  );
}

const spectrum = (top: number): Spectrum => ({
  largest: [top, top / 2, top / 4].map((value) => ({ value, residual: 1e-5, converged: true })),
  smallest: [],
  converged: true,
  tolerance: 1e-4,
  products: 20,
  asymmetry: 0,
  seed: 0,
  curvature: "hessian",
  parameters: 100,
  description: {},
});

const results = (async () => {
  const runs = writeRuns();
  const spectra = runs
    .filter(({ role }) => role.kind === "method")
    .map(({ folder, seed }) => [folder, { spectrum: spectrum(10 * seed), examples: 500 }] as const);
  return collectResults(configuration, runs, new Map(spectra));
})();

const chartOf = (charts: readonly Chart[], id: string): LineChart => {
  const chart = charts.find((one) => one.id === id);
  assert.ok(chart?.kind === "lines", id);
  return chart;
};

test("conflict is the share of steps whose gradients point apart, of all and of the thirds of training", async () => {
  const { runs } = await results;
  const of = (name: string, seed: number) =>
    runs.find((run) => run.name === name && run.seed === seed)?.conflict;
  assert.equal(of("sgd", 1), undefined);
  const { share, firstThird, lastThird, meanCosine, steps } = of("bilateral-sam-rho-min-0.4", 2)!;
  assert.deepEqual([share, firstThird, lastThird, steps], [4 / 6, 0, 1, 6]);
  assert.ok(Math.abs(meanCosine - (2 * 0.9 - 4 * 0.5) / 6) < 1e-12);
  assert.equal(of("bilateral-sam", 1)!.share, 0);
});

test("each figure draws the mean over seeds, and a band from the lowest to the highest", async () => {
  const charts = paperFigures(await results).flatMap((figure) => figure.charts);
  assert.deepEqual(
    charts.map(({ id }) => id),
    [
      "figure-2-conflict",
      "figure-2-radius",
      "figure-3-cosine",
      "figure-4-training-loss",
      "figure-4-test-loss",
      "figure-4-test-accuracy",
      "figure-5-eigenvalues",
      "figure-5-sharpness",
    ],
  );
  const [all] = chartOf(charts, "figure-2-conflict").lines;
  assert.deepEqual(all.points, [
    [0.1, 0.5 / 6],
    [0.4, (3 / 6 + 4 / 6) / 2],
  ]);
  assert.deepEqual(all.band, [
    [0.1, 0, 1 / 6],
    [0.4, 3 / 6, 4 / 6],
  ]);
  assert.deepEqual(chartOf(charts, "figure-2-radius").lines[0].points[0], [0.05, 0.05]);
  const accuracy = chartOf(charts, "figure-4-test-accuracy");
  assert.equal(accuracy.lines.length, 4);
  assert.ok(Math.abs(accuracy.lines[0].points[1][1] - 0.715) < 1e-12);
  const eigenvalues = chartOf(charts, "figure-5-eigenvalues");
  assert.deepEqual(eigenvalues.lines[3].points, [
    [1, 15],
    [2, 7.5],
    [3, 3.75],
  ]);
  assert.deepEqual(eigenvalues.lines[3].band![0], [1, 10, 20]);
});

test("a run looks the same in all figures", async () => {
  const charts = paperFigures(await results).flatMap((figure) => figure.charts);
  const styles = new Map<string, Set<number>>();
  for (const { name, style } of charts.flatMap((chart) => (chart.kind === "lines" ? chart.lines : []))) {
    styles.set(name, (styles.get(name) ?? new Set()).add(style));
  }
  for (const [name, used] of styles) assert.equal(used.size, 1, name);
});

test("runs that have not come far are drawn as far as they go; without any there is no figure", async () => {
  const { runs, ...rest } = await results;
  const sgd = runs.filter(({ name }) => name === "sgd").map(({ spectrum: _, ...run }) => run);
  const figures = paperFigures({ ...rest, runs: sgd });
  assert.deepEqual(
    figures.map(({ id }) => id),
    ["figure-4"],
  );
  assert.deepEqual(paperFigures({ ...rest, runs: [] }), []);
});

test("the terminal's table has a row for each method and radius, within its width", async () => {
  const found = await results;
  const table = figuresTable(found, { width: 80 });
  const lines = table.split("\n");
  assert.ok(
    lines.every((line) => line.length <= 80),
    table,
  );
  assert.match(table, /sgd +71\.5 ± 0\.7 +15 ± 7\.07/);
  assert.match(table, /ρmin 0\.4 +71\.5 ± 0\.7 +58\.3 ± 11\.8 +−0\.50 ± 0\.00/);
  assert.match(
    figuresLead(found),
    /^mlp on all images of digits, 2 epochs, batch 128, learning rate 0.05; seeds 1, 2\.$/,
  );
});

test("means, deviations and bands of seeds", () => {
  assert.deepEqual(summary([1, 2, 6]), { mean: 3, low: 1, high: 6, deviation: Math.sqrt(7), count: 3 });
  assert.equal(plusMinus(summary([2]), String), "2");
  const line = meanLine("name", 0, [
    [
      [1, 2],
      [2, 4],
    ],
    [[1, 4]],
  ]);
  assert.deepEqual([line.points, line.band], [[[1, 3]], [[1, 2, 4]]]);
  assert.equal(meanLine("name", 0, [[[1, 2]]]).band, undefined);
});
