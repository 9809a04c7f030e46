import { runStyle } from "../palette.ts";

/** The colours of a drawing besides those of its lines; the same as in the page's style sheet. */
export interface Colours {
  page: string;
  ink: string;
  muted: string;
  line: string;
}

export type Scheme = "light" | "dark";
export const schemes: readonly Scheme[] = ["light", "dark"];

const schemeColours: Record<Scheme, Colours> = {
  light: { page: "#ffffff", ink: "#1b1f23", muted: "#59626b", line: "#d8dde2" },
  dark: { page: "#15181b", ink: "#e8eaed", muted: "#a3acb5", line: "#384049" },
};

/** All that a drawing is coloured with, as plain data: it goes into pages too. */
export interface DrawingTheme extends Colours {
  lines: { colour: string; dash: number[]; symbol: string }[];
  /** From low to high: viridis, even in lightness and safe for colour-blind readers. */
  scale: string[];
}

export function drawingTheme(scheme: Scheme): DrawingTheme {
  return {
    ...schemeColours[scheme],
    lines: Array.from({ length: styleCount }, (_, index) => {
      const style = runStyle(index);
      return { colour: style[scheme], dash: style.dash, symbol: style.symbol };
    }),
    scale: viridis,
  };
}

const styleCount = 14;

/** Nine colours of matplotlib's viridis (S. van der Walt and N. Smith, CC0). */
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
