import type { Axis } from "./chart.ts";

// Values and names as a reader sees them, in charts and in the text shown when one points at them.

/** A value as it is drawn: shares in percent, nothing at or below 0 on a logarithmic axis. */
export function shown(value: number, axis: Axis): number {
  return axis.percent ? value * 100 : value;
}

/** A value that is drawn (a share is in percent already), with three digits that count. */
export function numberText(value: number, { percent }: Pick<Axis, "percent">): string {
  if (percent) return `${value.toFixed(1)} %`;
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString("en-US");
  return tick(Number(value.toPrecision(3)));
}

/** A number beside an axis. */
export function tick(value: number): string {
  if (Math.abs(value) >= 10000) return `${Number((value / 1000).toPrecision(4))}k`;
  if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential().replace("e-", "e−");
  return Number(value.toPrecision(4)).toLocaleString("en-US", { maximumFractionDigits: 6 }).replace("-", "−");
}

export function escapeText(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
}

export function hoverTable(heading: string, rows: string[][]): string {
  const cells = rows.map(
    ([color, name, value]) =>
      `<tr><th><span style="color:${color}">■</span> ${escapeText(name)}</th><td>${escapeText(value)}</td></tr>`,
  );
  return `<div class="hover">${escapeText(heading)}<table>${cells.join("")}</table></div>`;
}
