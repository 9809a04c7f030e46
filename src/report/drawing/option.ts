import type { EChartsOption, SeriesOption } from "echarts";
import type { Axis, BarChart, Line, LineChart, Point } from "./chart.ts";
import type { DrawingTheme } from "./colours.ts";
import { textWidth, wrapped } from "./text-width.ts";

// A chart as ECharts draws it. The page's script holds this very code, with the files it imports.

/** The library's way to draw what it has no series for: called with an item's index, and its places in pixels. */
export interface CustomApi {
  coord: (point: readonly number[]) => number[];
  size: (size: readonly number[]) => number[];
}

export interface OptionSettings {
  theme: DrawingTheme;
  width: number;
  fontFamily: string;
  /** Whether the title and note are part of the picture; in a page they stand above it. */
  titled: boolean;
}

const fontSize = 12;
/** Of one row of the legend, and of the name of the vertical axis. */
export const rowHeight = 22;

/** What ECharts is given for a chart of lines or bars. */
export function chartOption(chart: LineChart | BarChart, settings: OptionSettings): EChartsOption {
  const { theme, titled, fontFamily } = settings;
  const names = (chart.kind === "lines" ? chart.lines : chart.series).map(({ name }) => name);
  const header = headerHeight(chart, settings);
  const rows = legendRows(names, settings.width);
  const text = { color: theme.muted, fontSize, fontFamily };
  return {
    animation: false,
    backgroundColor: titled ? theme.page : "transparent",
    textStyle: { fontFamily, fontSize },
    ...(titled && { title: titleOption(chart, settings) }),
    legend: {
      top: header,
      left: 4,
      width: settings.width - 12,
      itemWidth: 30,
      itemHeight: 10,
      itemGap: 14,
      data: names,
      textStyle: { ...text, color: theme.ink },
      inactiveColor: theme.line,
    },
    // The legend has its own room: above the plot, never in it.
    grid: {
      left: 8,
      right: 22,
      top: header + rows * rowHeight + 30,
      bottom: 34,
      outerBoundsMode: "same",
      outerBoundsContain: "axisLabel",
    },
    ...(chart.kind === "lines" ? lineParts(chart, theme, text) : barParts(chart, theme, text)),
  } as EChartsOption;
}

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

function lineParts({ x, y, lines, references = [] }: LineChart, theme: DrawingTheme, text: object) {
  const [from, to] = rangeOf(
    lines.flatMap(({ points }) =>
      points.map((point) => point[0]).filter((value) => !x.logarithmic || value > 0),
    ),
  );
  // A logarithmic axis would go on to the next powers of ten by itself.
  const heights = lines.flatMap(({ points, band = [] }) => [
    ...points.map((point) => point[1]),
    ...band.flatMap(([, low, high]) => [low, high]),
  ]);
  const [low, high] = y.logarithmic ? rangeOf(heights.filter((value) => value > 0)) : [undefined, undefined];
  const bands = lines.flatMap((line) => (line.band ? [bandSeries(line, x, y, theme)] : []));
  const drawn = lines.map((line, index) => lineSeries(line, index, lines.length, x, y, theme));
  const thin = references.map(({ value, label }) => ({
    type: "line" as const,
    data: [x.min ?? from, x.max ?? to].map((end) => [end, shown(value, y)]),
    symbol: "none",
    silent: true,
    z: 1,
    tooltip: { show: false },
    lineStyle: { color: theme.ink, width: 1, opacity: 0.75, type: [4, 4] },
    endLabel: { show: false },
    markPoint: {
      silent: true,
      symbol: "rect",
      symbolSize: 0.1,
      itemStyle: { color: "transparent" },
      label: {
        color: theme.muted,
        fontSize: 11,
        position: "insideBottomLeft" as const,
        formatter: label,
        distance: 4,
      },
      data: [{ coord: [x.min ?? from, shown(value, y)] }],
    },
  }));
  return {
    xAxis: axisOption(x, theme, text, { horizontal: true, from, to }),
    yAxis: axisOption(y, theme, text, { horizontal: false, from: low, to: high }),
    tooltip: tooltipOption(theme, (items) => lineHover(items, x, y)),
    // The legend takes its symbols from the first series of a name.
    series: [...drawn, ...bands, ...thin] as SeriesOption[],
  };
}

/** The least and the largest; 0 and 1 when there is nothing. */
function rangeOf(values: number[]): [number, number] {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return [0, 1];
  return [finite.reduce((a, b) => Math.min(a, b)), finite.reduce((a, b) => Math.max(a, b))];
}

/** A value as it is drawn: shares in percent, nothing at or below 0 on a logarithmic axis. */
function shown(value: number, axis: Axis): number {
  return axis.percent ? value * 100 : value;
}

function drawable([x, y]: Point, xAxis: Axis, yAxis: Axis): boolean {
  return (
    Number.isFinite(x) &&
    Number.isFinite(y) &&
    !(xAxis.logarithmic && x <= 0) &&
    !(yAxis.logarithmic && y <= 0)
  );
}

/** Symbols at every point where they are few, else at about six, each line's in other places than its neighbours'. */
function lineSeries(line: Line, index: number, count: number, x: Axis, y: Axis, theme: DrawingTheme) {
  const { colour, dash, symbol } = theme.lines[line.style % theme.lines.length];
  const points = line.points
    .filter((point) => drawable(point, x, y))
    .map(([a, b]) => [shown(a, x), shown(b, y)]);
  const every = points.length <= 12 ? 1 : Math.ceil(points.length / 6);
  const offset = Math.floor((index * every) / Math.max(1, count)) % every;
  return {
    type: "line" as const,
    name: line.name,
    data: points,
    color: colour,
    z: 3 + index,
    showSymbol: true,
    showAllSymbol: true,
    symbol: `path://${symbol}`,
    symbolSize: (_: unknown, { dataIndex }: { dataIndex: number }) => (dataIndex % every === offset ? 8 : 0),
    lineStyle: { width: 2, type: dash.length > 0 ? dash : ("solid" as const) },
    emphasis: { disabled: true },
  };
}

/** A polygon between the lower and the upper values, drawn where the axes put them: on logarithmic axes too. */
function bandSeries({ name, style, band = [] }: Line, x: Axis, y: Axis, theme: DrawingTheme) {
  const { colour } = theme.lines[style % theme.lines.length];
  const edges = band.filter(([a, low, high]) => drawable([a, low], x, y) && drawable([a, high], x, y));
  const polygon = [
    ...edges.map(([a, , high]) => [shown(a, x), shown(high, y)]),
    ...edges.map(([a, low]) => [shown(a, x), shown(low, y)]).reverse(),
  ];
  return {
    type: "custom" as const,
    name,
    data: polygon.length > 0 ? polygon : [],
    color: colour,
    silent: true,
    clip: true,
    z: 1,
    tooltip: { show: false },
    dimensions: ["x", "y"],
    encode: { x: "x", y: "y" },
    renderItem: ({ dataIndex }: { dataIndex: number }, api: CustomApi) =>
      dataIndex > 0
        ? undefined
        : {
            type: "polygon",
            shape: { points: polygon.map((point) => api.coord(point)) },
            style: { fill: colour, opacity: 0.17 },
          },
  };
}

function barParts({ categories, y, series }: BarChart, theme: DrawingTheme, text: object) {
  const bars = series.map(({ name, style, bars: own }, place) => {
    const { colour } = theme.lines[style % theme.lines.length];
    const data = own.map((bar, category) =>
      bar
        ? [category, shown(bar.value, y), shown(bar.low ?? bar.value, y), shown(bar.high ?? bar.value, y)]
        : [category, NaN, NaN, NaN],
    );
    return {
      type: "custom" as const,
      name,
      color: colour,
      data,
      clip: true,
      dimensions: ["category", "value", "low", "high"],
      encode: { x: "category", y: ["value", "low", "high"] },
      renderItem: ({ dataIndex }: { dataIndex: number }, api: CustomApi) =>
        barShape(data[dataIndex], { place, places: series.length, colour, ink: theme.ink }, api),
    };
  });
  return {
    xAxis: {
      type: "category" as const,
      data: [...categories],
      axisLabel: { ...text, interval: 0, hideOverlap: false },
      axisLine: { lineStyle: { color: theme.line } },
      axisTick: { show: false },
    },
    yAxis: axisOption(y, theme, text, { horizontal: false, fromZero: true }),
    tooltip: tooltipOption(theme, (items) => barHover(items, categories, y)),
    series: bars as unknown as SeriesOption[],
  };
}

interface BarPlace {
  place: number;
  places: number;
  colour: string;
  ink: string;
}

function barShape(
  [category, value, low, high]: number[],
  { place, places, colour, ink }: BarPlace,
  api: CustomApi,
) {
  if (!Number.isFinite(value)) return undefined;
  const width = (api.size([1, 0])[0] * 0.76) / places;
  const [middle, top] = api.coord([category, value]);
  const zero = api.coord([category, 0])[1];
  const left = middle + (place - places / 2) * width;
  const centre = left + width / 2;
  const [upper, lower] = [api.coord([category, high])[1], api.coord([category, low])[1]];
  const line = (x1: number, y1: number, x2: number, y2: number) => ({
    type: "line",
    shape: { x1, y1, x2, y2 },
    style: { stroke: ink, lineWidth: 1.5 },
  });
  const cap = Math.min(5, width / 4);
  return {
    type: "group",
    children: [
      {
        type: "rect",
        shape: {
          x: left + 1,
          y: Math.min(top, zero),
          width: Math.max(1, width - 2),
          height: Math.abs(zero - top),
        },
        style: { fill: colour },
      },
      ...(high > low
        ? [
            line(centre, upper, centre, lower),
            line(centre - cap, upper, centre + cap, upper),
            line(centre - cap, lower, centre + cap, lower),
          ]
        : []),
    ],
  };
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

interface Hovered {
  seriesName?: string;
  seriesType?: string;
  color?: unknown;
  value?: unknown;
}

/** Below the plot, so that the hover text never covers what it is about. */
function tooltipOption(theme: DrawingTheme, html: (items: Hovered[]) => string) {
  return {
    trigger: "axis" as const,
    confine: true,
    backgroundColor: theme.page,
    borderColor: theme.line,
    padding: 8,
    textStyle: { color: theme.ink, fontSize },
    axisPointer: { type: "line" as const, lineStyle: { color: theme.muted } },
    formatter: (items: unknown) => html(Array.isArray(items) ? (items as Hovered[]) : [items as Hovered]),
  };
}

function lineHover(items: Hovered[], x: Axis, y: Axis): string {
  const rows = items
    .filter(
      ({ seriesType, seriesName }) => seriesType === "line" && seriesName && !/^series/.test(seriesName),
    )
    .map((item) => ({ ...item, point: item.value as number[] }))
    .sort((a, b) => b.point[1] - a.point[1]);
  if (rows.length === 0) return "";
  const at = `${x.name}: ${numberText(rows[0].point[0], x)}`;
  return hoverTable(
    at,
    rows.map(({ seriesName, color, point }) => [String(color), String(seriesName), numberText(point[1], y)]),
  );
}

function barHover(items: Hovered[], categories: readonly string[], y: Axis): string {
  const rows = items
    .map((item) => ({ ...item, bar: item.value as number[] }))
    .filter(({ bar }) => Number.isFinite(bar[1]));
  if (rows.length === 0) return "";
  return hoverTable(
    categories[rows[0].bar[0]],
    rows.map(({ seriesName, color, bar: [, value, low, high] }) => [
      String(color),
      String(seriesName),
      numberText(value, y) + (high > low ? ` (${numberText(low, y)} to ${numberText(high, y)})` : ""),
    ]),
  );
}

function hoverTable(heading: string, rows: string[][]): string {
  const cells = rows.map(
    ([colour, name, value]) =>
      `<tr><th><span style="color:${colour}">■</span> ${escapeText(name)}</th><td>${escapeText(value)}</td></tr>`,
  );
  return `<div class="hover">${escapeText(heading)}<table>${cells.join("")}</table></div>`;
}

export function escapeText(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");
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
