import type { Chart } from "./chart.ts";

// A chart's numbers as a table: what a reader downloads. The page's script holds this very code.

export type Cell = string | number | null;

/** The numbers of a chart as CSV (RFC 4180), one line a point, bar or grid point; empty where there is none. */
export function chartCsv(chart: Chart): string {
  return csv([headings(chart), ...cells(chart)]);
}

/** Rows as CSV (RFC 4180). */
export function csv(rows: readonly (readonly Cell[])[]): string {
  return `${rows.map((row) => row.map(field).join(",")).join("\r\n")}\r\n`;
}

function headings(chart: Chart): string[] {
  switch (chart.kind) {
    case "lines":
      return ["line", chart.x.name, chart.y.name, "low", "high"];
    case "bars":
      return ["group", "series", chart.y.name, "low", "high"];
    case "plane":
      return ["what", chart.x.name, chart.y.name, chart.value.name];
    case "matrix":
      return [chart.rowsAre, chart.columnsAre, "count"];
    default:
      return chart satisfies never;
  }
}

function cells(chart: Chart): Cell[][] {
  switch (chart.kind) {
    case "lines":
      return chart.lines.flatMap(({ name, points, band = [] }) => {
        const edges = new Map(band.map(([x, low, high]) => [x, [low, high]]));
        return points.map(([x, y]) => [name, x, y, ...(edges.get(x) ?? [null, null])]);
      });
    case "bars":
      return chart.categories.flatMap((category, index) =>
        chart.series.flatMap(({ name, bars }) => {
          const bar = bars[index];
          return bar ? [[category, name, bar.value, bar.low ?? null, bar.high ?? null]] : [];
        }),
      );
    case "plane":
      return [
        ...chart.xs.flatMap((x, i) =>
          chart.ys.map((y, j) => ["grid", x, y, chart.values[i * chart.ys.length + j]]),
        ),
        ...(chart.paths ?? []).flatMap(({ name, points }) => points.map(([x, y]) => [name, x, y, null])),
        ...(chart.marks ?? []).map(({ name, at: [x, y] }) => [name, x, y, null]),
      ];
    case "matrix":
      return chart.counts.flatMap((own, row) =>
        own.map((count, column) => [chart.rows[row], chart.columns[column], count]),
      );
    default:
      return chart satisfies never;
  }
}

function field(value: Cell): string {
  const text = value === null ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
