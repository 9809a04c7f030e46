import type { DetailColumn, DetailTable, DetailValue } from "../tasks/details.ts";
import { fixed, isNumber, percent } from "./numbers.ts";

// Details of an evaluation as people read them, in the terminal and in pages.

/** A value without its unit: shares in percent, counts as they are, other numbers with three decimals. */
export function detailText({ unit }: Pick<DetailColumn, "unit">, value: DetailValue): string {
  if (typeof value === "string") return value;
  if (!isNumber(value)) return "–";
  if (unit === "%") return percent(value);
  return fixed(value, Number.isInteger(value) ? 0 : 3);
}

/** A column's label with its unit. */
export function columnHeading({ label, unit }: Pick<DetailColumn, "label" | "unit">): string {
  return unit === "" ? label : `${label} ${unit}`;
}

/** Whether a column of a table holds texts, which stand on the left. */
export function isTextColumn({ rows }: Pick<DetailTable, "rows">, column: number): boolean {
  return rows.some(({ values }) => typeof values[column] === "string");
}
