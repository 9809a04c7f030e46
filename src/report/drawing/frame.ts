import type { Axis } from "./chart.ts";
import type { DrawingTheme } from "./colors.ts";
import { textWidth, wrapped } from "./text-width.ts";
import { shown, tick } from "./words.ts";

// What all charts have around what they draw: title, legend, axes, hover text.

/** The library's way to draw what it has no series for: called with an item's index, and its places in pixels. */
export interface CustomApi {
  coord: (point: readonly number[]) => number[];
  size: (size: readonly number[]) => number[];
}

export interface OptionSettings {
  theme: DrawingTheme;
  /** Of the picture, or of the room in the page, in pixels. */
  width: number;
  height: number;
  fontFamily: string;
  /** Whether the title and note are part of the picture; in a page they stand above it. */
  titled: boolean;
  /** Whether the legend is part of it; in a page it may stand above several. Default true. */
  legend?: boolean;
  /** Names of lines, or of series, that are not shown. */
  hidden?: readonly string[];
}

export const fontSize = 12;

/** Of one row of the legend, and of the name of the vertical axis. */
export const rowHeight = 22;

/** Pixels that title and note take at the top of a picture. */
export function headerHeight({ note }: { note?: string }, { titled, width }: OptionSettings): number {
  if (!titled) return 4;
  return 40 + (note ? 16 * wrapped(note, width - 24, fontSize).length : 0);
}

export function titleOption({ title, note }: { title: string; note?: string }, settings: OptionSettings) {
  const { theme, width, fontFamily } = settings;
  return {
    text: title,
    subtext: note ? wrapped(note, width - 24, fontSize).join("\n") : undefined,
    left: 4,
    top: 6,
    itemGap: 6,
    textStyle: { color: theme.ink, fontSize: 15, fontWeight: "bold", fontFamily },
    subtextStyle: { color: theme.muted, fontSize, fontFamily, lineHeight: 16 },
  };
}

/** Names with their lines and symbols, in rows below the title. */
export function legendOption(names: string[], top: number, settings: OptionSettings) {
  const { theme, width, fontFamily, legend = true, hidden = [] } = settings;
  return {
    show: legend && names.length > 0,
    selected: Object.fromEntries(hidden.map((name) => [name, false])),
    top,
    left: 4,
    width: width - 12,
    itemWidth: 30,
    itemHeight: 10,
    itemGap: 14,
    data: names,
    textStyle: { color: theme.ink, fontSize, fontFamily },
    inactiveColor: theme.line,
  };
}

/** How many rows a legend of these names has. */
export function legendRows(names: string[], width: number): number {
  let [rows, used] = [1, 0];
  for (const name of names) {
    const own = 30 + 5 + textWidth(name, fontSize) + 14;
    if (used > 0 && used + own > width - 12) {
      rows += 1;
      used = 0;
    }
    used += own;
  }
  return rows;
}

export function axisOption(
  axis: Axis,
  theme: DrawingTheme,
  text: object,
  {
    horizontal,
    from,
    to,
    fromZero = false,
  }: { horizontal: boolean; from?: number; to?: number; fromZero?: boolean },
) {
  const scaled = (value: number | undefined) => (value === undefined ? undefined : shown(value, axis));
  const [min, max] = axis.logarithmic
    ? [roundDown(axis.min ?? from), roundUp(axis.max ?? to)]
    : [axis.min ?? from, axis.max ?? to];
  return {
    type: axis.logarithmic ? ("log" as const) : ("value" as const),
    name: axis.name,
    ...(horizontal
      ? { nameLocation: "middle" as const, nameGap: 28, nameTextStyle: text }
      : { nameLocation: "end" as const, nameGap: 12, nameTextStyle: { ...text, align: "left" as const } }),
    // Both ends are 0 or what there is, not some round number far from it.
    scale: !fromZero,
    ...(min !== undefined && { min: scaled(min) }),
    ...(max !== undefined && { max: scaled(max) }),
    ...(axis.interval !== undefined && { interval: scaled(axis.interval) }),
    ...(axis.whole && { minInterval: 1 }),
    splitNumber: horizontal ? 6 : 5,
    axisLabel: { ...text, hideOverlap: true, showMaxLabel: true, formatter: tick },
    axisLine: { show: true, onZero: false, lineStyle: { color: theme.line } },
    axisTick: { lineStyle: { color: theme.line } },
    splitLine: { show: !horizontal, lineStyle: { color: theme.line, opacity: 0.7 } },
  };
}

/** The nearest 1, 2 or 5 times a power of ten below, and above: the ends of a logarithmic axis. */
function roundDown(value: number | undefined): number | undefined {
  if (value === undefined) return undefined;
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([5, 2, 1].find((multiple) => multiple * power <= value * 1.0001) ?? 1);
}

function roundUp(value: number | undefined): number | undefined {
  if (value === undefined) return undefined;
  const power = 10 ** Math.floor(Math.log10(value));
  return power * ([1, 2, 5].find((multiple) => multiple * power >= value * 0.9999) ?? 10);
}

export interface Hovered {
  /** Of the point that is pointed at. */
  axisValue?: unknown;
  seriesName?: string;
  seriesType?: string;
  color?: unknown;
  value?: unknown;
}

export interface Sizes {
  contentSize: readonly number[];
  viewSize: readonly number[];
}

/** Below the plot, so that the hover text never covers what it is about. */
function belowChart(point: readonly number[], _: unknown, __: unknown, ___: unknown, sizes: Sizes): number[] {
  const [width, [room, height]] = [sizes.contentSize[0], sizes.viewSize];
  return [Math.max(0, Math.min(point[0] - width / 2, room - width)), height - 8];
}

/** Hover text of what is at one place of the horizontal axis. */
export function tooltipOption(theme: DrawingTheme, html: (items: Hovered[]) => string) {
  return {
    trigger: "axis" as const,
    position: belowChart,
    extraCssText: "max-width:100%;z-index:9",
    backgroundColor: theme.page,
    borderColor: theme.line,
    padding: 8,
    textStyle: { color: theme.ink, fontSize },
    axisPointer: { type: "line" as const, lineStyle: { color: theme.muted } },
    formatter: (items: unknown) => html(Array.isArray(items) ? (items as Hovered[]) : [items as Hovered]),
  };
}
