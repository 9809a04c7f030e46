/**
 * How each run looks wherever it appears: colour (Okabe–Ito, darkened or lightened until it stands out from the
 * page), line style and symbol. Any two of the three tell runs apart without the third.
 */

export interface RunStyle {
  light: string;
  dark: string;
  /** Dash lengths in pixels; empty for a solid line. */
  dash: number[];
  /** An SVG path in a box of 10 by 10. */
  symbol: string;
}

const colours: [light: string, dark: string][] = [
  ["#0072b2", "#4db2ec"],
  ["#d55e00", "#ff8b3d"],
  ["#00835f", "#2fc79a"],
  ["#b0568c", "#e59cc7"],
  ["#9a6a00", "#e6b422"],
  ["#33383d", "#e4e7ea"],
  ["#2f8fc4", "#9ad4f7"],
];

const dashes: number[][] = [[], [9, 4], [2, 3], [10, 3, 2, 3], [5, 3], [14, 4], [10, 3, 2, 3, 2, 3]];

const circle = "M5 0.5A4.5 4.5 0 1 1 5 9.5A4.5 4.5 0 1 1 5 0.5Z";
const square = "M1 1H9V9H1Z";
const triangle = "M5 0.5L9.8 9.2H0.2Z";
const diamond = "M5 0L10 5L5 10L0 5Z";
const triangleDown = "M5 9.5L0.2 0.8H9.8Z";
const plus = "M3.5 0H6.5V3.5H10V6.5H6.5V10H3.5V6.5H0V3.5H3.5Z";
const symbols = [circle, square, triangle, diamond, triangleDown, plus];

/** The style of the run at this place in its comparison. Seven colours and six symbols: 42 runs before a repeat. */
export function runStyle(index: number): RunStyle {
  const [light, dark] = colours[index % colours.length]!;
  return {
    light,
    dark,
    dash: dashes[index % dashes.length]!,
    symbol: symbols[index % symbols.length]!,
  };
}
