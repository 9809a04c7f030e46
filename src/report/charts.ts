/** Which charts a report holds: what each shows, what it says to a reader, and what it says to one who cannot see it. */

import { scalarWords } from "../optim/scalars.ts";
import type { MetricInfo } from "../train/task-record.ts";
import { type Columns, metricColumn, type ReportData, type RunData, scalarPrefix } from "./data.ts";
import type { Axis, Line, LineChart, Point } from "./drawing/chart.ts";
import type { Figure } from "./drawing/page-document.ts";
import { capitalized, fixed, isNumber, lossAxis, percent, plainLabel, significant } from "./numbers.ts";

/** A quantity along which lines are drawn: a column of each table. */
const axes = {
  epoch: "epoch",
  gradientEvaluations: "gradient evaluations",
  trainingSeconds: "seconds of training",
  step: "optimizer step",
};

/** A chart before its data is looked at. */
interface Panel {
  id: string;
  title: string;
  /** Which table of a run's data the lines come from. */
  source: "epochs" | "steps" | "schedule";
  y: string;
  /** The name of the vertical axis, with its unit. */
  unit: string;
  /** Shares, drawn in percent. */
  percent: boolean;
  /** A faint band from `${y}Low` to `${y}High`. */
  band: boolean;
  references?: LineChart["references"];
}

interface Section extends Omit<Figure, "charts" | "compact"> {
  /** Horizontal axes to choose from; the first is shown first. */
  axes: (keyof typeof axes)[];
  /** Whether first epochs far from all others may run off the charts. */
  isScaled?: boolean;
  panels: Panel[];
}

const sharpnessGlossary: Figure["glossary"] = [
  ["ρ", "radius: how far the weights w are moved"],
  ["g, ‖g‖", "the gradient of the loss at w, and its length"],
  ["ε", "the step of length ρ along the gradient, ρ · g / ‖g‖"],
  ["MaxS", "L(w + ε) − L(w): how much the loss rises uphill"],
  ["MinS", "L(w) − L(w − ε): how much it falls downhill"],
  ["BilS", "MaxS + MinS"],
];

const insideGlossary: Figure["glossary"] = [
  ["g⁺, g⁻", "gradients ρmax uphill and ρmin downhill of the weights"],
  [
    "ς",
    "‖g⁺‖ / ‖g⁻‖, the scale of bilateral SAM's third gradient; above 1 the uphill side is the steeper one",
  ],
  ["cos(g, g⁻)", "below 0 the downhill point has overshot the valley: ρmin is too large there"],
  [
    "curvature uᵀHu",
    "u · (g⁺ − g⁻) / (ρmax + ρmin) with u = g / ‖g‖: how fast the slope grows along the gradient",
  ],
];

const curvatureUnit = "uᵀHu (loss per squared radius)";

/** The figures that have data, each with the charts that have data. The first of the metrics leads. */
export function chartFigures(
  data: ReportData,
  [first, ...others]: readonly [MetricInfo, ...MetricInfo[]],
): Figure[] {
  const { runs } = data;
  const loss = (name: string) => (runs.length > 0 ? lossAxis(name, runs[0].task) : name);
  const sections: Section[] = [
    {
      id: "learning",
      isScaled: true,
      title: `${capitalized(plainLabel(first))} and loss`,
      text: [
        "By gradient evaluations or seconds, runs are compared at equal cost. Every run follows its schedule by epoch, though: where a cheap run has ended, a costlier one is still in mid-schedule.",
      ],
      axes: ["epoch", "gradientEvaluations", "trainingSeconds"],
      panels: [
        metricPanel(first),
        panel("test-loss", "Test loss", "epochs", "testLoss", loss("mean over the test set")),
        panel("train-loss", "Training loss", "epochs", "trainLoss", loss("mean over the epoch")),
        ...others.map(metricPanel),
      ],
    },
    {
      id: "sharpness",
      title: "Sharpness over training",
      text: [
        `${sharpnessSubset(data)} Lower is flatter. At equal radii the curvature parts of MaxS and MinS cancel in their sum, so BilS is close to 2ρ‖g‖.`,
      ],
      axes: ["epoch"],
      panels: [
        panel("max-sharpness", "MaxS", "epochs", "maxSharpness", loss("loss")),
        panel("min-sharpness", "MinS", "epochs", "minSharpness", loss("loss")),
        panel("bilateral-sharpness", "BilS", "epochs", "bilateralSharpness", loss("loss")),
      ],
      glossary: sharpnessGlossary,
    },
    {
      id: "integers-changed",
      title: "Integers that a perturbation changes",
      text: [
        "The share of the weights that the first perturbation of a step turns into other integers, as a mean over the epoch's steps.",
      ],
      axes: ["epoch"],
      panels: [
        panel(
          "integers-changed",
          "Integers changed",
          "epochs",
          "integersChanged",
          "% of the quantized weights",
          {
            percent: true,
          },
        ),
      ],
    },
    {
      id: "inside",
      title: "Inside bilateral SAM",
      text: [binNote(runs)],
      axes: ["step"],
      panels: [
        panel("scale", "ς, the scale", "steps", "scale", "ς (ratio)", {
          band: true,
          references: [{ value: 1, label: "ς = 1" }],
        }),
        panel("conflict", "cos(g, g⁻)", "steps", "cosGradMin", "cosine", {
          band: true,
          references: [{ value: 0, label: "overshoot below 0" }],
        }),
        panel("curvature", "Curvature along the gradient", "steps", "curvature", curvatureUnit, {
          band: true,
        }),
      ],
      glossary: insideGlossary,
    },
    {
      id: "schedule",
      title: "Schedules",
      text: ["Where lines lie on top of each other the runs share a schedule."],
      axes: ["step"],
      panels: [
        panel("learning-rate", "Learning rate", "schedule", "learningRate", "η"),
        ...scalarPanels(runs),
      ],
    },
  ];
  return sections
    .map(({ axes: along, isScaled = false, panels, ...figure }) => ({
      ...figure,
      charts: panels.flatMap((own) => chartOf(own, along, isScaled, runs)),
      compact: true,
    }))
    .filter(({ charts }) => charts.length > 0);
}

function panel(
  id: string,
  title: string,
  source: Panel["source"],
  y: string,
  unit: string,
  options: Partial<Panel> = {},
): Panel {
  return { id, title, source, y, unit, percent: false, band: false, ...options };
}

function metricPanel(info: MetricInfo): Panel {
  const { name, label, unit } = info;
  const id = label.replaceAll(/[^\p{L}\p{N}]+/gu, "-").toLowerCase();
  return panel(id, capitalized(label), "epochs", metricColumn(name), unit === "" ? plainLabel(info) : unit, {
    percent: unit === "%",
  });
}

/** A panel for each scalar that an optimizer of the runs has. */
function scalarPanels(runs: RunData[]): Panel[] {
  const columns = new Set(runs.flatMap(({ schedule }) => Object.keys(schedule)));
  const names = [...columns]
    .filter((name) => name.startsWith(scalarPrefix))
    .map((name) => name.slice(scalarPrefix.length));
  return names.map((name) => {
    const { title, symbol } = scalarWords(name);
    const id = name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    return panel(id, title, "schedule", `${scalarPrefix}${name}`, symbol);
  });
}

function columnsOf(run: RunData, { source }: Panel): Columns {
  return source === "steps" ? run.steps.columns : run[source];
}

/** The values a panel draws for a run. */
function valuesOf(run: RunData, own: Panel): number[] {
  return (columnsOf(run, own)[own.y] ?? []).filter(isNumber);
}

/** Nothing where no run has values. */
function chartOf(own: Panel, along: Section["axes"], isScaled: boolean, runs: RunData[]): LineChart[] {
  const { id, title, y, unit, percent: isShare, references } = own;
  const values = runs.flatMap((run) => valuesOf(run, own));
  if (values.length === 0) return [];
  const low = Math.min(...values);
  // Several decades on a linear axis leave all but the largest line at the bottom.
  const logarithmic = y.endsWith("Sharpness") && low > 0 && Math.max(...values) / low > 50;
  const ends = runs.flatMap((run) => {
    const last = valuesOf(run, own).at(-1);
    return last === undefined
      ? []
      : [`${run.optimizer} ${isShare ? `${percent(last)} %` : significant(last)}`];
  });
  const range = isScaled ? laterRange(own, runs) : undefined;
  const [first, ...views] = along.map((axis) => ({
    x: { name: axes[axis], min: 0, whole: axis !== "trainingSeconds" },
    lines: runs.flatMap((run, style) => lineOf(run, style, own, axis)),
  }));
  return [
    {
      kind: "lines",
      id,
      title,
      ...(range && { note: `scaled to epochs ${range.fromEpoch} and later` }),
      alternative: `Line chart of ${title} by ${first.x.name}. At the end: ${ends.join("; ")}.`,
      ...first,
      y: {
        name: logarithmic ? `${unit}, logarithmic` : unit,
        percent: isShare,
        logarithmic,
        ...range?.axis,
      },
      references,
      ...(views.length > 0 && { views }),
    },
  ];
}

/** Nothing for a run without values. */
function lineOf(run: RunData, style: number, own: Panel, axis: string): Line[] {
  const columns = columnsOf(run, own);
  const {
    [axis]: xs = [],
    [own.y]: ys = [],
    [`${own.y}Low`]: lows = [],
    [`${own.y}High`]: highs = [],
  } = columns;
  const points = xs.flatMap((x, index): Point[] => {
    const y = ys[index];
    return isNumber(x) && isNumber(y) ? [[x, y]] : [];
  });
  if (points.length === 0) return [];
  const band = xs.flatMap((x, index) => {
    const [low, high] = [lows[index], highs[index]];
    return isNumber(x) && isNumber(low) && isNumber(high) ? [[x, low, high] as const] : [];
  });
  return [{ name: run.optimizer, style, points, ...(own.band && { band }) }];
}

/**
 * In the first epochs everything changes so much that the differences at the end would be a hair's breadth.
 * When the epochs after the first eighth span less than half of the whole range, the chart is scaled to them.
 */
function laterRange(own: Panel, runs: RunData[]): { axis: Partial<Axis>; fromEpoch: number } | undefined {
  const longest = Math.max(...runs.map((run) => run.epochs.epoch?.length ?? 0));
  const skipped = Math.floor(longest / 8);
  const columns = runs.map((run) => columnsOf(run, own)[own.y] ?? []);
  const all = columns.flat().filter(isNumber);
  const later = columns.flatMap((column) => column.slice(skipped)).filter(isNumber);
  if (skipped === 0 || later.length === 0) return undefined;
  const low = Math.min(...later);
  const high = Math.max(...later);
  if (high <= low || high - low > (Math.max(...all) - Math.min(...all)) / 2) return undefined;
  const interval = niceInterval((high - low) / 4);
  const axis = {
    min: Number((Math.floor(low / interval) * interval).toPrecision(6)),
    max: Number((Math.ceil(high / interval) * interval).toPrecision(6)),
    interval,
  };
  return { axis, fromEpoch: skipped + 1 };
}

/** 1, 2 or 5 times a power of ten, the nearest above. */
function niceInterval(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  const multiple = [1, 2, 5, 10].find((candidate) => candidate * power >= least * 0.999) ?? 10;
  return Number((multiple * power).toPrecision(1));
}

function sharpnessSubset({ runs }: ReportData): string {
  const measured = runs.flatMap(({ outcome, task: { examples } }) =>
    outcome?.sharpness ? [{ ...outcome.sharpness, examples }] : [],
  );
  const texts = new Set(
    measured.map(
      ({ rho, images, examples }) => `ρ = ${rho} on ${fixed(images, 0)} fixed training ${examples}`,
    ),
  );
  return texts.size === 0
    ? "Measured on a fixed subset of the training data."
    : `Measured at ${[...texts].join(", or ")}.`;
}

function binNote(runs: RunData[]): string {
  const texts = new Set(
    runs.filter((run) => Object.keys(run.steps.columns).length > 0).map((run) => binText(run.steps)),
  );
  return `Measured on the mini-batch of every step. Each line is the median over ${[...texts].join(" or ")}; the faint band holds the middle 80 % of them.`;
}

function binText({ stepsPerBin, epochsPerBin }: RunData["steps"]): string {
  if (stepsPerBin === 1) return "one step";
  const epochs =
    epochsPerBin === 1
      ? "one epoch"
      : epochsPerBin > 1
        ? `${epochsPerBin} epochs`
        : `${significant(epochsPerBin, 2)} of an epoch`;
  return `${fixed(stepsPerBin, 0)} steps (${epochs})`;
}
