import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { contentPolicy } from "../content-policy.ts";
import { escapeHtml, inlineJson, inlineScript, prose } from "../escape.ts";
import { pageStyle } from "../page-style.ts";
import type { Chart, LineChart, MatrixChart, PlaneChart } from "./chart.ts";
import { drawingTheme } from "./colors.ts";
import { contourLines } from "./contours.ts";
import { pageScript } from "./page-script.ts";
import { swatch } from "./swatch.ts";

// One HTML file that holds all it needs and loads nothing: charts with hover values, surfaces one can turn, data to
// download.

/** Charts that belong together, with words about them. */
export interface Figure {
  id: string;
  title: string;
  /** Plain text above the charts. */
  text: readonly string[];
  charts: readonly Chart[];
  /** Symbols that the charts use. */
  glossary?: readonly (readonly [symbol: string, meaning: string])[];
  /** Small charts of the same lines, with one legend above that hides a line in every chart of the page. */
  compact?: boolean;
}

export interface Page {
  /** What kind of page it is, above its title. */
  kind: string;
  title: string;
  /** One or two sentences, as plain text. */
  lead: string;
  figures: readonly Figure[];
  /** Markup before and after the figures. */
  before?: string;
  after: string;
  /** Texts that buttons download, by the button's `data-download`. */
  files?: Readonly<Record<string, { ending: string; text: string }>>;
  /** What the JSON download holds. */
  data: unknown;
}

/** The files of this folder that draw in the browser as they do here, in the order they need one another. */
const drawingFiles = [
  "text-width",
  "words",
  "frame",
  "color-scale",
  "line-option",
  "bar-option",
  "plane-option",
  "matrix-option",
  "option",
  "surface-svg",
  "table",
];

/** ECharts, and the drawing code with what ties it to the page. */
export async function pageScripts(): Promise<string[]> {
  const library = createRequire(import.meta.url).resolve("echarts/dist/echarts.min.js");
  const own = await Promise.all(
    drawingFiles.map((name) => readFile(new URL(`./${name}.js`, import.meta.url), "utf8")),
  );
  const drawing = own.map(withoutModules).join("\n");
  return [await readFile(library, "utf8"), `"use strict";\n(() => {\n${drawing}\n${pageScript}\n})();`];
}

/** A module's code for a script that holds all of them one after another. */
function withoutModules(code: string): string {
  return code
    .replaceAll(/^import\s[^;]*;\n/gm, "")
    .replaceAll(/^export (?=(async )?(function|const|class) )/gm, "");
}

/** The whole document. Every string from outside passes `escapeHtml` or `inlineJson`. */
export function pageDocument(page: Page, code: readonly string[]): string {
  const { kind, title, lead, figures, before = "", after, files = {}, data } = page;
  const scripts = code.map(inlineScript);
  const charts = figures.flatMap((figure) => figure.charts);
  const contours = charts
    .filter((chart): chart is PlaneChart => chart.kind === "plane")
    .map((plane) => [plane.id, contourLines(plane)] as const);
  const themes = { light: drawingTheme("light"), dark: drawingTheme("dark") };
  const held = { title, charts, contours: Object.fromEntries(contours), themes, files, data };
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${contentPolicy(scripts)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)} · Lowland</title>
<style>${pageStyle}</style>
</head>
<body>
<header>
<p class="kind">${escapeHtml(kind)}</p>
<h1>${escapeHtml(title)}</h1>
<p class="lead">${prose(lead)}</p>
</header>
<main>
${before}
${figures.length > 0 ? "<noscript><p>The charts need JavaScript; everything else is here.</p></noscript>" : ""}
${figures.map(section).join("\n")}
${after}
</main>
<script type="application/json" id="page-data">${inlineJson(held)}</script>
${scripts.map((script) => `<script>${script}</script>`).join("\n")}
</body>
</html>
`;
}

function section({ id, title, text, charts, glossary = [], compact = false }: Figure): string {
  const columns = charts.length === 1 ? "one" : compact && charts.length % 3 === 0 ? "three" : "two";
  const terms = glossary.map(
    ([symbol, meaning]) => `<div><dt>${escapeHtml(symbol)}</dt><dd>${escapeHtml(meaning)}</dd></div>`,
  );
  return `<section aria-labelledby="${escapeHtml(id)}">
<h2 id="${escapeHtml(id)}">${escapeHtml(title)}</h2>
${text.map((words) => `<p${compact ? ' class="note"' : ""}>${prose(words)}</p>`).join("\n")}
${terms.length > 0 ? `<dl class="glossary" aria-label="Symbols">${terms.join("")}</dl>` : ""}
${axisChoice(id, charts)}
${compact ? legend(charts) : ""}
<div class="panels ${columns}${compact ? " compact" : ""}">
${charts.map((chart) => panel(chart, compact)).join("\n")}
</div>
</section>`;
}

/** The horizontal axes to choose from, where charts have several. */
function axisChoice(id: string, charts: readonly Chart[]): string {
  const axes = charts.filter(isLines).flatMap(({ x, views = [] }) => [x, ...views.map((view) => view.x)]);
  const names = [...new Set(axes.map(({ name }) => name))];
  if (names.length < 2) return "";
  const choices = names.map(
    (name, index) =>
      `<label><input type="radio" name="axis-${escapeHtml(id)}" value="${escapeHtml(name)}"${index === 0 ? " checked" : ""}> ${escapeHtml(name)}</label>`,
  );
  return `<fieldset class="axis"><legend>Against</legend>${choices.join("")}</fieldset>`;
}

/** A button for each line that any of the charts has. */
function legend(charts: readonly Chart[]): string {
  const styles = new Map(
    charts.filter(isLines).flatMap(({ lines }) => lines.map(({ name, style }) => [name, style])),
  );
  const buttons = [...styles]
    .sort(([, a], [, b]) => a - b)
    .map(
      ([name, style]) =>
        `<button type="button" aria-pressed="true" data-line="${escapeHtml(name)}" title="Show or hide">${swatch(style)}<span>${prose(name)}</span></button>`,
    );
  return `<div class="legend" role="group" aria-label="Lines: show or hide">${buttons.join("")}</div>`;
}

function isLines(chart: Chart): chart is LineChart {
  return chart.kind === "lines";
}

/** In rem: a line for each row, and room for names. */
function matrixHeight({ rows }: MatrixChart): number {
  return 8 + 1.6 * Math.max(6, rows.length);
}

function panel(chart: Chart, compact: boolean): string {
  const { id, title, note, alternative } = chart;
  const height = chart.kind === "matrix" ? ` style="height:${matrixHeight(chart)}rem"` : "";
  const drawn = `<div class="drawing" id="chart-${escapeHtml(id)}"${height} role="img" aria-label="${escapeHtml(alternative)}"></div>`;
  if (compact) {
    const small = note ? ` <small>${escapeHtml(note)}</small>` : "";
    return `<figure>\n<figcaption>${escapeHtml(title)}${small}</figcaption>\n${drawn}\n</figure>`;
  }
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
<p class="downloads small"><button type="button" data-download="csv" data-chart="${escapeHtml(id)}">Data (CSV)</button></p>
</figure>`;
}
