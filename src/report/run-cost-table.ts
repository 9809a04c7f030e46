/** What runs would cost, as a table for the terminal. */
import Table from "cli-table3";
import picocolors from "picocolors";
import type { RunCost } from "../runs/run-cost.ts";
import { fixed, significant } from "./numbers.ts";
import { noLines, wrapped } from "./plain-table.ts";
import type { TableOptions } from "./table.ts";

/** A line for each run, their sum where they are several, and below it memory and disk. Fits 100 columns. */
export function runCostTable(
  costs: readonly RunCost[],
  { color = false, width = 100 }: TableOptions = {},
): string {
  const paint = picocolors.createColors(color);
  const total = (of: (cost: RunCost) => number) => costs.reduce((sum, cost) => sum + of(cost), 0);
  const head = ["run", "steps", "gradients", "FLOPs", "s/step", "evaluations", "time"];
  const rows = costs.map((cost) => [
    ...[cost.name, fixed(cost.steps, 0), fixed(cost.gradientEvaluations, 0), powerOfTen(cost.flops)],
    ...[significant(cost.seconds.step), `${cost.evaluations} × ${significant(cost.seconds.evaluation)} s`],
    timeText(cost.seconds.total),
  ]);
  const [steps, gradients, flops, seconds] = [
    total((cost) => cost.steps),
    total((cost) => cost.gradientEvaluations),
    total((cost) => cost.flops),
    total((cost) => cost.seconds.total),
  ];
  const sum = ["all", fixed(steps, 0), fixed(gradients, 0), powerOfTen(flops), "", "", timeText(seconds)];
  const table = new Table({
    chars: noLines,
    style: { "padding-left": 0, "padding-right": 2, head: [], border: [] },
    colAligns: head.map((_, column) => (column === 0 ? "left" : "right")),
  });
  table.push(head.map(paint.bold), ...rows, ...(costs.length > 1 ? [sum] : []));
  const lines = table.toString().split("\n");
  const memory = Math.max(...costs.map(({ peakMemoryBytes }) => peakMemoryBytes));
  const [{ parameters, epochs }] = costs;
  const notes = [
    `${fixed(parameters, 0)} parameters, ${epochs} epochs. Peak memory ${sizeText(memory)}, disk ${sizeText(total(({ diskBytes }) => diskBytes))}.`,
    "Times are from three steps of each run (more of short ones) and one batch of each evaluation, on this machine as it is now, and hold the start of the command; FLOPs are of convolutions and matrix products in the steps. Nothing was written.",
  ];
  return [...lines.map((line) => line.trimEnd()), "", ...notes.flatMap((note) => wrapped(note, width))].join(
    "\n",
  );
}

/** 1234567 → "1.23e6". */
function powerOfTen(value: number): string {
  return value.toExponential(2).replace("e+", "e");
}

/** Seconds below two minutes, then minutes, from two hours on hours. */
function timeText(seconds: number): string {
  if (seconds < 120) return `${significant(seconds)} s`;
  if (seconds < 7200) return `${significant(seconds / 60)} min`;
  return `${significant(seconds / 3600)} h`;
}

function sizeText(bytes: number): string {
  return bytes < 2 ** 30 ? `${significant(bytes / 2 ** 20)} MiB` : `${significant(bytes / 2 ** 30)} GiB`;
}
