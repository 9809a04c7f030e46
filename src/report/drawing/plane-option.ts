import type { PlaneChart, Point } from "./chart.ts";
import { colorScale, isDrawable } from "./color-scale.ts";
import type { Contour } from "./contours.ts";
import { axisOption, type CustomApi, type OptionSettings } from "./frame.ts";
import { escapeText, numberText, shown, tick } from "./words.ts";

/** Pixels of the color scale beside a plane: from the plane to it, its width, its numbers. */
const keyWidth = { gap: 18, bar: 14, numbers: 52 };

/** A plane seen from above: a cell for each point, contours, ways and marks. */
export function planeParts(
  plane: PlaneChart,
  lines: readonly Contour[],
  settings: OptionSettings,
  { top, text }: { top: number; text: object },
) {
  const { theme, width, height } = settings;
  const { x, y, xs, ys, values, value: axis, marks = [], paths = [] } = plane;
  const scale = colorScale(plane, theme.scale);
  const right = keyWidth.gap + keyWidth.bar + keyWidth.numbers;
  const bottom = 34;
  const cells = xs.flatMap((a, i) => ys.map((b, j) => [a, b, values[i * ys.length + j] ?? Number.NaN, i, j]));
  return {
    grid: { left: 8, right, top, bottom, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    xAxis: axisOption(x, theme, text, { horizontal: true, ...ends(xs) }),
    yAxis: axisOption(y, theme, text, { horizontal: false, ...ends(ys) }),
    tooltip: {
      trigger: "item",
      confine: true,
      backgroundColor: theme.page,
      borderColor: theme.line,
      padding: 8,
      textStyle: { color: theme.ink, fontSize: 12 },
      formatter: (item: unknown) => planeHover(item as PlaneHovered, plane),
    },
    graphic: colorKey(
      scale,
      axis,
      { left: width - right + keyWidth.gap, top, height: height - top - bottom - 4 },
      { ...settings, text },
    ),
    series: [
      {
        type: "custom",
        id: "cells",
        data: cells,
        z: 1,
        clip: true,
        dimensions: ["x", "y", "value", "i", "j"],
        encode: { x: "x", y: "y" },
        renderItem: ({ dataIndex }: { dataIndex: number }, api: CustomApi) => {
          const [, , value, i, j] = cells[dataIndex];
          if (!isDrawable(value, axis)) return undefined;
          const [left, low] = api.coord([edge(xs, i, -1), edge(ys, j, -1)]);
          const [end, high] = api.coord([edge(xs, i, 1), edge(ys, j, 1)]);
          // A little over the edge, so that no lines show between cells.
          const shape = { x: left, y: high, width: end - left + 0.6, height: low - high + 0.6 };
          return { type: "rect", shape, style: { fill: scale.color(value) } };
        },
      },
      {
        type: "custom",
        id: "contours",
        data: lines.map(({ level }) => [xs[0], ys[0], level]),
        z: 2,
        silent: true,
        clip: true,
        renderItem: ({ dataIndex }: { dataIndex: number }, api: CustomApi) => ({
          type: "group",
          children: lines[dataIndex].lines.map((line) => ({
            type: "polyline",
            shape: { points: line.map((point) => api.coord(point)) },
            // Light on the dark colors, dark on the light ones.
            style: {
              stroke: scale.share(lines[dataIndex].level) > 0.55 ? "#000000" : "#ffffff",
              opacity: 0.55,
              lineWidth: 1,
              fill: "none",
            },
          })),
        }),
      },
      ...paths.map((path, index) => pathSeries(path, index, settings)),
      ...marks.map((mark, index) => markSeries(mark, index, settings)),
    ],
  };
}

function pathSeries(
  { name, style, points }: { name: string; style: number; points: readonly Point[] },
  index: number,
  { theme }: OptionSettings,
) {
  const { color, symbol } = theme.lines[style % theme.lines.length];
  return {
    type: "line",
    name,
    data: points.map((point) => [...point]),
    color: color,
    z: 3 + index,
    symbol: `path://${symbol}`,
    symbolSize: 7,
    showSymbol: true,
    lineStyle: { width: 2, color: color, shadowColor: "#000000", shadowBlur: 2 },
    itemStyle: { color: color, borderColor: "#ffffff", borderWidth: 0.7 },
  };
}

function markSeries(
  { name, style, at }: { name: string; style: number; at: Point },
  index: number,
  { theme }: OptionSettings,
) {
  const { color, symbol } = theme.lines[style % theme.lines.length];
  return {
    type: "scatter",
    name,
    data: [[...at]],
    color: color,
    z: 10 + index,
    symbol: `path://${symbol}`,
    symbolSize: 12,
    itemStyle: { color: color, borderColor: "#ffffff", borderWidth: 1.2 },
  };
}

/** The edge of a grid point's cell: halfway to its neighbor on that side, and no further than the grid itself. */
function edge(coordinates: readonly number[], index: number, side: -1 | 1): number {
  const other = coordinates[index + side];
  return other === undefined ? coordinates[index] : (coordinates[index] + other) / 2;
}

function ends(coordinates: readonly number[]): { from: number; to: number } {
  return { from: Math.min(...coordinates), to: Math.max(...coordinates) };
}

/** The colors from low to high with their values. */
function colorKey(
  scale: ReturnType<typeof colorScale>,
  axis: PlaneChart["value"],
  place: { left: number; top: number; height: number },
  { theme, text }: OptionSettings & { text: object },
) {
  const { left, top, height } = place;
  if (scale.ticks.length === 0) return [];
  const stops = theme.scale
    .map((color, index) => ({ offset: 1 - index / (theme.scale.length - 1), color }))
    .reverse();
  const label = (value: number) => ({
    type: "text",
    left: left + keyWidth.bar + 6,
    top: top + (1 - scale.share(value)) * height - 6,
    style: { text: tick(Number(shown(value, axis).toPrecision(3))), fill: theme.muted, ...text },
  });
  const nameStyle = { text: axis.name, fill: theme.muted, ...text, align: "right" };
  return [
    { type: "text", right: 6, top: top - 24, style: nameStyle },
    {
      type: "rect",
      left,
      top,
      shape: { width: keyWidth.bar, height },
      style: { fill: { type: "linear", x: 0, y: 0, x2: 0, y2: 1, colorStops: stops } },
    },
    ...scale.ticks.map(label),
  ];
}

interface PlaneHovered {
  seriesId?: string;
  seriesName?: string;
  value?: number[];
  dataIndex?: number;
}

function planeHover(
  { seriesId, seriesName, value = [], dataIndex = 0 }: PlaneHovered,
  { x, y, value: axis }: PlaneChart,
): string {
  const [a, b] = value;
  const at = `${escapeText(x.name)}: ${numberText(a, {})}<br>${escapeText(y.name)}: ${numberText(b, {})}`;
  if (seriesId === "cells")
    return `<div class="hover">${at}<br><strong>${escapeText(axis.name)}: ${numberText(shown(value[2], axis), axis)}</strong></div>`;
  return `<div class="hover"><strong>${escapeText(String(seriesName))}</strong>, point ${dataIndex + 1}<br>${at}</div>`;
}
