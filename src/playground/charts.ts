import { LineChart } from "echarts/charts";
import { GridComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { drawingTheme, lineStyle } from "../report/drawing/colors.ts";
import { axisOf } from "./axis.ts";
import { methods } from "./methods.ts";

use([LineChart, GridComponent, CanvasRenderer]);

/** A line's points, as [x, y]. */
export type Points = [number, number][];

/** A chart with a line for each method, in the report's colors. */
export class Curves {
  private readonly chart: ReturnType<typeof init>;
  private readonly percent: boolean;

  constructor(element: HTMLElement, { percent }: { percent: boolean }) {
    this.chart = init(element);
    this.percent = percent;
    new ResizeObserver(() => this.chart.resize()).observe(element);
    this.restyle();
  }

  /** @param end the right end of the horizontal axis, in epochs */
  draw(lines: readonly Points[], end: number): void {
    const series = lines.map((data, index) => ({ id: String(index), data, showSymbol: data.length === 1 }));
    const yAxis = axisOf(lines.flatMap((points) => points.map(([, value]) => value)));
    this.chart.setOption({ xAxis: { max: end }, yAxis: yAxis ?? { min: 0, max: 1, interval: 1 }, series });
  }

  /** Takes the colors of the scheme that the reader prefers. */
  restyle(): void {
    const scheme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const { ink, muted, line } = drawingTheme(scheme);
    const label = { color: muted, fontSize: 11 };
    const share = (value: number) => `${Number((100 * value).toFixed(1))} %`;
    this.chart.setOption({
      animation: false,
      backgroundColor: "transparent",
      textStyle: { color: ink, fontFamily: "system-ui, sans-serif" },
      grid: { left: 46, right: 10, top: 8, bottom: 24 },
      xAxis: {
        type: "value",
        min: 0,
        minInterval: 1,
        splitNumber: 4,
        axisLabel: label,
        axisLine: { lineStyle: { color: line } },
        splitLine: { show: false },
      },
      yAxis: {
        type: "value",
        axisLabel: { ...label, ...(this.percent && { formatter: share }) },
        splitLine: { lineStyle: { color: line } },
      },
      series: methods.map((_, index) => {
        const { colors, dash } = lineStyle(index);
        return {
          id: String(index),
          type: "line",
          data: [],
          silent: true,
          lineStyle: { color: colors[scheme], width: 2, type: dash.length > 0 ? [...dash] : "solid" },
          itemStyle: { color: colors[scheme] },
        };
      }),
    });
  }
}
