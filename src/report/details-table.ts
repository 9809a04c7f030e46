/** The tables of an evaluation's details for the terminal. */
import Table from "cli-table3";
import picocolors from "picocolors";
import type { Details, DetailTable } from "../tasks/details.ts";
import { columnHeading, detailText, isTextColumn } from "./details.ts";
import { noLines, wrapped } from "./plain-table.ts";
import type { TableOptions } from "./table.ts";

/** Rows of a table that are printed; JSON has them all. */
const shownRows = 40;

const columnGap = 2;
/** Names are wrapped to no fewer characters than this. */
const narrowestName = 14;

/** Every table with its title. Matrices and samples are left to JSON and to reports. */
export function detailTables(
  { tables }: Pick<Details<unknown>, "tables">,
  { color = false, width = 100 }: TableOptions = {},
): string {
  return tables.map((table) => tableText(table, { color, width })).join("\n\n");
}

function tableText(table: DetailTable, { color, width }: Required<TableOptions>): string {
  const { title, note, rowsAre, columns, rows } = table;
  const { bold } = picocolors.createColors(color);
  const lines = rows
    .slice(0, shownRows)
    .map(({ name, values }) => [name, ...columns.map((column, at) => detailText(column, values[at]))]);
  const headings = [rowsAre, ...columns.map(columnHeading)];
  const made = new Table({
    chars: noLines,
    style: { "padding-left": 0, "padding-right": columnGap, head: [], border: [] },
    colAligns: ["left", ...columns.map((_, at) => (isTextColumn(table, at) ? "left" : "right"))],
    colWidths: [nameWidth([headings, ...lines], width)],
    wordWrap: true,
  });
  made.push(
    headings.map((heading) => bold(heading)),
    ...lines,
  );
  const more = rows.length > shownRows ? `… and ${rows.length - shownRows} more (--json has all)` : undefined;
  return [
    bold(title),
    ...(note ? wrapped(note, width) : []),
    ...made
      .toString()
      .split("\n")
      .map((line) => line.trimEnd()),
    ...(more ? [more] : []),
  ].join("\n");
}

/** The width of the first column with its gap: what its texts take, or what the other columns leave. */
function nameWidth(lines: readonly (readonly string[])[], width: number): number {
  const [names, ...others] = lines[0].map(
    (_, at) => Math.max(...lines.map((line) => line[at].length)) + columnGap,
  );
  const left = width - others.reduce((sum, own) => sum + own, 0);
  return Math.min(names, Math.max(narrowestName, left));
}
