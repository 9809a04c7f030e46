import Table from "cli-table3";
import { fixed, isNumber, metricValue, percent, significant, withUnit } from "../report/numbers.ts";
import type { MetricInfo } from "../train/task-record.ts";
import { conflictsOf, constantGroups, type Group, methodGroups } from "./groups.ts";
import type { FiguresResults } from "./results.ts";
import { plusMinus, summary } from "./seeds.ts";

/** The figures' numbers for the terminal: a row for each method and each constant ρ_min, means ± deviation over seeds. */
export function figuresTable(
  { task, configuration, runs }: FiguresResults,
  { width = 80 }: { width?: number } = {},
): string {
  const groups = [...methodGroups(configuration, runs), ...constantGroups(configuration, runs)].filter(
    (group) => group.runs.length > 0,
  );
  const shown = [metricColumn(task.metrics[0]), ...columns]
    .map(({ heading, cell }) => ({ heading, cells: groups.map(cell) }))
    .filter(({ cells }) => cells.some((cell) => cell !== ""));
  const widths = shown.map(
    ({ heading, cells }) => Math.max(heading.length, ...cells.map((cell) => cell.length)) + 2,
  );
  const room = width - widths.reduce((sum, own) => sum + own, 0);
  const longest = Math.max(...groups.map(({ name }) => name.length));
  const table = new Table({
    head: ["", ...shown.map(({ heading }) => heading)],
    chars: { ...noLines, "top-mid": "" },
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [] },
    colWidths: [Math.max(16, Math.min(longest, room)), ...widths],
    colAligns: ["left", ...shown.map(() => "right" as const)],
    wordWrap: true,
  });
  for (const [index, { name }] of groups.entries())
    table.push([name, ...shown.map(({ cells }) => cells[index])]);
  return table
    .toString()
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n");
}

const noLines = Object.fromEntries(
  ["top", "mid", "bottom", "left", "right", "middle"]
    .flatMap((side) => [side, `${side}-mid`, `${side}-left`, `${side}-right`, "mid-mid"])
    .map((name) => [name, ""]),
);

interface TableColumn {
  heading: string;
  /** Its text for a group; "" where there is nothing to say. */
  cell: (group: Group) => string;
}

/** The metric after the last epoch. */
function metricColumn(info: MetricInfo): TableColumn {
  return {
    heading: withUnit(info.label, info),
    cell: ({ runs }) =>
      overSeeds(
        runs.map(({ epochs }) => epochs.at(-1)?.metrics[info.name]),
        (value) => metricValue(info, value),
      ),
  };
}

const columns: TableColumn[] = [
  {
    heading: "conflict %",
    cell: (group) =>
      overSeeds(
        conflictsOf(group).map(({ share }) => share),
        percent,
      ),
  },
  {
    heading: "cosine, end",
    cell: (group) =>
      overSeeds(
        conflictsOf(group).map(({ cosine }) => cosine.at(-1)?.cosine),
        (value) => fixed(value, 2),
      ),
  },
  {
    heading: "λ₁",
    cell: ({ runs }) =>
      overSeeds(
        runs.map(({ spectrum }) => spectrum?.largest[0]),
        (value) => significant(value),
      ),
  },
];

function overSeeds(
  values: readonly (number | null | undefined)[],
  format: (value: number) => string,
): string {
  const known = values.filter(isNumber);
  return known.length > 0 ? plusMinus(summary(known), format) : "";
}
