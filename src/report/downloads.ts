/** What a reader of the page downloads as CSV. */
import type { ReportData, RunData } from "./data.ts";
import { type Cell, csv } from "./drawing/table.ts";

type Row = Readonly<Record<string, Cell>>;

/** One line a run: where it stands after its last epoch. */
export function resultsCsv({ runs }: ReportData): string {
  return table(runs.map((run) => ({ ...identity(run), status: run.status, ...flat(run.outcome ?? {}) })));
}

/** One line for each epoch of each run. */
export function epochsCsv({ runs }: ReportData): string {
  return table(
    runs.flatMap((run) => {
      const columns = Object.entries(run.epochs);
      const [, first = []] = columns[0] ?? [];
      return first.map((_, index) => ({
        ...identity(run),
        ...Object.fromEntries(columns.map(([name, values]) => [name, values[index]])),
      }));
    }),
  );
}

function identity({ name, optimizer }: RunData): Row {
  return { run: name, optimizer };
}

/** Values in values as `sharpness.rho`. What the line begins with is left out. */
function flat(values: object, prefix = ""): Row {
  const known = new Set(["name", "optimizer", "status"]);
  return Object.fromEntries(
    Object.entries(values).flatMap(([key, value]) => {
      if (prefix === "" && known.has(key)) return [];
      if (typeof value === "object" && value !== null) return Object.entries(flat(value, `${prefix}${key}.`));
      return [[prefix + key, value]];
    }),
  );
}

/** Rows need not have the same columns. */
function table(rows: readonly Row[]): string {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return csv([names, ...rows.map((row) => names.map((name) => row[name] ?? null))]);
}
