import type { EChartsOption } from "echarts";
import { barParts } from "./bar-option.ts";
import type { Chart } from "./chart.ts";
import type { Contour } from "./contours.ts";
import {
  headerHeight,
  legendOption,
  legendRows,
  type OptionSettings,
  rowHeight,
  titleOption,
} from "./frame.ts";
import { lineParts } from "./line-option.ts";
import { matrixParts } from "./matrix-option.ts";
import { planeParts } from "./plane-option.ts";

// A chart as ECharts draws it. The page's script holds this very code, with the files it imports.

/** What ECharts is given for a chart; for a plane, with its contours. */
export function chartOption(
  chart: Chart,
  settings: OptionSettings,
  contours: readonly Contour[] = [],
): EChartsOption {
  const { theme, titled, fontFamily, width, legend = true } = settings;
  const names = legendNames(chart);
  const header = headerHeight(chart, settings);
  // The legend has its own room: above the plot, never in it.
  const top = header + (legend && names.length > 0 ? legendRows(names, width) * rowHeight : 0) + 30;
  const text = { color: theme.muted, fontSize: 12, fontFamily };
  return {
    animation: false,
    backgroundColor: titled ? theme.page : "transparent",
    textStyle: { fontFamily, fontSize: 12 },
    ...(titled && { title: titleOption(chart, settings) }),
    legend: legendOption(names, header, settings),
    grid: { left: 8, right: 22, top, bottom: 34, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    ...parts(chart, settings, { top, text, contours }),
  } as EChartsOption;
}

function parts(
  chart: Chart,
  settings: OptionSettings,
  { top, text, contours }: { top: number; text: object; contours: readonly Contour[] },
) {
  switch (chart.kind) {
    case "lines":
      return lineParts(chart, settings, text);
    case "bars":
      return barParts(chart, settings.theme, text, settings.width);
    case "plane":
      return planeParts(chart, contours, settings, { top, text });
    case "matrix":
      return matrixParts(chart, settings, { top: top - 20, text });
    default:
      return chart satisfies never;
  }
}

function legendNames(chart: Chart): string[] {
  switch (chart.kind) {
    case "lines":
      return chart.lines.map(({ name }) => name);
    case "bars":
      return chart.series.map(({ name }) => name);
    case "plane":
      return [...(chart.paths ?? []), ...(chart.marks ?? [])].map(({ name }) => name);
    case "matrix":
      return [];
    default:
      return chart satisfies never;
  }
}
