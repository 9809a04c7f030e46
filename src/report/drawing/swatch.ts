import { lineStyle } from "./colors.ts";

/** A line with its symbol as the charts draw it, as markup; its color is that of the class `line-<style>`. */
export function swatch(style: number): string {
  const { dash, symbol } = lineStyle(style);
  return `<svg class="swatch line-${style}" viewBox="0 0 34 10" width="34" height="10" aria-hidden="true"><path d="M0 5H34" fill="none" stroke="currentColor" stroke-width="2" stroke-dasharray="${dash.join(" ") || "none"}"/><path transform="translate(13 1) scale(0.8)" d="${symbol}" fill="currentColor"/></svg>`;
}
