import type { MatrixChart } from "./chart.ts";
import { mixedColor } from "./color-scale.ts";
import type { CustomApi, OptionSettings } from "./frame.ts";
import { textWidth } from "./text-width.ts";
import { escapeText, numberText } from "./words.ts";

/** Sizes of the counts in cells, in pixels: the largest that all of them have room in, or none is written. */
const countSizes = [11, 10, 9, 8];

/** Pixels that names of rows and columns take at most. */
const longestName = 110;

/** Counts as cells: the color is the share of the row, the number stands in it where there is room. */
export function matrixParts(
  chart: MatrixChart,
  settings: OptionSettings,
  { top, text }: { top: number; text: object },
) {
  const { rows, columns, rowsAre, columnsAre } = chart;
  const { theme, width } = settings;
  const filled = matrixCells(chart);
  /** Width of the longest count, at a size of one pixel. */
  const longest = Math.max(...filled.map(({ count }) => textWidth(String(count), 1)));
  const nameWidth = Math.min(longestName, width / 4);
  const widest = Math.max(...columns.map((name) => textWidth(name, 12)));
  const room = (width - nameWidth - 50) / columns.length;
  const common = (data: readonly string[]) => ({
    type: "category" as const,
    data: [...data],
    axisLine: { lineStyle: { color: theme.line } },
    axisTick: { show: false },
    splitLine: { show: false },
  });
  const label = { ...text, width: nameWidth, overflow: "truncate" as const, interval: 0 };
  return {
    grid: { left: 26, right: 12, top, bottom: 34, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    xAxis: {
      ...common(columns),
      name: columnsAre,
      nameLocation: "middle" as const,
      nameGap: 14 + (widest > room ? Math.min(nameWidth, widest) : 14),
      nameTextStyle: text,
      axisLabel: { ...label, rotate: widest > room ? 90 : 0 },
    },
    yAxis: {
      ...common(rows),
      inverse: true,
      name: rowsAre,
      nameLocation: "middle" as const,
      nameGap: 14 + Math.min(nameWidth, Math.max(...rows.map((name) => textWidth(name, 12)))),
      nameTextStyle: text,
      axisLabel: label,
    },
    tooltip: {
      trigger: "item" as const,
      confine: true,
      backgroundColor: theme.page,
      borderColor: theme.line,
      padding: 8,
      textStyle: { color: theme.ink, fontSize: 12 },
      formatter: ({ dataIndex = 0 }: { dataIndex?: number }) => matrixHover(chart, filled[dataIndex]),
    },
    series: [
      {
        type: "custom" as const,
        data: filled.map(({ row, column, count }) => [column, row, count]),
        clip: true,
        encode: { x: 0, y: 1 },
        renderItem: ({ dataIndex }: { dataIndex: number }, api: CustomApi) => {
          const { row, column, count, share } = filled[dataIndex];
          const [x, y] = api.coord([column, row]);
          const [cellWidth, cellHeight] = api.size([1, 1]).map(Math.abs);
          // Rare pairs are to be seen too.
          const depth = Math.sqrt(share);
          const shape = {
            x: x - cellWidth / 2 + 0.5,
            y: y - cellHeight / 2 + 0.5,
            width: cellWidth - 1,
            height: cellHeight - 1,
          };
          const fontSize = countSizes.find((size) => longest * size < cellWidth - 2 && cellHeight > size);
          const fill = mixedColor([theme.page, theme.lines[0].color], depth);
          const number = {
            type: "text",
            style: {
              ...{ x, y, text: String(count), align: "center", verticalAlign: "middle" },
              ...{
                fontSize,
                fontFamily: settings.fontFamily,
                fill: depth > 0.6 ? theme.page : theme.ink,
              },
            },
          };
          return {
            type: "group",
            children: [
              { type: "rect", shape, style: { fill } },
              ...(count > 0 && fontSize !== undefined ? [number] : []),
            ],
          };
        },
      },
    ],
  };
}

/** Each cell with its share of the row. */
function matrixCells({ counts }: MatrixChart) {
  return counts.flatMap((own, row) => {
    const total = own.reduce((sum, count) => sum + count, 0);
    return own.map((count, column) => ({ row, column, count, share: total > 0 ? count / total : 0 }));
  });
}

function matrixHover(
  { rows, columns, rowsAre, columnsAre }: MatrixChart,
  { row, column, count, share }: ReturnType<typeof matrixCells>[number],
): string {
  const names = `${escapeText(rowsAre)}: ${escapeText(rows[row])}<br>${escapeText(columnsAre)}: ${escapeText(columns[column])}`;
  return `<div class="hover">${names}<br><strong>${count.toLocaleString("en-US")}</strong> (${numberText(100 * share, { percent: true })} of the row)</div>`;
}
