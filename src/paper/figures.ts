import type { Axis, BarChart, Chart, Line, LineChart } from "../report/drawing/chart.ts";
import type { Figure } from "../report/drawing/page-document.ts";
import { spectrumChart } from "../report/figures/flatness.ts";
import {
  capitalized,
  fixed,
  isNumber,
  lossAxis,
  metricText,
  percent,
  plainLabel,
  significant,
} from "../report/numbers.ts";
import type { TaskRecord } from "../train/task-record.ts";
import { conflictsOf, constantGroups, type Group, methodGroups, scheduledGroup, seedsOf } from "./groups.ts";
import type { EpochResult, FigureRunResult, FiguresResults } from "./results.ts";
import { meanLine, plusMinus, summary } from "./seeds.ts";

// The figures 2 to 5 of bilateral SAM's paper (arXiv 2409.13173), for any network and data.

/** The figures that the results are enough for. */
export function paperFigures(results: FiguresResults): Figure[] {
  const figures = [
    conflictFigure(results),
    cosineFigure(results),
    curvesFigure(results),
    spectrumFigure(results),
  ];
  return figures
    .map((figure) => ({ ...figure, charts: figure.charts.filter(hasData) }))
    .filter(({ charts }) => charts.length > 0);
}

/** One sentence on what was trained. */
export function figuresLead({ task, configuration, runs }: FiguresResults): string {
  const { model, data, limit, epochs, batchSize, learningRate, labelNoise = 0 } = configuration;
  const count = limit === undefined ? "all" : fixed(limit, 0);
  const noise = labelNoise > 0 ? ` with ${percent(labelNoise)} % noisy labels` : "";
  const seeds = seedsOf(runs);
  return `${model} on ${count} ${task.examples} of ${data}${noise}, ${epochs} epochs, batch ${batchSize}, learning rate ${learningRate}; ${seeds.length === 1 ? "seed" : "seeds"} ${seeds.join(", ")}.`;
}

function conflictFigure({ configuration, runs }: FiguresResults): Figure {
  const constants = constantGroups(configuration, runs);
  const scheduled = scheduledGroup(configuration, runs);
  const shares = (group: Group, key: "share" | "firstThird" | "lastThird" = "share") =>
    conflictsOf(group).map((conflict) => conflict[key]);
  const line = (name: string, style: number, key: "share" | "firstThird" | "lastThird"): Line => {
    const summaries = constants.map((group) => ({ x: rhoMinOf(group), ...summary(shares(group, key)) }));
    return {
      name,
      style,
      points: summaries.map(({ x, mean }) => [x, mean]),
      band: summaries.map(({ x, low, high }) => [x, low, high]),
    };
  };
  const ratio = (group: Group) =>
    conflictsOf(group)[0]?.radius.map(({ learningRate, rhoMin }) => [learningRate, rhoMin] as const) ?? [];
  const against: LineChart = {
    kind: "lines",
    id: "figure-2-conflict",
    title: "Gradient conflict against ρmin",
    note: `Bilateral SAM with a constant ρmin. ${bandNote(runs)}${missingNote(constants, runs)}`,
    alternative: sentences(constants, (group) => plusMinus(summary(shares(group)), percentText)),
    x: { name: "ρmin, constant over training", min: 0 },
    y: { name: "steps with cos(g, g⁻) < 0, % of all", percent: true, min: 0 },
    lines: [
      line("all steps", 0, "share"),
      line("first third of training", 1, "firstThird"),
      line("last third of training", 2, "lastThird"),
    ],
  };
  const beside: LineChart = {
    kind: "lines",
    id: "figure-2-radius",
    title: "ρmin against the learning rate",
    note: `As the steps of seed ${seedsOf(runs)[0]} had them.`,
    alternative: "ρmin follows the learning rate in proportion, or is constant.",
    x: { name: "learning rate η", min: 0 },
    y: { name: "ρmin", min: 0 },
    lines: withRuns([scheduled, ...constants]).map((group) => ({
      name: group.name,
      style: group.style,
      points: ratio(group),
    })),
  };
  return {
    id: "figure-2",
    title: "Figure 2: gradient conflict, and ρmin beside the learning rate",
    text: [
      "The gradient g⁻ is taken ρmin downhill of the weights. Where cos(g, g⁻) < 0 that point has overshot the valley: the two gradients conflict.",
      `Steps in conflict, mean ± standard deviation over seeds: ${sentences([scheduled, ...constants], (group) => plusMinus(summary(shares(group)), percentText))}`,
    ],
    charts: [against, beside],
  };
}

function rhoMinOf({ runs: [{ role }] }: Group): number {
  return role.kind === "constant-rho-min" ? role.rhoMin : Number.NaN;
}

function cosineFigure({ configuration, runs }: FiguresResults): Figure {
  const groups = withRuns([scheduledGroup(configuration, runs), ...constantGroups(configuration, runs)]);
  const lastCosines = (group: Group) =>
    conflictsOf(group).flatMap(({ cosine }) => cosine.slice(-1).map((bin) => bin.cosine));
  const text = sentences(groups, (group) =>
    plusMinus(summary(lastCosines(group)), (value) => fixed(value, 2)),
  );
  return {
    id: "figure-3",
    title: "Figure 3: the cosine during training",
    text: [`cos(g, g⁻) at the end of training, mean ± standard deviation over seeds: ${text}`],
    charts: [
      {
        kind: "lines",
        id: "figure-3-cosine",
        title: "cos(g, g⁻) during training",
        note: `Medians over bins of consecutive steps; below the dashed line the gradients conflict. ${bandNote(runs)}${missingNote(groups, runs)}`,
        alternative: `At the end: ${text}`,
        x: { name: "optimizer step", whole: true, min: 0 },
        y: { name: "cos(g, g⁻)", min: -1, max: 1 },
        lines: groups.map((group) =>
          meanLine(
            group.name,
            group.style,
            conflictsOf(group).map(({ cosine }) => cosine.map((bin) => [bin.step, bin.cosine] as const)),
          ),
        ),
        references: [{ value: 0, label: "" }],
      },
    ],
  };
}

interface Curve {
  title: string;
  axis: Axis;
  value: (epoch: EpochResult) => number | null | undefined;
  format: (value: number) => string;
}

function curvesFigure({ task, configuration, runs }: FiguresResults): Figure {
  const groups = methodGroups(configuration, runs);
  const [metric] = task.metrics;
  const loss = (title: string, name: string, value: Curve["value"]): Curve => ({
    title,
    axis: { name: lossAxis(name, task) },
    value,
    format: (own) => fixed(own, 3),
  });
  const measured: Curve = {
    title: capitalized(metric.label),
    axis: { name: metric.unit, percent: metric.unit === "%" },
    value: ({ metrics }) => metrics[metric.name],
    format: (own) => metricText(metric, own),
  };
  const curves: Curve[] = [
    loss("Training loss", "mean over the epoch", ({ trainLoss }) => trainLoss),
    loss("Test loss", "mean over the test set", ({ testLoss }) => testLoss),
    measured,
  ];
  const atEnd = (curve: Curve) =>
    sentences(groups, (group) => plusMinus(summary(lastOf(group, curve)), curve.format));
  const charts = curves.map((curve): LineChart => {
    const { title, axis, value } = curve;
    return {
      kind: "lines",
      id: `figure-4-${title.toLowerCase().replaceAll(/[^\p{L}\p{N}]+/gu, "-")}`,
      title,
      note: bandNote(runs),
      alternative: `At the end: ${atEnd(curve)}`,
      x: { name: "epoch", whole: true },
      y: axis,
      lines: groups.map((group) =>
        meanLine(
          group.name,
          group.style,
          group.runs.map(({ epochs }) =>
            epochs.flatMap((epoch) => {
              const own = value(epoch);
              return isNumber(own) ? [[epoch.epoch, own] as const] : [];
            }),
          ),
        ),
      ),
    };
  });
  return {
    id: "figure-4",
    title: `Figure 4: loss and ${plainLabel(metric)}`,
    text: [
      `${measured.title} after the last epoch, mean ± standard deviation over seeds: ${atEnd(measured)}`,
      "SAM at the total radius of bilateral SAM, ρmax + ρmin, is the control: to first order both correct by curvature over that distance.",
    ],
    charts,
  };
}

function lastOf({ runs }: Group, { value }: Curve): number[] {
  return runs.flatMap(({ epochs }) => epochs.slice(-1).map(value)).filter(isNumber);
}

function spectrumFigure({ task, configuration, runs }: FiguresResults): Figure {
  const groups = methodGroups(configuration, runs)
    .map((group) => ({ ...group, runs: group.runs.filter(({ spectrum }) => spectrum) }))
    .filter((group) => group.runs.length > 0);
  const spectra = groups.flatMap((group) => group.runs.map(({ spectrum }) => spectrum!));
  const count = spectra[0]?.largest.length ?? 0;
  const floor = Math.max(...spectra.map(({ residual, largest }) => residual * largest[0]));
  const open = spectra.filter(({ converged }) => !converged).length;
  const lines = groups.map((group) =>
    meanLine(
      group.name,
      group.style,
      group.runs.map(({ spectrum }) => spectrum!.largest.map((value, index) => [index + 1, value] as const)),
    ),
  );
  const note = `Of the loss as trained on, over the first ${fixed(spectra[0]?.examples, 0)} test images, BatchNorm in evaluation mode. Residuals are at most ${significant(floor, 1)}: smaller values are not resolved. ${bandNote(runs)}${missingNote(groups, runs)}${open > 0 ? ` ${open} of ${spectra.length} spectra are not converged.` : ""}`;
  const words = (name: string, pick: (largest: number[]) => number) =>
    `${name}, mean ± standard deviation over seeds: ${sentences(groups, (group) => plusMinus(summary(group.runs.map(({ spectrum }) => pick(spectrum!.largest))), (value) => significant(value)))}`;
  return {
    id: "figure-5",
    title: `Figure 5: the ${count} largest eigenvalues of the Hessian`,
    text: [
      words("Largest eigenvalue", (largest) => largest[0]),
      words(`Sum of the ${count} largest`, (largest) => largest.reduce((sum, value) => sum + value, 0)),
    ],
    charts:
      lines.length > 0
        ? [
            spectrumChart(
              "figure-5-eigenvalues",
              `The ${count} largest eigenvalues of the Hessian on test images`,
              lines,
              { note },
            ),
            sharpnessChart(groups, task),
          ].filter((chart) => chart !== undefined)
        : [],
  };
}

/** What the runs record anyway: the sharpness after the last epoch, on training images. */
function sharpnessChart(groups: Group[], task: TaskRecord): BarChart | undefined {
  const keys = [
    ["maxSharpness", "MaxS"],
    ["minSharpness", "MinS"],
    ["bilateralSharpness", "BilS"],
  ] as const;
  const rho = groups[0]?.runs[0]?.sharpness?.rho;
  if (rho === undefined) return undefined;
  return {
    kind: "bars",
    id: "figure-5-sharpness",
    title: `One-step sharpness at ρ = ${rho} on training images`,
    note: "Means over seeds after the last epoch; intervals from the lowest to the highest seed.",
    alternative: "MaxS, MinS and BilS of each method.",
    categories: keys.map(([, name]) => name),
    y: { name: lossAxis("difference of the loss", task) },
    series: groups.map(({ name, style, runs }) => ({
      name,
      style,
      bars: keys.map(([key]) => {
        const values = runs.map(({ sharpness }) => sharpness?.[key]).filter(isNumber);
        if (values.length === 0) return undefined;
        const { mean, low, high } = summary(values);
        return { value: mean, low, high };
      }),
    })),
  };
}

function bandNote(runs: readonly FigureRunResult[]): string {
  const seeds = seedsOf(runs);
  if (seeds.length === 1) return `Seed ${seeds[0]}.`;
  return `Lines: means over seeds ${seeds.join(", ")}; bands: from the lowest to the highest.`;
}

/** Which of the lines are over fewer seeds than the others; "" when none is. */
function missingNote(groups: readonly Group[], runs: readonly FigureRunResult[]): string {
  const all = seedsOf(runs).length;
  const fewer = groups.filter((group) => group.runs.length < all);
  if (fewer.length === 0) return "";
  return ` Not all seeds are there yet: ${fewer.map((group) => `${group.name}, ${group.runs.length} of ${all}`).join("; ")}.`;
}

/** `name: value; …` of the groups that have runs. */
function sentences(groups: readonly Group[], value: (group: Group) => string): string {
  return `${groups
    .filter(({ runs }) => runs.length > 0)
    .map((group) => `${group.name}: ${value(group)}`)
    .join("; ")}.`;
}

function withRuns(groups: Group[]): Group[] {
  return groups.filter(({ runs }) => runs.length > 0);
}

function percentText(share: number): string {
  return `${percent(share)} %`;
}

function hasData(chart: Chart): boolean {
  switch (chart.kind) {
    case "lines":
      return chart.lines.some(({ points }) => points.length > 0);
    case "bars":
      return chart.series.some(({ bars }) => bars.some((bar) => bar !== undefined));
    case "plane":
      return chart.values.length > 0;
    case "matrix":
      return chart.counts.length > 0;
    default:
      return chart satisfies never;
  }
}
