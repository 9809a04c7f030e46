import type { SeriesOption } from "echarts";
import type { Axis, Line, LineChart, Point } from "./chart.ts";
import type { DrawingTheme } from "./colors.ts";
import { axisOption, type CustomApi, type Hovered, type OptionSettings, tooltipOption } from "./frame.ts";
import { hoverTable, numberText, shown } from "./words.ts";

/** Pixels of height below which a chart has room for few ticks. */
const lowChart = 300;

export function lineParts(
  { x, y, lines, references = [] }: LineChart,
  { theme, height, hidden = [] }: OptionSettings,
  text: object,
) {
  const visible = lines.filter(({ name }) => !hidden.includes(name));
  const [from, to] = rangeOf(
    visible.flatMap(({ points }) =>
      points.map((point) => point[0]).filter((value) => !x.logarithmic || value > 0),
    ),
  );
  // A logarithmic axis would go on to the next powers of ten by itself.
  const heights = visible.flatMap(({ points, band = [] }) => [
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
    yAxis: {
      ...axisOption(y, theme, text, { horizontal: false, from: low, to: high }),
      ...(height < lowChart && { splitNumber: 4 }),
    },
    tooltip: tooltipOption(theme, (items) => lineHover(items, visible, x, y, theme)),
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

function drawable([x, y]: Point, xAxis: Axis, yAxis: Axis): boolean {
  return (
    Number.isFinite(x) &&
    Number.isFinite(y) &&
    !(xAxis.logarithmic && x <= 0) &&
    !(yAxis.logarithmic && y <= 0)
  );
}

/** Symbols at every point where they are few, else at about six, each line's in other places than its neighbors'. */
function lineSeries(line: Line, index: number, count: number, x: Axis, y: Axis, theme: DrawingTheme) {
  const { color, dash, symbol } = theme.lines[line.style % theme.lines.length];
  const points = line.points
    .filter((point) => drawable(point, x, y))
    .map(([a, b]) => [shown(a, x), shown(b, y)]);
  const every = line.scattered || points.length <= 12 ? 1 : Math.ceil(points.length / 6);
  const offset = Math.floor((index * every) / Math.max(1, count)) % every;
  return {
    type: "line" as const,
    name: line.name,
    data: points,
    color: color,
    z: 3 + index,
    showSymbol: true,
    showAllSymbol: true,
    symbol: `path://${symbol}`,
    symbolSize: (_: unknown, { dataIndex }: { dataIndex: number }) => (dataIndex % every === offset ? 8 : 0),
    lineStyle: { width: line.scattered ? 0 : 2, type: dash.length > 0 ? dash : ("solid" as const) },
    emphasis: { disabled: true },
  };
}

/** A polygon between the lower and the upper values, drawn where the axes put them: on logarithmic axes too. */
function bandSeries({ name, style, band = [] }: Line, x: Axis, y: Axis, theme: DrawingTheme) {
  const { color } = theme.lines[style % theme.lines.length];
  const edges = band.filter(([a, low, high]) => drawable([a, low], x, y) && drawable([a, high], x, y));
  const polygon = [
    ...edges.map(([a, , high]) => [shown(a, x), shown(high, y)]),
    ...edges.map(([a, low]) => [shown(a, x), shown(low, y)]).reverse(),
  ];
  return {
    type: "custom" as const,
    name,
    data: polygon.length > 0 ? polygon : [],
    color: color,
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
            style: { fill: color, opacity: 0.17 },
          },
  };
}

/** Each line's latest value at or before the place pointed at: lines need not have points at the same places. */
function lineHover(
  [pointed]: Hovered[],
  lines: readonly Line[],
  x: Axis,
  y: Axis,
  theme: DrawingTheme,
): string {
  const at = Number(pointed?.axisValue);
  if (!Number.isFinite(at)) return "";
  const nearly = Math.abs(at) * 1e-9;
  const rows = lines.flatMap(({ name, style, points }) => {
    const own = points.filter((point) => drawable(point, x, y));
    const last = own.findLast(([place]) => shown(place, x) <= at + nearly);
    if (!last) return [];
    const ended = last === own.at(-1) && shown(last[0], x) < at - nearly;
    const { color } = theme.lines[style % theme.lines.length];
    return [{ name, color, value: shown(last[1], y), ended }];
  });
  rows.sort((a, b) => b.value - a.value);
  return hoverTable(
    `${x.name}: ${numberText(at, x)}`,
    rows.map(({ name, color, value, ended }) => [
      color,
      name,
      `${numberText(value, y)}${ended ? " (ended)" : ""}`,
    ]),
  );
}
