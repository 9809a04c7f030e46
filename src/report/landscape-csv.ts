/** Landscapes as CSV (RFC 4180): one line a point, numbers in full. What is not finite is left empty. */
import type { LandscapeRecord } from "../flatness/results.ts";

/** Columns: the coordinates `a` (and `b`), `loss`, `standard_error`, each metric and, between models, those re-estimated. */
export function landscapeCsv({ grid, reestimated }: LandscapeRecord): string {
  const { coordinates } = grid;
  const points = coordinates.length === 1 ? coordinates[0].map((a) => [a]) : pairs(coordinates);
  const columns = [
    ["loss", grid.loss],
    ["standard_error", grid.standardError],
    ...Object.entries(grid.metrics),
    ...(reestimated ? [["loss_reestimated", reestimated.loss] as const] : []),
  ] as const;
  const head = [...["a", "b"].slice(0, coordinates.length), ...columns.map(([name]) => name)];
  return lines([head, ...points.map((at, index) => [...at, ...columns.map(([, values]) => values[index])])]);
}

/** Columns: `epoch`, the coordinates `a` and `b`, `loss` and each metric. */
export function trajectoryCsv({ trajectory }: LandscapeRecord): string {
  const points = trajectory?.points ?? [];
  const names = Object.keys(points[0]?.metrics ?? {});
  return lines([
    ["epoch", "a", "b", "loss", ...names],
    ...points.map(({ epoch, at, loss, metrics }) => [
      epoch,
      ...at,
      loss,
      ...names.map((name) => metrics[name]),
    ]),
  ]);
}

function pairs([first, second]: readonly (readonly number[])[]): number[][] {
  return first.flatMap((a) => second.map((b) => [a, b]));
}

function lines(rows: readonly (readonly (string | number | null)[])[]): string {
  return rows.map((row) => `${row.map((cell) => cell ?? "").join(",")}\r\n`).join("");
}
