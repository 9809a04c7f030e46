/** The tables of an evaluation's details for the terminal. */
import Table from "cli-table3";
import picocolors from "picocolors";
import type { Details, DetailTable } from "../tasks/details.ts";
import { columnHeading, detailText, isTextColumn } from "./details.ts";
import { noLines, wrapped } from "./plain-table.ts";
import type { TableOptions } from "./table.ts";

/** Rows of a table that are printed; JSON has them all. */
const shownRows = 40;

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
  const made = new Table({
    chars: noLines,
    style: { "padding-left": 0, "padding-right": 2, head: [], border: [] },
    colAligns: ["left", ...columns.map((_, at) => (isTextColumn(table, at) ? "left" : "right"))],
  });
  made.push([rowsAre, ...columns.map(columnHeading)].map((heading) => bold(heading)));
  for (const { name, values } of rows.slice(0, shownRows))
    made.push([name, ...columns.map((column, at) => detailText(column, values[at]))]);
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
