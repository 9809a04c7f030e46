/** The tables of `lowland theorem` for the terminal. */
import Table from "cli-table3";
import picocolors from "picocolors";
import type { AcrossDraws, ScaleRecord, TheoremRecord } from "../theorem/records.ts";
import type { EpochScales } from "../theorem/run-epochs.ts";
import { type RunScalesRecord, shareOfAll } from "./figures/run-scales.ts";
import { decayWords, problemTitles, theoremLead } from "./figures/theorem.ts";
import { fixed, percent, significant } from "./numbers.ts";
import { noLines, wrapped } from "./plain-table.ts";
import type { TableOptions } from "./table.ts";

/** Steps at which ς is printed: 1, 2, 5, 10, …; the file has every step. */
const shownMultiples = [1, 2, 5];

/** Gradients and slopes of every run, and ς at some of the steps. */
export function theoremTables(
  record: TheoremRecord,
  { color = false, width = 100 }: TableOptions = {},
): string {
  const paint = picocolors.createColors(color);
  const { steps, draws } = record.configuration;
  const parts: string[][] = [wrapped(theoremLead(record), width)];
  for (const { kind, smoothness, variance } of record.problems) {
    const runs = record.runs.filter(({ problem }) => problem === kind);
    const head = ["method", "steps", "mean ‖∇L‖²", "slope", "least ‖∇L‖²", "slope"];
    const rows = runs.map(({ name, decay, ...run }) => [
      ...[name, decay],
      ...[significant(run.meanSquaredGradient.mean.at(-1)), slopeText(run.meanSlope)],
      ...[significant(run.minSquaredGradient.mean.at(-1)), slopeText(run.minSlope)],
    ]);
    parts.push([
      paint.bold(`${problemTitles[kind]}: τ ${significant(smoothness)}, σ² ${significant(variance)}`),
      ...table([head.map(paint.bold), ...rows]),
    ]);
    const scales = runs.flatMap(({ decay, scale }) => (scale ? [{ decay, scale }] : []));
    const at = shownSteps(steps);
    parts.push(
      table([
        ["bilateral-sam", "at step", ...at.map(String)].map(paint.bold),
        ...scales.flatMap(({ decay, scale }) => [
          ["ς", decay, ...at.map((t) => fixed(scale.scale.mean[t - 1], 3))],
          ["Z₁·τ", decay, ...at.map((t) => fixed(scale.theoremOne.mean[t - 1], 3))],
        ]),
      ]),
      scales.flatMap(({ decay, scale }) => wrapped(`${decayWords[decay]}: ${scaleText(scale)}`, width)),
    );
  }
  parts.push(
    wrapped(
      `Of the full loss over steps 1 to ${steps}, means over ${draws} noise draws; ±: half the 95 % interval. ς and Z₁·τ are of each step's sample.`,
      width,
    ),
  );
  return parts.map((lines) => lines.join("\n")).join("\n\n");
}

/** ς of training runs, a line for each epoch. */
export function runScalesTables({ runs }: RunScalesRecord, { color = false }: TableOptions = {}): string {
  const paint = picocolors.createColors(color);
  const head = ["epoch", "learning rate", "ρmin", "ς ≥ 1", "ς", "10–90 %", "Z₁·τ", "cos < 0"];
  const parts = runs.map(({ label, epochs }) =>
    [
      paint.bold(label),
      ...table([head.map(paint.bold), ...epochs.map(epochRow)]),
      `ς ≥ 1 in ${percent(shareOfAll(epochs))} % of all steps`,
    ].join("\n"),
  );
  return parts.join("\n\n");
}

function epochRow(own: EpochScales): string[] {
  const { epoch, learningRate, rhoMin, shareAtLeastOne, shareInConflict, scale, theoremOne } = own;
  return [
    ...[String(epoch), significant(learningRate), significant(rhoMin)],
    ...[
      `${percent(shareAtLeastOne)} %`,
      fixed(scale.median, 3),
      `${fixed(scale.low, 3)}–${fixed(scale.high, 3)}`,
    ],
    ...[fixed(theoremOne.median, 4), `${percent(shareInConflict)} %`],
  ];
}

function scaleText(scale: ScaleRecord): string {
  const { shareAtLeastOne, withinLimit, beyondLimit, overshot, undefinedSteps } = scale;
  const limit = (name: string, { steps, belowOne }: ScaleRecord["withinLimit"]) =>
    `${fixed(steps, 0)} steps ${name} ρmax + 2‖g‖/τ, ${fixed(belowOne, 0)} of them with ς < 1`;
  const without = undefinedSteps > 0 ? `; ${fixed(undefinedSteps, 0)} steps without ς (‖g⁻‖ = 0)` : "";
  return `ς ≥ 1 in ${percent(shareAtLeastOne.mean)} % of the steps; ${limit("with ρmin ≤", withinLimit)}; ${limit("beyond", beyondLimit)}; ${fixed(overshot, 0)} steps with cos(g, g⁻) < 0${without}.`;
}

function slopeText({ mean, high }: AcrossDraws): string {
  return `${fixed(mean, 2)} ± ${fixed(high - mean, 2)}`;
}

function shownSteps(steps: number): number[] {
  const found: number[] = [];
  for (let power = 1; power <= steps; power *= 10)
    found.push(...shownMultiples.map((multiple) => multiple * power).filter((step) => step < steps));
  return [...found, steps];
}

function table(rows: string[][]): string[] {
  const made = new Table({
    chars: noLines,
    style: { "padding-left": 0, "padding-right": 2, head: [], border: [] },
    colAligns: rows[0].map((_, column) => (column === 0 ? ("left" as const) : ("right" as const))),
  });
  made.push(...rows);
  return made
    .toString()
    .split("\n")
    .map((line) => line.trimEnd());
}
