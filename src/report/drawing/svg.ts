import { createRequire } from "node:module";
import type * as ECharts from "echarts";
import type { Chart, PlaneChart } from "./chart.ts";
import { drawingTheme, type Scheme } from "./colors.ts";
import { contourLines } from "./contours.ts";
import { headerHeight } from "./frame.ts";
import { chartOption } from "./option.ts";
import { firstView, surfaceSvg } from "./surface-svg.ts";
import { textWidth, wrapped } from "./text-width.ts";
import { escapeText } from "./words.ts";

/** Of a picture that stands by itself: DejaVu Sans is what PNG pictures are drawn with, and Verdana is as wide. */
const pictureFonts = "'DejaVu Sans', Verdana, sans-serif";

let loaded: typeof ECharts | undefined;

/**
 * ECharts, loaded with the first picture: commands that draw none start in a quarter of the time. `require` gives the
 * form that is one file; the other one is hundreds.
 */
function echarts(): typeof ECharts {
  if (loaded) return loaded;
  loaded = createRequire(import.meta.url)("echarts") as typeof ECharts;
  // Without a browser ECharts cannot measure text, and would guess from another font.
  loaded.setPlatformAPI({
    measureText: (text, font = "12px") => {
      const size = Number(/(\d+(?:\.\d+)?)px/.exec(font)?.[1] ?? 12);
      return { width: textWidth(text, size) * (/bold/.test(font) ? 1.1 : 1) };
    },
  });
  return loaded;
}

export interface PictureSize {
  width: number;
  height: number;
}

const defaultSize: PictureSize = { width: 720, height: 440 };

/** A chart as an SVG document with its title, drawn by ECharts without a browser; a plane is seen from above. */
export function chartSvg(chart: Chart, scheme: Scheme, { width, height }: PictureSize = defaultSize): string {
  const settings = { theme: drawingTheme(scheme), width, height, fontFamily: pictureFonts, titled: true };
  const instance = echarts().init(null, null, { renderer: "svg", ssr: true, width, height });
  try {
    instance.setOption(chartOption(chart, settings, chart.kind === "plane" ? contourLines(chart) : []));
    return instance.renderToSVGString();
  } finally {
    instance.dispose();
  }
}

/** A plane as a surface in space, as an SVG document with its title. */
export function surfacePicture(
  plane: PlaneChart,
  scheme: Scheme,
  view = firstView,
  { width, height } = defaultSize,
): string {
  const theme = drawingTheme(scheme);
  const settings = { theme, width, height, fontFamily: pictureFonts, titled: true };
  const lines = plane.note ? wrapped(plane.note, width - 24, 12) : [];
  const top = headerHeight(plane, settings);
  const words = (y: number, style: string, text: string) =>
    `<text x="9" y="${y}" ${style}>${escapeText(text)}</text>`;
  const font = `font-family="${pictureFonts}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
<rect width="${width}" height="${height}" fill="${theme.page}"/>
${words(24, `${font} font-size="15" font-weight="bold" fill="${theme.ink}"`, plane.title)}
${lines.map((line, index) => words(44 + 16 * index, `${font} font-size="12" fill="${theme.muted}"`, line)).join("\n")}
${surfaceSvg(plane, theme, view, { width, height, top, fontFamily: pictureFonts })}
</svg>
`;
}
