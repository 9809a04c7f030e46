import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { replaceFile } from "../../common/files.ts";
import { contentPolicy } from "../content-policy.ts";
import { escapeHtml, inlineJson, inlineScript } from "../escape.ts";
import { pageStyle } from "../page-style.ts";
import type { Chart, PlaneChart } from "./chart.ts";
import { drawingTheme } from "./colours.ts";
import { contourLines } from "./contours.ts";
import { figurePageScript } from "./figure-page-script.ts";

/** Charts that belong together, with words about them. */
export interface Figure {
  id: string;
  title: string;
  /** Plain text above the charts. */
  text: readonly string[];
  charts: readonly Chart[];
}

export interface FigurePage {
  title: string;
  /** One or two sentences: what was measured of what. */
  lead: string;
  figures: readonly Figure[];
  /** What else the JSON download holds. */
  data?: unknown;
}

/** Writes one HTML file that holds all it needs: charts with hover values, surfaces one can turn, data to download. */
export async function writeFigurePage(path: string, page: FigurePage): Promise<void> {
  await replaceFile(path, renderFigurePage(page, await figureScripts()));
}

/** The files of this folder that draw in the browser as they do here, in the order they need one another. */
const drawingFiles = [
  "text-width",
  "words",
  "frame",
  "colour-scale",
  "line-option",
  "bar-option",
  "plane-option",
  "option",
  "surface-svg",
  "table",
];

/** ECharts, and the drawing code with what ties it to the page. */
export async function figureScripts(): Promise<string[]> {
  const library = createRequire(import.meta.url).resolve("echarts/dist/echarts.min.js");
  const own = await Promise.all(
    drawingFiles.map((name) => readFile(new URL(`./${name}.js`, import.meta.url), "utf8")),
  );
  const drawing = own.map(withoutModules).join("\n");
  return [await readFile(library, "utf8"), `"use strict";\n(() => {\n${drawing}\n${figurePageScript}\n})();`];
}

/** A module's code for a script that holds all of them one after another. */
function withoutModules(code: string): string {
  return code
    .replaceAll(/^import\s[^;]*;\n/gm, "")
    .replaceAll(/^export (?=(async )?(function|const|class) )/gm, "");
}

export function renderFigurePage(
  { title, lead, figures, data }: FigurePage,
  code: readonly string[],
): string {
  const scripts = code.map(inlineScript);
  const charts = figures.flatMap((figure) => figure.charts);
  const contours = charts
    .filter((chart): chart is PlaneChart => chart.kind === "plane")
    .map((plane) => [plane.id, contourLines(plane)] as const);
  const themes = { light: drawingTheme("light"), dark: drawingTheme("dark") };
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${contentPolicy(scripts)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)} · Lowland</title>
<style>${pageStyle(0)}
${rules}</style>
</head>
<body>
<header>
<p class="kind">Lowland</p>
<h1>${escapeHtml(title)}</h1>
<p class="lead">${escapeHtml(lead)}</p>
</header>
<main>
<noscript><p>The charts need JavaScript.</p></noscript>
${figures.map(section).join("\n")}
<section aria-labelledby="data">
<h2 id="data">Data</h2>
<p class="downloads"><button type="button" data-download="json">All numbers of this page (JSON)</button></p>
</section>
</main>
<script type="application/json" id="figure-data">${inlineJson({ title, charts, contours: Object.fromEntries(contours), themes, data })}</script>
${scripts.map((script) => `<script>${script}</script>`).join("\n")}
</body>
</html>
`;
}

function section({ id, title, text, charts }: Figure): string {
  return `<section aria-labelledby="${escapeHtml(id)}">
<h2 id="${escapeHtml(id)}">${escapeHtml(title)}</h2>
${text.map((words) => `<p>${escapeHtml(words)}</p>`).join("\n")}
<div class="${charts.length > 1 ? "panels two" : "panels one"}">
${charts.map(panel).join("\n")}
</div>
</section>`;
}

function panel(chart: Chart): string {
  const { id, title, note, alternative } = chart;
  const download = `<button type="button" data-download="csv" data-chart="${escapeHtml(id)}">Data (CSV)</button>`;
  const drawn = `<div class="drawing" id="chart-${escapeHtml(id)}" role="img" aria-label="${escapeHtml(alternative)}"></div>`;
  const surface =
    chart.kind === "plane"
      ? `<div class="drawing surface" id="surface-${escapeHtml(id)}" tabindex="0" role="img" aria-label="${escapeHtml(`The same as a surface. ${alternative}`)}"></div>
<p class="note">Drag the surface to turn it, or use the arrow keys; point at it for values.</p>`
      : "";
  return `<figure>
<figcaption>${escapeHtml(title)}</figcaption>
${note ? `<p class="note">${escapeHtml(note)}</p>` : ""}
${drawn}
${surface}
<p class="downloads small">${download}</p>
</figure>`;
}

const rules = `
.drawing{height:25rem;position:relative}
.panels.one{grid-template-columns:minmax(0,52rem)}
.surface{cursor:grab;touch-action:pan-y}
.surface:active{cursor:grabbing}
.surface svg{display:block;width:100%;height:100%}
.surface:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.surface .value{position:absolute;pointer-events:none;background:var(--page);border:1px solid var(--line);border-radius:.3rem;padding:.3rem .5rem;font-size:.85rem;line-height:1.4}
.small button{font-size:.82rem;padding:.2rem .6rem}
@media (max-width:32rem){.drawing{height:22rem}}
@media print{.drawing{height:16rem}.drawing>div,.drawing svg{width:100%!important;height:100%!important}}`;
