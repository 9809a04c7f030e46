/** The table of `lowland landscape` for the terminal. */
import Table from "cli-table3";
import picocolors from "picocolors";
import type { LandscapeRecord } from "../flatness/results.ts";
import type { MetricInfo } from "../train/task-record.ts";
import { measuredLines } from "./flatness-table.ts";
import { isNumber, metricValue, plainLabel, significant, withError } from "./numbers.ts";
import { noLines, wrapped } from "./plain-table.ts";
import type { TableOptions } from "./table.ts";

/** Points of each axis that are printed; the file has them all. */
const shownPoints = { line: 11, plane: 7 };

/** What was looked at, and the loss at some of the points, evenly chosen. */
export function landscapeTable(
  record: LandscapeRecord,
  { color = false, width = 80 }: TableOptions = {},
): string {
  const paint = picocolors.createColors(color);
  const { axes, grid, reestimated, trajectory } = record;
  const directions = axes.map(
    ({ label, unit, length }) =>
      `${label}: 1 is ${unit}${length === 1 ? "" : `, ‖d‖ = ${significant(length)}`}`,
  );
  const table = (rows: string[][]) => {
    const made = new Table({
      chars: noLines,
      style: { "padding-left": 0, "padding-right": 2, head: [], border: [] },
      colAligns: rows[0].map(() => "right" as const),
    });
    made.push(...rows);
    return made
      .toString()
      .split("\n")
      .map((line) => line.trimEnd());
  };
  const parts = [
    measuredLines(record, width, paint.bold),
    directions.flatMap((text) => wrapped(text, width)),
    table(axes.length === 1 ? lineRows(record, paint.bold) : planeRows(record, paint.bold)),
    wrapped(errorNote(record), width),
  ];
  if (reestimated) {
    parts.push(
      wrapped(
        `Barrier: the loss rises ${significant(barrier(grid))} above the straight line between the two models, ${significant(barrier(reestimated))} with BatchNorm's statistics re-estimated.`,
        width,
      ),
    );
  } else if (record.along === "models") {
    parts.push(
      wrapped(
        `Barrier: the loss rises ${significant(barrier(grid))} above the straight line between the two models.`,
        width,
      ),
    );
  }
  if (trajectory) {
    const infos = measuredMetrics(record, trajectory.points[0]?.metrics);
    const rows = trajectory.points.map(({ epoch, at, loss, metrics }) => [
      String(epoch),
      ...at.map((value) => significant(value)),
      significant(loss),
      ...infos.map((info) => metricValue(info, metrics[info.name])),
    ]);
    const head = ["epoch", "1st", "2nd", "loss", ...infos.map(headingOf)];
    parts.push(table([head.map((text) => paint.bold(text)), ...rows]));
  }
  return parts.map((lines) => lines.join("\n")).join("\n\n");
}

function lineRows(record: LandscapeRecord, bold: (text: string) => string): string[][] {
  const { grid, reestimated } = record;
  const [axis] = grid.coordinates;
  const infos = measuredMetrics(record, grid.metrics);
  const head = [
    "at",
    "loss − loss at 0",
    "loss",
    ...infos.map(headingOf),
    ...(reestimated ? ["loss, BN re-estimated"] : []),
  ];
  const rows = chosen(axis.length, shownPoints.line).map((index) => [
    significant(axis[index]),
    withError(rise(grid, index), grid.standardError[index]),
    significant(grid.loss[index]),
    ...infos.map((info) => metricValue(info, grid.metrics[info.name][index])),
    ...(reestimated ? [significant(reestimated.loss[index])] : []),
  ]);
  return [head.map(bold), ...rows];
}

/** The task's metrics that were measured. */
function measuredMetrics({ task }: LandscapeRecord, metrics: object = {}): MetricInfo[] {
  return task.metrics.filter(({ name }) => name in metrics);
}

function headingOf(info: MetricInfo): string {
  return [plainLabel(info), info.unit].filter((text) => text !== "").join(" ");
}

function planeRows({ grid }: LandscapeRecord, bold: (text: string) => string): string[][] {
  const [first, second] = grid.coordinates;
  const columns = chosen(second.length, shownPoints.plane);
  return [
    ["loss", ...columns.map((column) => bold(significant(second[column], 2)))],
    ...chosen(first.length, shownPoints.plane).map((row) => [
      bold(significant(first[row], 2)),
      ...columns.map((column) => significant(grid.loss[row * second.length + column])),
    ]),
  ];
}

/** The loss above that at the point nearest to the weights. */
function rise({ coordinates: [axis], loss }: LandscapeRecord["grid"], index: number): number {
  const nearest = axis.reduce((best, at, i) => (Math.abs(at) < Math.abs(axis[best]) ? i : best), 0);
  return loss[index] - loss[nearest];
}

function errorNote({ grid, axes }: LandscapeRecord): string {
  const errors = grid.standardError.filter(isNumber);
  if (errors.length === 0) return "One batch: there is no error from batch to batch.";
  const sorted = [...errors].sort((a, b) => a - b);
  const [middle, largest] = [sorted[Math.floor(sorted.length / 2)], sorted.at(-1)];
  const rows = axes.length === 2 ? "Rows: first direction; columns: second. " : "";
  return `${rows}Standard errors (of the difference to the loss at the weights, from batch to batch): ${significant(middle, 2)} in the middle, ${significant(largest, 2)} at most.`;
}

/** How far the loss on the way from 0 to 1 is above the straight line between its ends. */
function barrier({ coordinates: [axis], loss }: LandscapeRecord["grid"]): number {
  const at = (place: number) => {
    const nearest = axis.reduce(
      (best, x, i) => (Math.abs(x - place) < Math.abs(axis[best] - place) ? i : best),
      0,
    );
    return loss[nearest];
  };
  const rises = axis.flatMap((x, i) => (x >= 0 && x <= 1 ? [loss[i] - (1 - x) * at(0) - x * at(1)] : []));
  return Math.max(0, ...rises);
}

/** So many indices of `length`, evenly spaced, both ends and the middle among them. */
function chosen(length: number, most: number): number[] {
  if (length <= most) return Array.from({ length }, (_, index) => index);
  return Array.from({ length: most }, (_, i) => Math.round((i * (length - 1)) / (most - 1)));
}
