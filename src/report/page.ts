/** The page's HTML. Every string from outside passes `escapeHtml` or `inlineJson`. */
import { type ChartSection, chartSections, type Panel } from "./charts.ts";
import { columnsOf, sharpnessBasis, sharpnessNote, statusNote } from "./columns.ts";
import { contentPolicy } from "./content-policy.ts";
import { reportData } from "./data.ts";
import { describe } from "./description.ts";
import { escapeHtml, inlineJson, inlineScript } from "./escape.ts";
import { findingsOf } from "./findings.ts";
import { pageScript } from "./page-script.ts";
import { pageStyle } from "./page-style.ts";
import { runStyle } from "./palette.ts";
import { type Comparison, metricsOfRuns, type Run } from "./read.ts";
import { environmentOf, type Setting, settingsOf } from "./settings.ts";

/**
 * The whole document.
 * @param library source of ECharts, put into the page as it is.
 */
export function renderPage(comparison: Comparison, library: string): string {
  const { runs } = comparison;
  const data = reportData(comparison);
  const sections = chartSections(data, metricsOfRuns(runs));
  const title = escapeHtml(comparison.name);
  const scripts = [inlineScript(library), inlineScript(pageScript)];
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${contentPolicy(scripts)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} · Lowland report</title>
<style>${pageStyle(runs.length)}</style>
</head>
<body>
<header>
<p class="kind">Lowland report${comparison.createdAt ? ` · ${escapeHtml(dateText(comparison.createdAt))}` : ""}</p>
<h1>${title}</h1>
<p class="lead">${prose(describe(runs))}</p>
</header>
<main>
<section aria-labelledby="results">
<h2 id="results">Results</h2>
${resultsTable(runs)}
</section>
<section aria-labelledby="seen">
<h2 id="seen">What is seen here</h2>
${findingsOf(runs)
  .map(({ topic, text }) => `<p><strong>${escapeHtml(topic)}.</strong> ${prose(text)}</p>`)
  .join("\n")}
</section>
${sections.length > 0 ? "<noscript><p>The charts need JavaScript; everything else is here.</p></noscript>" : ""}
${sections.map((section) => chartSection(section, runs)).join("\n")}
<section aria-labelledby="how">
<h2 id="how">How it was run</h2>
${settingsDetails("Configuration", settingsOf(runs), runs)}
${settingsDetails("Versions and machine", environmentOf(runs), runs)}
</section>
<section aria-labelledby="data">
<h2 id="data">Data</h2>
<p>The numbers in this page, for other programs. Of the single steps it holds medians and samples; every step stands in each run's <code>metrics.jsonl</code>.</p>
<p class="downloads">
<button type="button" data-download="results">Results (CSV)</button>
<button type="button" data-download="epochs">Every epoch (CSV)</button>
<button type="button" data-download="json">Everything here (JSON)</button>
</p>
</section>
</main>
<script type="application/json" id="report-data">${inlineJson(data)}</script>
<script type="application/json" id="report-charts">${inlineJson({ sections, styles: runs.map((_, index) => runStyle(index)) })}</script>
${scripts.map((script) => `<script>${script}</script>`).join("\n")}
</body>
</html>
`;
}

function resultsTable(runs: Run[]): string {
  const columns = columnsOf(runs);
  const heading = columns
    .map(
      (column) =>
        `<th scope="col" title="${escapeHtml(column.meaning)}">${column.heading.map(escapeHtml).join("<br>")}</th>`,
    )
    .join("");
  const rows = runs.map((run, index) => {
    const status = statusNote(run);
    const cells = columns.map((column) => {
      const cell = escapeHtml(column.cells[index]!);
      return column.best[index] ? `<td class="best"><strong>${cell}</strong></td>` : `<td>${cell}</td>`;
    });
    const note = status ? ` <small>${escapeHtml(status)}</small>` : "";
    return `<tr><th scope="row"><span class="named">${swatch(index)}<span>${prose(run.label)}${note}</span></span></th>${cells.join("")}</tr>`;
  });
  const anyBest = columns.some((column) => column.best.includes(true));
  const notes = [sharpnessNote(sharpnessBasis(runs)), anyBest && "Bold: the best of its column."].filter(
    Boolean,
  );
  const meanings = columns
    .map(
      (column) =>
        `<div><dt>${prose(column.heading.join(" "))}</dt><dd>${escapeHtml(column.meaning)}</dd></div>`,
    )
    .join("");
  return `<div class="scroll" role="region" aria-labelledby="results" tabindex="0">
<table class="results">
<thead><tr><th scope="col">optimizer</th>${heading}</tr></thead>
<tbody>
${rows.join("\n")}
</tbody>
</table>
</div>
${notes.length > 0 ? `<p class="note">${escapeHtml(notes.join(" "))}</p>` : ""}
${columns.length > 0 ? `<details><summary>What the columns mean</summary><dl class="glossary">${meanings}</dl></details>` : ""}`;
}

function chartSection(section: ChartSection, runs: Run[]): string {
  const { id, notes, axes, panels, glossary } = section;
  const note = notes
    .filter(Boolean)
    .map((text) => `<p class="note">${prose(text)}</p>`)
    .join("\n");
  const terms = glossary.map(
    ([symbol, meaning]) => `<div><dt>${escapeHtml(symbol)}</dt><dd>${escapeHtml(meaning)}</dd></div>`,
  );
  return `<section aria-labelledby="${id}" class="charts">
<h2 id="${id}">${escapeHtml(section.title)}</h2>
${note}
${terms.length > 0 ? `<dl class="glossary" aria-label="Symbols">${terms.join("")}</dl>` : ""}
${axes.length > 1 ? axisChoice(section) : ""}
${legend(section, runs)}
<div class="panels ${panels.length % 3 === 0 ? "three" : "two"}">
${panels.map(figure).join("\n")}
</div>
</section>`;
}

const axisLabels: Record<string, string> = {
  epoch: "epochs",
  gradientEvaluations: "gradient evaluations",
  trainingSeconds: "seconds of training",
};

function axisChoice({ id, axes }: ChartSection): string {
  const choices = axes.map(
    (axis, index) =>
      `<label><input type="radio" name="axis-${id}" data-section="${id}" value="${axis}"${index === 0 ? " checked" : ""}> ${axisLabels[axis] ?? axis}</label>`,
  );
  return `<fieldset class="axis"><legend>Against</legend>${choices.join("")}</fieldset>`;
}

/** Only the runs that the section has lines for. */
function legend({ panels }: ChartSection, runs: Run[]): string {
  const drawn = runs.flatMap((run, index) => {
    if (!panels.some((panel) => panel.runs.includes(index))) return [];
    return [
      `<button type="button" aria-pressed="true" data-run="${index}" title="Show or hide">${swatch(index)}<span>${prose(run.label)}</span></button>`,
    ];
  });
  return `<div class="legend" role="group" aria-label="Runs: show or hide">${drawn.join("")}</div>`;
}

function figure(panel: Panel): string {
  const remarks = [
    panel.reference && `thin line: ${panel.reference.label}`,
    panel.range && `scaled to epochs ${panel.range.fromEpoch} and later`,
  ].filter((remark) => remark !== undefined);
  const small = remarks.length > 0 ? ` <small>${escapeHtml(remarks.join("; "))}</small>` : "";
  return `<figure>
<figcaption>${escapeHtml(panel.title)}${small}</figcaption>
<div class="chart" id="chart-${panel.id}" role="img" aria-label="${escapeHtml(panel.alternative)}"></div>
</figure>`;
}

/** The run's line and symbol, as the charts draw them. */
function swatch(index: number): string {
  const { dash, symbol } = runStyle(index);
  return `<svg class="swatch run-${index}" viewBox="0 0 34 10" width="34" height="10" aria-hidden="true"><path d="M0 5H34" fill="none" stroke="currentColor" stroke-width="2" stroke-dasharray="${dash.join(" ") || "none"}"/><path transform="translate(13 1) scale(0.8)" d="${symbol}" fill="currentColor"/></svg>`;
}

function settingsDetails(title: string, settings: Setting[], runs: Run[]): string {
  if (settings.length === 0) return "";
  const differing = settings.filter((setting) => !setting.shared);
  const shared = settings.filter((setting) => setting.shared);
  const recorded = runs.findIndex((run) => run.record);
  const sharedRows = shared.map(
    ({ key, values }) =>
      `<tr><th scope="row">${escapeHtml(key)}</th><td>${escapeHtml(values[recorded]!)}</td></tr>`,
  );
  const runHeadings = runs.map((run) => `<th scope="col">${prose(run.label)}</th>`).join("");
  const differingRows = differing.map(
    ({ key, values }) =>
      `<tr><th scope="row">${escapeHtml(key)}</th>${values.map((value) => `<td>${escapeHtml(value)}</td>`).join("")}</tr>`,
  );
  const differingTable = `<h3>Differing</h3><div class="scroll" role="region" aria-label="${escapeHtml(title)}, differing" tabindex="0"><table class="settings"><thead><tr><th scope="col">setting</th>${runHeadings}</tr></thead><tbody>${differingRows.join("")}</tbody></table></div>`;
  const sharedTable = `${runs.length > 1 ? "<h3>The same in all runs</h3>" : ""}<table class="settings"><tbody>${sharedRows.join("")}</tbody></table>`;
  return `<details><summary>${escapeHtml(title)}</summary>
${differing.length > 0 ? differingTable : ""}
${shared.length > 0 ? sharedTable : ""}
</details>`;
}

/** A number is not parted from the unit after it or from the radius it belongs to. */
function prose(text: string): string {
  return escapeHtml(
    text.replaceAll(/(\d) (%|s\b)/g, "$1\u00a0$2").replaceAll(/(ρ\w*( =)?) (?=\d)/g, "$1\u00a0"),
  );
}

function dateText(iso: string): string {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? iso : `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
