/** The comparison table for the terminal. */
import Table from "cli-table3";
import picocolors from "picocolors";
import { type Column, columnsOf, sharpnessBasis, sharpnessNote, statusNote } from "./columns.ts";
import { noLines, wrapped } from "./plain-table.ts";
import type { Comparison } from "./read.ts";

export interface TableOptions {
  /** Emphasise with terminal colors; otherwise the best values carry a star. */
  color?: boolean;
  /** Columns of the terminal; the optimizer's name is wrapped to fit. */
  width?: number;
}

/** Below this the optimizers' names are hard to read and the other columns give way. */
const comfortableName = 20;
const narrowestName = 14;

/**
 * One line per run, numbers aligned right, and below the table what the sharpness was measured on.
 *
 *     console.log(comparisonTable(await readComparison("runs/demo"), { color: process.stdout.isTTY }));
 */
export function comparisonTable(
  comparison: Comparison,
  { color = false, width = 100 }: TableOptions = {},
): string {
  const { runs } = comparison;
  const paint = picocolors.createColors(color);
  const columns = columnsOf(runs);
  const names = runs.map((run) => [run.label, statusNote(run)].filter(Boolean).join(", "));
  const starred = columns.map((column) => !color && column.best.includes(true));

  const wide = columnWidths(columns, starred, false);
  const compact = width - sum(wide) < comfortableName;
  const widths = compact ? columnWidths(columns, starred, true) : wide;
  const longest = Math.max("optimizer".length, ...names.map((name) => name.length));
  const nameWidth = Math.min(longest, Math.max(narrowestName, width - sum(widths)));

  const table = new Table({
    chars: noLines,
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [] },
    colWidths: [nameWidth, ...widths],
    colAligns: ["left", ...columns.map(() => "right" as const)],
    wordWrap: true,
  });
  const heading = (texts: string[], right = "") => ({
    content: texts.map((text) => paint.bold(text) + right).join("\n"),
    vAlign: "bottom" as const,
  });
  table.push([
    heading(["optimizer"]),
    ...columns.map((column, at) => heading(headingLines(column, compact), starred[at] ? " " : "")),
  ]);
  const headingHeight = table.toString().split("\n").length;
  runs.forEach((_, index) => {
    const cells = columns.map((column, at) => {
      const cell = column.cells[index]!;
      if (starred[at]) return column.best[index] ? `${cell}*` : `${cell} `;
      return column.best[index] ? paint.bold(paint.green(cell)) : cell;
    });
    table.push([names[index]!, ...cells]);
  });

  const rule = paint.dim("─".repeat(nameWidth + sum(widths)));
  const lines = table.toString().split("\n");
  lines.splice(headingHeight, 0, rule);
  const note = sharpnessNote(sharpnessBasis(runs));
  const legend = starred.includes(true) ? "* best of its column." : undefined;
  const below = [note, legend].filter((text) => text !== undefined).join(" ");
  return [...lines.map((line) => line.trimEnd()), rule, ...(below ? wrapped(below, width) : [])].join("\n");
}

/** The longest text and its gap on the left; a star's place on the right is part of the gap. Compact: no radius. */
function columnWidths(columns: Column[], starred: boolean[], compact: boolean): number[] {
  return columns.map((column, at) => {
    const texts = [...headingLines(column, compact), ...column.cells];
    return (compact && !starred[at] ? 1 : 2) + Math.max(...texts.map((text) => text.length));
  });
}

function headingLines(column: Column, compact: boolean): string[] {
  return compact ? column.heading.filter((text) => !text.startsWith("ρ")) : column.heading;
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
