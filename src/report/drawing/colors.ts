/** The colors of a drawing besides those of its lines; the same as in the page's style sheet. */
export interface Colors {
  page: string;
  ink: string;
  muted: string;
  line: string;
}

export type Scheme = "light" | "dark";
export const schemes: readonly Scheme[] = ["light", "dark"];

const schemeColors: Record<Scheme, Colors> = {
  light: { page: "#ffffff", ink: "#1b1f23", muted: "#59626b", line: "#d8dde2" },
  dark: { page: "#15181b", ink: "#e8eaed", muted: "#a3acb5", line: "#384049" },
};

/** All that a drawing is colored with, as plain data: it goes into pages too. */
export interface DrawingTheme extends Colors {
  lines: (Omit<LineStyle, "colors"> & { color: string })[];
  /** From low to high: viridis, even in lightness and safe for color-blind readers. */
  scale: string[];
}

export function drawingTheme(scheme: Scheme): DrawingTheme {
  return {
    ...schemeColors[scheme],
    lines: Array.from({ length: styleCount }, (_, index) => {
      const { colors, dash, symbol } = lineStyle(index);
      return { color: colors[scheme], dash, symbol };
    }),
    scale: viridis,
  };
}

/** Seven colors and six symbols: 42 lines before a style repeats. */
export const styleCount = 42;

/** How a line looks wherever it appears. Any two of color, dashes and symbol tell lines apart without the third. */
export interface LineStyle {
  /** Okabe–Ito, darkened or lightened until it stands out from the page. */
  colors: Readonly<Record<Scheme, string>>;
  /** Dash lengths in pixels; empty for a solid line. */
  dash: readonly number[];
  /** An SVG path in a box of 10 by 10. */
  symbol: string;
}

const lineColors: readonly (readonly [light: string, dark: string])[] = [
  ["#0072b2", "#4db2ec"],
  ["#d55e00", "#ff8b3d"],
  ["#00835f", "#2fc79a"],
  ["#b0568c", "#e59cc7"],
  ["#9a6a00", "#e6b422"],
  ["#33383d", "#e4e7ea"],
  ["#2f8fc4", "#9ad4f7"],
];

const dashes: readonly (readonly number[])[] = [
  [],
  [9, 4],
  [2, 3],
  [10, 3, 2, 3],
  [5, 3],
  [14, 4],
  [10, 3, 2, 3, 2, 3],
];

const circle = "M5 0.5A4.5 4.5 0 1 1 5 9.5A4.5 4.5 0 1 1 5 0.5Z";
const square = "M1 1H9V9H1Z";
const triangle = "M5 0.5L9.8 9.2H0.2Z";
const diamond = "M5 0L10 5L5 10L0 5Z";
const triangleDown = "M5 9.5L0.2 0.8H9.8Z";
const plus = "M3.5 0H6.5V3.5H10V6.5H6.5V10H3.5V6.5H0V3.5H3.5Z";
const symbols = [circle, square, triangle, diamond, triangleDown, plus];

/** The style at a place in the palette. */
export function lineStyle(index: number): LineStyle {
  const [light, dark] = lineColors[index % lineColors.length];
  return {
    colors: { light, dark },
    dash: dashes[index % dashes.length],
    symbol: symbols[index % symbols.length],
  };
}

/** Nine colors of matplotlib's viridis (S. van der Walt and N. Smith, CC0). */
const viridis = [
  "#440154",
  "#472d7b",
  "#3b528b",
  "#2c728e",
  "#21918c",
  "#28ae80",
  "#5ec962",
  "#addc30",
  "#fde725",
];
