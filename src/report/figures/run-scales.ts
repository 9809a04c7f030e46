import type { EpochScales, Quantiles } from "../../theorem/run-epochs.ts";
import type { Axis, Line, LineChart } from "../drawing/chart.ts";
import type { Figure } from "../drawing/page-document.ts";
import { percent, significant } from "../numbers.ts";

// ς in the steps of training runs, epoch by epoch.

/** What `lowland theorem` reads of run folders: `theorem-runs.json`. */
export interface RunScalesRecord {
  type: "theorem-runs";
  runs: { name: string; label: string; folder: string; epochs: EpochScales[] }[];
}

export function runScalesFigures({ runs }: RunScalesRecord): Figure[] {
  const lines = (of: (epoch: EpochScales) => number, band?: (epoch: EpochScales) => Quantiles): Line[] =>
    runs.map(({ label, epochs }, style) => ({
      name: label,
      style,
      points: epochs.map((own) => [own.epoch, of(own)] as const),
      ...(band && {
        band: epochs.map((own) => [own.epoch, band(own).low, band(own).high] as const),
      }),
    }));
  const chart = (
    id: string,
    title: string,
    y: Axis,
    own: Line[],
    more: Partial<LineChart> = {},
  ): LineChart => ({
    ...{ kind: "lines", id: `theorem-runs-${id}`, title, y, lines: own },
    x: { name: "epoch", whole: true },
    alternative: own
      .map(
        ({ name, points }) =>
          `${name}: from ${significant(points[0]?.[1])} to ${significant(points.at(-1)?.[1])}`,
      )
      .join("; "),
    ...more,
  });
  const quantiles = "Lines: medians over an epoch's steps; bands: 10th to 90th percentile.";
  const shares = runs.map(({ label, epochs }) => `${label}: ${percent(shareOfAll(epochs))} %`).join("; ");
  return [
    {
      id: "runs",
      title: "ς by epoch",
      text: [`Steps with ς ≥ 1, of all: ${shares}.`],
      compact: true,
      charts: [
        chart("share", "Steps with ς ≥ 1", { name: "% of an epoch's steps", percent: true, min: 0, max: 1 }, [
          ...lines(({ shareAtLeastOne }) => shareAtLeastOne),
        ]),
        chart(
          "scale",
          "ς by epoch",
          { name: "ς" },
          lines(
            ({ scale }) => scale.median,
            ({ scale }) => scale,
          ),
          { note: quantiles, references: [{ value: 1, label: "" }] },
        ),
        chart(
          "z1",
          "Z₁·τ = (1 − ς)/(1 + ς²) by epoch",
          { name: "Z₁·τ" },
          lines(
            ({ theoremOne }) => theoremOne.median,
            ({ theoremOne }) => theoremOne,
          ),
          { note: quantiles, references: [{ value: 0, label: "" }] },
        ),
        chart("rate", "Learning rate", { name: "learning rate at the epoch's first step", min: 0 }, [
          ...lines(({ learningRate }) => learningRate),
        ]),
      ],
    },
  ];
}

/** The share of all steps of a run with ς ≥ 1. */
export function shareOfAll(epochs: readonly EpochScales[]): number {
  const steps = epochs.reduce((sum, epoch) => sum + epoch.steps, 0);
  return epochs.reduce((sum, epoch) => sum + epoch.shareAtLeastOne * epoch.steps, 0) / steps;
}
