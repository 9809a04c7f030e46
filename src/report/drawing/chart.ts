// What a chart shows, as plain data: the same for SVG, PNG and the page, and what a reader downloads.

export interface Axis {
  /** With its unit, as a reader would write it. */
  name: string;
  /** Without it, for where there is little room. */
  brief?: string;
  logarithmic?: boolean;
  /** Values are shares, shown in percent. */
  percent?: boolean;
  min?: number;
  max?: number;
  /** From one tick to the next. */
  interval?: number;
  /** Ticks at whole numbers only. */
  whole?: boolean;
}

export type Point = readonly [x: number, y: number];

interface Common {
  /** Letters, digits and dashes: it names files. */
  id: string;
  title: string;
  /** What the lines, bands and intervals are. */
  note?: string;
  /** The chart in words, for who cannot see it. */
  alternative: string;
}

export interface Line {
  name: string;
  /** Place in the palette: color, dashes and symbol. */
  style: number;
  points: readonly Point[];
  /** Whether the points stand by themselves, in any order, with no line between them. */
  scattered?: boolean;
  /** Between the lower and the upper value at each x. */
  band?: readonly (readonly [x: number, low: number, high: number])[];
}

export interface LineChart extends Common {
  kind: "lines";
  x: Axis;
  y: Axis;
  lines: readonly Line[];
  /** Thin horizontal lines with a meaning. */
  references?: readonly { value: number; label: string }[];
  /** The same over other quantities, for a reader to choose from in a page. */
  views?: readonly { x: Axis; lines: readonly Line[] }[];
}

export interface Interval {
  value: number;
  low?: number;
  high?: number;
}

/** Groups of bars, one bar of each series in each category, with intervals where they are known. */
export interface BarChart extends Common {
  kind: "bars";
  categories: readonly string[];
  y: Axis;
  series: readonly { name: string; style: number; bars: readonly (Interval | undefined)[] }[];
}

/** A quantity over a grid on a plane; drawn from above with contours, or as a surface. */
export interface PlaneChart extends Common {
  kind: "plane";
  x: Axis;
  y: Axis;
  value: Axis;
  xs: readonly number[];
  ys: readonly number[];
  /** At (xs[i], ys[j]) stands `values[i · ys.length + j]`; what is not finite is left out. */
  values: readonly (number | null)[];
  /** Single points, such as the trained weights. */
  marks?: readonly { name: string; style: number; at: Point }[];
  /** Ways over the plane, such as a training run's. */
  paths?: readonly { name: string; style: number; points: readonly Point[] }[];
}

/** Counts of pairs as a grid of cells; a cell's color is its share of the row. */
export interface MatrixChart extends Common {
  kind: "matrix";
  /** What rows and columns are. */
  rowsAre: string;
  columnsAre: string;
  rows: readonly string[];
  columns: readonly string[];
  /** [rows][columns] */
  counts: readonly (readonly number[])[];
}

export type Chart = LineChart | BarChart | PlaneChart | MatrixChart;
