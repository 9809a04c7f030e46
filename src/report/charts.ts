/** Which charts a report holds: what each draws, what it says to a reader, and what it says to one who cannot see it. */
import type { MetricInfo } from "../tasks/metrics.ts";
import { firstTask } from "../train/older-records.ts";
import { metricColumn, type ReportData, type RunData } from "./data.ts";
import { capitalized, fixed, isNumber, lossAxis, percent, plainLabel, significant } from "./numbers.ts";

type Axis = "epoch" | "gradientEvaluations" | "trainingSeconds" | "step";

export interface Panel {
  id: string;
  title: string;
  /** Which table of a run's data the lines come from. */
  source: "epochs" | "steps" | "schedule";
  y: string;
  /** The name of the vertical axis, with its unit. */
  unit: string;
  /** Shares, drawn in percent. */
  percent: boolean;
  logarithmic: boolean;
  /** A faint band from `${y}Low` to `${y}High`. */
  band: boolean;
  /** Vertical range when the first epochs, far from all others, are let run off the chart. */
  range?: { min: number; max: number; interval: number; fromEpoch: number };
  /** A thin horizontal line with a meaning. */
  reference?: { value: number; label: string };
  /** Places of the runs that have values here. */
  runs: number[];
  /** The chart in words. */
  alternative: string;
}

export interface ChartSection {
  id: string;
  title: string;
  /** Plain text above the charts. */
  notes: string[];
  /** Horizontal axes to choose from; the first is shown first. */
  axes: Axis[];
  panels: Panel[];
  /** Symbols used in this section. */
  glossary: [symbol: string, meaning: string][];
}

const sharpnessGlossary: ChartSection["glossary"] = [
  ["ρ", "radius: how far the weights w are moved"],
  ["g, ‖g‖", "the gradient of the loss at w, and its length"],
  ["ε", "the step of length ρ along the gradient, ρ · g / ‖g‖"],
  ["MaxS", "L(w + ε) − L(w): how much the loss rises uphill"],
  ["MinS", "L(w) − L(w − ε): how much it falls downhill"],
  ["BilS", "MaxS + MinS"],
];

const insideGlossary: ChartSection["glossary"] = [
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

/** The sections that have data, each with the panels that have data. The first of the metrics leads. */
export function chartSections(
  data: ReportData,
  [first, ...others]: readonly [MetricInfo, ...MetricInfo[]],
): ChartSection[] {
  const { runs } = data;
  const loss = (name: string) => lossAxis(name, runs[0]?.task ?? firstTask);
  const sections: DraftSection[] = [
    {
      id: "learning",
      title: `${capitalized(plainLabel(first))} and loss`,
      notes: [
        "By gradient evaluations or seconds, runs are compared at equal cost. Every run follows its schedule by epoch, though: where a cheap run has ended, a costlier one is still in mid-schedule.",
      ],
      axes: ["epoch", "gradientEvaluations", "trainingSeconds"],
      panels: [
        metricPanel(first),
        panel("test-loss", "Test loss", "epochs", "testLoss", loss("mean over the test set")),
        panel("train-loss", "Training loss", "epochs", "trainLoss", loss("mean over the epoch")),
        ...others.map(metricPanel),
      ],
      glossary: [],
    },
    {
      id: "sharpness",
      title: "Sharpness over training",
      notes: [
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
      id: "inside",
      title: "Inside bilateral SAM",
      notes: [binNote(runs)],
      axes: ["step"],
      panels: [
        panel("scale", "ς, the scale", "steps", "scale", "ς (ratio)", {
          band: true,
          reference: { value: 1, label: "ς = 1" },
        }),
        panel("conflict", "cos(g, g⁻)", "steps", "cosGradMin", "cosine", {
          band: true,
          reference: { value: 0, label: "overshoot below 0" },
        }),
        panel(
          "curvature",
          "Curvature along the gradient",
          "steps",
          "curvature",
          "uᵀHu (loss per squared radius)",
          {
            band: true,
          },
        ),
      ],
      glossary: insideGlossary,
    },
    {
      id: "schedule",
      title: "Learning rate and radius",
      notes: ["Where lines lie on top of each other the runs share a schedule."],
      axes: ["step"],
      panels: [
        panel("learning-rate", "Learning rate", "schedule", "learningRate", "η"),
        panel("rho-min", "Descent radius", "schedule", "rhoMin", "ρmin"),
      ],
      glossary: [],
    },
  ];
  return sections
    .map((section) => ({
      ...section,
      panels: section.panels.flatMap((draft) => finished(draft, section, runs)),
    }))
    .filter((section) => section.panels.length > 0);
}

/** A panel before its data is looked at. */
type Draft = Omit<Panel, "logarithmic" | "range" | "runs" | "alternative">;
type DraftSection = Omit<ChartSection, "panels"> & { panels: Draft[] };

function panel(
  id: string,
  title: string,
  source: Panel["source"],
  y: string,
  unit: string,
  options: Partial<Draft> = {},
): Draft {
  return { id, title, source, y, unit, percent: false, band: false, ...options };
}

function metricPanel({ name, label, unit }: MetricInfo): Draft {
  const id = label.replaceAll(/[^\p{L}\p{N}]+/gu, "-").toLowerCase();
  return panel(id, capitalized(label), "epochs", metricColumn(name), unit, { percent: unit === "%" });
}

/** The values a panel draws for a run. */
function valuesOf(run: RunData, { source, y }: Draft): (number | null)[] {
  return (source === "steps" ? run.steps.columns : run[source])[y] ?? [];
}

function finished(draft: Draft, section: DraftSection, runs: RunData[]): Panel[] {
  const values = runs.flatMap((run) => valuesOf(run, draft)).filter(isNumber);
  if (values.length === 0) return [];
  const low = Math.min(...values);
  // Several decades on a linear axis leave all but the largest line at the bottom.
  const logarithmic = draft.y.endsWith("Sharpness") && low > 0 && Math.max(...values) / low > 50;
  const ends = runs.flatMap((run) => {
    const last = valuesOf(run, draft).findLast(isNumber);
    if (last === undefined) return [];
    return [`${run.optimizer} ${draft.percent ? `${percent(last)} %` : significant(last)}`];
  });
  const drawn = runs.flatMap((run, index) => (valuesOf(run, draft).some(isNumber) ? [index] : []));
  const axis = section.axes[0] === "step" ? "optimizer step" : "epoch";
  const alternative = `Line chart of ${draft.title} by ${axis}. At the end: ${ends.join("; ")}.`;
  const range = section.id === "learning" ? laterRange(draft, runs) : undefined;
  return [{ ...draft, logarithmic, range, runs: drawn, alternative }];
}

/**
 * In the first epochs everything changes so much that the differences at the end would be a hair's breadth.
 * When the epochs after the first eighth span less than half of the whole range, the chart is scaled to them.
 */
function laterRange(draft: Draft, runs: RunData[]): Panel["range"] {
  const longest = Math.max(...runs.map((run) => run.epochs.epoch?.length ?? 0));
  const skipped = Math.floor(longest / 8);
  const all = runs.flatMap((run) => valuesOf(run, draft)).filter(isNumber);
  const later = runs.flatMap((run) => valuesOf(run, draft).slice(skipped)).filter(isNumber);
  if (skipped === 0 || later.length === 0) return undefined;
  const low = Math.min(...later);
  const high = Math.max(...later);
  if (high <= low || high - low > (Math.max(...all) - Math.min(...all)) / 2) return undefined;
  const factor = draft.percent ? 100 : 1;
  const interval = niceInterval(((high - low) * factor) / 4);
  return {
    min: Number((Math.floor((low * factor) / interval) * interval).toPrecision(6)),
    max: Number((Math.ceil((high * factor) / interval) * interval).toPrecision(6)),
    interval,
    fromEpoch: skipped + 1,
  };
}

/** 1, 2 or 5 times a power of ten, the nearest above. */
function niceInterval(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  const multiple = [1, 2, 5, 10].find((candidate) => candidate * power >= least * 0.999) ?? 10;
  return Number((multiple * power).toPrecision(1));
}

function sharpnessSubset({ runs }: ReportData): string {
  const measured = runs.flatMap((run) => run.outcome?.sharpness ?? []);
  const texts = new Set(
    measured.map(({ rho, images }) => `ρ = ${rho} on ${fixed(images, 0)} fixed training images`),
  );
  return texts.size === 0
    ? "Measured on a fixed subset of the training images."
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
