import type { SeriesOption } from "echarts";
import type { Axis, BarChart } from "./chart.ts";
import type { DrawingTheme } from "./colors.ts";
import { axisOption, type CustomApi, fontSize, type Hovered, tooltipOption } from "./frame.ts";
import { textWidth } from "./text-width.ts";
import { hoverTable, numberText, shown } from "./words.ts";

export function barParts(
  { categories, y, series }: BarChart,
  theme: DrawingTheme,
  text: object,
  width: number,
) {
  const room = (width - 80) / categories.length;
  const crowded = categories.some((category) => textWidth(category, fontSize) > room);
  const bars = series.map(({ name, style, bars: own }, place) => {
    const { color } = theme.lines[style % theme.lines.length];
    const data = own.map((bar, category) =>
      bar
        ? [category, shown(bar.value, y), shown(bar.low ?? bar.value, y), shown(bar.high ?? bar.value, y)]
        : [category, NaN, NaN, NaN],
    );
    return {
      type: "custom" as const,
      name,
      color: color,
      data,
      clip: true,
      dimensions: ["category", "value", "low", "high"],
      encode: { x: "category", y: ["value", "low", "high"] },
      renderItem: ({ dataIndex }: { dataIndex: number }, api: CustomApi) =>
        barShape(data[dataIndex], { place, places: series.length, color, ink: theme.ink }, api),
    };
  });
  return {
    xAxis: {
      type: "category" as const,
      data: [...categories],
      axisLabel: { ...text, interval: 0, hideOverlap: false, rotate: crowded ? 40 : 0 },
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
  color: string;
  ink: string;
}

function barShape(
  [category, value, low, high]: number[],
  { place, places, color, ink }: BarPlace,
  api: CustomApi,
) {
  if (!Number.isFinite(value)) return undefined;
  const width = (api.size([1, 0])[0] * 0.76) / places;
  const [middle, top] = api.coord([category, value]);
  const zero = api.coord([category, 0])[1];
  const left = middle + (place - places / 2) * width;
  const center = left + width / 2;
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
        style: { fill: color },
      },
      ...(high > low
        ? [
            line(center, upper, center, lower),
            line(center - cap, upper, center + cap, upper),
            line(center - cap, lower, center + cap, lower),
          ]
        : []),
    ],
  };
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
