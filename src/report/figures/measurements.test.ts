import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, test } from "node:test";
import type {
  ConfidenceInterval,
  FlatnessRecord,
  Landscape,
  LandscapeRecord,
  SharpnessIntervals,
  Spectrum,
  WorstCaseSharpness,
} from "../../flatness/index.ts";
import { taskRecord, tasks } from "../../tasks/index.ts";
import { flatnessFigures } from "./flatness.ts";
import { landscapeFigures } from "./landscape.ts";
import { writeMeasurementFigures } from "./write.ts";

const root = mkdtempSync(join(tmpdir(), "lowland-measurements-"));
after(() => rmSync(root, { recursive: true, force: true }));

const description = {
  data: "fashion-mnist",
  set: "test",
  examples: 1000,
  batchSize: 250,
  batchNorm: "evaluation",
};
const model = {
  name: "sam (ρ 0.1)",
  task: taskRecord(tasks.classification),
  model: "runs/sam/model.onnx",
  parameters: 70330,
  description,
  loss: 0.7,
  metrics: { accuracy: 0.88 },
  fingerprints: { model: "a", data: "b" },
  createdAt: "2026-01-01T00:00:00.000Z",
  seconds: 12,
};

const interval = (mean: number): ConfidenceInterval => ({
  mean,
  standardError: mean / 20,
  count: 4,
  low: 0.85 * mean,
  high: 1.15 * mean,
  confidence: 0.95,
});

function worstCase(rho: number, size: number): WorstCaseSharpness {
  const values = (factor: number) => ({
    maxSharpness: factor * size,
    minSharpness: 0.6 * factor * size,
    bilateralSharpness: 1.6 * factor * size,
  });
  const intervals = (factor: number): SharpnessIntervals => ({
    maxSharpness: interval(factor * size),
    minSharpness: interval(0.6 * factor * size),
    bilateralSharpness: interval(1.6 * factor * size),
  });
  return {
    rho,
    radius: "adaptive",
    loss: 0.7,
    gradNorm: 0.3,
    oneStep: values(1),
    multiStep: values(2),
    intervals: { oneStep: intervals(1), multiStep: intervals(2) },
    steps: 20,
    stepSize: 1,
    parameters: 70330,
    description,
  };
}

const spectrumOf = (largest: number[], smallest: number[]): Spectrum => ({
  largest: largest.map((value) => ({ value, residual: 1e-6, converged: true })),
  smallest: smallest.map((value) => ({ value, residual: 1e-3, converged: false })),
  converged: false,
  tolerance: 1e-4,
  products: 100,
  asymmetry: 1e-7,
  seed: 0,
  curvature: "hessian",
  parameters: 70330,
  description,
});

const flatness: FlatnessRecord = {
  ...model,
  type: "flatness",
  determinism: { deterministic: true, loss: 0.7, lossDifference: 0, differing: 0, largestDifference: 0 },
  sharpness: [worstCase(0.5, 0.02)],
  layerSharpness: ["conv1", "conv2", "fc"].map((layer, index) => ({
    layer,
    parameters: 100,
    sharpness: [worstCase(0.5, 0.01 * (index + 1))],
  })),
  curvature: {
    hessian: {
      spectrum: spectrumOf([20, 9, 4], [-0.5, -0.2]),
      density: {
        x: [-1, 0, 1, 2],
        density: [1e-12, 0.9, 0.1, 0.01],
        standardError: [0, 0.05, 0.2, 0.001],
        width: 0.1,
        integral: 1,
        nodes: [],
        weights: [],
        probes: 10,
        steps: 80,
        seed: 0,
      },
    },
  },
};

const grid = (coordinates: number[][], loss: number[]): Landscape => ({
  coordinates,
  loss,
  standardError: loss.map(() => 0.01),
  metrics: { accuracy: loss.map((value) => 1 / (1 + value)) },
  parameters: 70330,
  description,
});
const axis = [-1, -0.5, 0, 0.5, 1];

const plane: LandscapeRecord = {
  ...model,
  type: "landscape",
  kind: "plane",
  along: "trajectory",
  axes: [
    { kind: "principal-component", number: 1, label: "principal component 1", unit: "", length: 1 },
    { kind: "principal-component", number: 2, label: "principal component 2", unit: "", length: 1 },
  ],
  grid: grid(
    [axis, axis],
    axis.flatMap((x) => axis.map((y) => 0.1 + 40 * x * x + 10 * y * y)),
  ),
  trajectory: {
    points: [
      { epoch: 0, at: [0.9, 0.4], loss: 30, metrics: { accuracy: 0.1 } },
      { epoch: 1, at: [0, 0], loss: 0.1, metrics: { accuracy: 0.9 } },
    ],
    explained: [0.9, 0.06],
  },
};

test("of flatness: bars with intervals, spectra and the density, each with what it was measured on", () => {
  const figures = flatnessFigures(flatness);
  const charts = figures.flatMap((figure) => figure.charts);
  assert.deepEqual(
    charts.map(({ id }) => id),
    [
      "sharpness-adaptive-0.5",
      "layer-sharpness-adaptive-0.5",
      "largest-eigenvalues",
      "smallest-eigenvalues",
      "spectral-density",
    ],
  );
  const [sharpness, layers, largest, smallest, density] = charts;
  assert.ok(sharpness.kind === "bars" && layers.kind === "bars");
  assert.deepEqual(sharpness.series[1].bars[0], { value: 0.04, low: 0.85 * 0.04, high: 1.15 * 0.04 });
  assert.deepEqual(
    layers.series[0].bars,
    [0.01, 0.02, 0.03].map((value) => ({ value })),
  );
  assert.ok(largest.kind === "lines" && smallest.kind === "lines" && density.kind === "lines");
  assert.deepEqual([largest.y.logarithmic, smallest.y.logarithmic], [true, false]);
  assert.deepEqual(largest.lines[0].points, [
    [1, 20],
    [2, 9],
    [3, 4],
  ]);
  assert.match(largest.note!, /All are converged/);
  assert.match(smallest.note!, /2 of them are not converged/);
  // The smoothing's tails are left out; a band does not reach below what is drawn.
  assert.deepEqual(
    density.lines[0].points.map(([x]) => x),
    [0, 1, 2],
  );
  assert.ok(density.lines[0].band!.every(([, low]) => low > 0));
  for (const { note } of charts)
    assert.match(note!, /^sam \(ρ 0.1\) on the first 1,000 test images of fashion-mnist in batches of 250: /);
});

test("of flatness: what was not measured, or is not finite, is left out", () => {
  const bare: FlatnessRecord = {
    ...flatness,
    sharpness: undefined,
    layerSharpness: undefined,
    curvature: {},
  };
  assert.deepEqual(flatnessFigures(bare), []);
  const [lost] = flatnessFigures(
    JSON.parse(JSON.stringify({ ...flatness, sharpness: [worstCase(1, Number.NaN)] })),
  );
  const [chart] = lost.charts;
  assert.ok(chart.kind === "bars");
  assert.deepEqual(chart.series[0].bars, [undefined, undefined, undefined]);
});

test("of a plane: loss on a logarithmic scale where it spans decades, accuracy in percent, the run's way", () => {
  const [{ charts }] = landscapeFigures(plane);
  assert.deepEqual(
    charts.map(({ id }) => id),
    ["loss-plane", "accuracy-plane"],
  );
  const [loss, accuracy] = charts;
  assert.ok(loss.kind === "plane" && accuracy.kind === "plane");
  assert.deepEqual([loss.value.logarithmic, accuracy.value.percent], [true, true]);
  assert.deepEqual(loss.paths![0].points, [
    [0.9, 0.4],
    [0, 0],
  ]);
  assert.match(loss.note!, /90 % and 6 % of the trajectory's variance/);
});

test("of a line: a band of one standard error, and the line with statistics re-estimated beside it", () => {
  const line: LandscapeRecord = {
    ...plane,
    kind: "line",
    along: "models",
    axes: [{ kind: "model", number: 1, label: "to runs/sgd", unit: "the other model", length: 3 }],
    grid: grid([axis], [3, 2, 1, 2, 3]),
    reestimated: grid([axis], [2, 1, 1, 1, 2]),
    trajectory: undefined,
  };
  const [{ charts }] = landscapeFigures(line);
  const [loss] = charts;
  assert.ok(loss.kind === "lines");
  assert.equal(loss.x.name, "to runs/sgd (1 = the other model)");
  assert.deepEqual(
    loss.lines.map(({ points }) => points[1]),
    [
      [-0.5, 2],
      [-0.5, 1],
    ],
  );
  assert.deepEqual(loss.lines[0].band![2], [0, 0.99, 1.01]);
});

test("are written as a page and as pictures beside it", async () => {
  const { page, pictures } = await writeMeasurementFigures(root, plane);
  assert.equal(basename(page), "landscape.html");
  assert.match(readFileSync(page, "utf8"), /Loss landscape of sam \(ρ 0.1\)/);
  assert.equal(pictures.length, 16);
  const flat = await writeMeasurementFigures(root, flatness);
  assert.equal(basename(flat.page), "flatness.html");
});
