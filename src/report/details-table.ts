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
  const isText = [true, ...columns.map((_, at) => isTextColumn(table, at))];
  const made = new Table({
    chars: noLines,
    style: { "padding-left": 0, "padding-right": columnGap, head: [], border: [] },
    colAligns: isText.map((text) => (text ? "left" : "right")),
    colWidths: columnWidths([headings, ...lines], isText, width),
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

/**
 * The widths of columns with their gaps: what their cells take, or less of the widest columns of texts, which are wrapped between
 * words, until the lines fit. Null: what the cells take.
 */
function columnWidths(
  lines: readonly (readonly string[])[],
  isText: readonly boolean[],
  width: number,
): (number | null)[] {
  const widest = (lengthOf: (cell: string) => number) =>
    isText.map((_, at) => Math.max(...lines.map((line) => lengthOf(line[at]))) + columnGap);
  const whole = widest((cell) => cell.length);
  const narrowest = widest((cell) => Math.max(...cell.split(" ").map((word) => word.length)));
  const atMost = (limit: number) =>
    whole.map((own, at) => (isText[at] ? Math.min(own, Math.max(limit, narrowest[at])) : own));
  // The last column ends without its gap.
  const fits = (widths: readonly number[]) => widths.reduce((sum, own) => sum + own, -columnGap) <= width;
  let limit = Math.max(...whole);
  while (limit > 0 && !fits(atMost(limit))) limit--;
  return atMost(limit).map((own, at) => (own < whole[at] ? own : null));
}
