/** The report's page: what the runs came to in tables and sentences, around its charts. */
import { chartFigures } from "./charts.ts";
import { columnsOf, sharpnessBasis, sharpnessNote, statusNote } from "./columns.ts";
import { reportData } from "./data.ts";
import { describe } from "./description.ts";
import { detailFigures } from "./details-figures.ts";
import { detailSections, detailTable, type Pictures, section } from "./details-section.ts";
import { epochsCsv, resultsCsv } from "./downloads.ts";
import { pageDocument } from "./drawing/page-document.ts";
import { swatch } from "./drawing/swatch.ts";
import { escapeHtml, prose } from "./escape.ts";
import { findingsOf } from "./findings.ts";
import { integersTable } from "./integers-table.ts";
import { quantizationFigures, quantizationSections } from "./quantization-page.ts";
import { type Comparison, metricsOfRuns, type Run } from "./read.ts";
import { environmentOf, type Setting, settingsOf } from "./settings.ts";

/**
 * The whole document.
 * @param code the page's scripts
 * @param pictures those of the samples that are shown
 */
export function renderPage(
  { name, createdAt, runs, ...comparison }: Comparison,
  code: readonly string[],
  pictures: Pictures = new Map(),
): string {
  const data = reportData({ ...comparison, name, createdAt, runs });
  const quantization = runs.length === 1 ? runs[0].quantization : undefined;
  return pageDocument(
    {
      kind: `Lowland report${createdAt ? ` · ${dateText(createdAt)}` : ""}`,
      title: name,
      lead: describe(runs),
      before: `${results(runs)}\n${files(runs)}\n${findings(runs)}`,
      figures: [
        ...chartFigures(data, metricsOfRuns(runs)),
        ...detailFigures(runs),
        ...(quantization ? quantizationFigures(quantization) : []),
      ],
      after: `${quantization ? quantizationSections(quantization, runs[0].task) : ""}
${detailSections(runs, pictures)}
${howItWasRun(runs)}\n${downloads}`,
      files: {
        results: { ending: "results.csv", text: resultsCsv(data) },
        epochs: { ending: "epochs.csv", text: epochsCsv(data) },
      },
      data,
    },
    code,
  );
}

function results(runs: Run[]): string {
  return `<section aria-labelledby="results">
<h2 id="results">Results</h2>
${resultsTable(runs)}
</section>`;
}

/** Of one run its own section holds more. */
function files(runs: Run[]): string {
  const table = runs.length > 1 ? integersTable(runs) : undefined;
  return table ? section(table, detailTable(table)) : "";
}

function findings(runs: Run[]): string {
  const paragraphs = findingsOf(runs).map(
    ({ topic, text }) => `<p><strong>${escapeHtml(topic)}.</strong> ${prose(text)}</p>`,
  );
  return `<section aria-labelledby="seen">
<h2 id="seen">What is seen here</h2>
${paragraphs.join("\n")}
</section>`;
}

function howItWasRun(runs: Run[]): string {
  return `<section aria-labelledby="how">
<h2 id="how">How it was run</h2>
${settingsDetails("Configuration", settingsOf(runs), runs)}
${settingsDetails("Versions and machine", environmentOf(runs), runs)}
</section>`;
}

const downloads = `<section aria-labelledby="data">
<h2 id="data">Data</h2>
<p>The numbers in this page, for other programs. Of the single steps it holds medians and samples; every step stands in each run's <code>metrics.jsonl</code>.</p>
<p class="downloads">
<button type="button" data-download="results">Results (CSV)</button>
<button type="button" data-download="epochs">Every epoch (CSV)</button>
<button type="button" data-download="json">Everything here (JSON)</button>
</p>
</section>`;

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

function dateText(iso: string): string {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? iso : `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
