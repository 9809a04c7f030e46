import type { DetailSamples, DetailTable, DetailValue } from "../tasks/details.ts";
import { columnHeading, detailText, isTextColumn } from "./details.ts";
import { escapeHtml, prose } from "./escape.ts";
import { capitalized, isNumber } from "./numbers.ts";
import type { Run } from "./read.ts";

// The tables and samples of evaluations as markup.

/** Samples that are shown of each run: of one, and of several. */
const shownSamples = { one: 20, several: 6 };

/** Pictures as data URIs, by their place in {@link pictureKey}. */
export type Pictures = ReadonlyMap<string, string>;

/** The pictures that a page shows, each with its run and its path in the run's folder. */
export function shownPictures(runs: readonly Run[]): { run: Run; picture: string }[] {
  return runs.flatMap((run) =>
    (run.evaluation?.details.samples ?? []).flatMap(({ items }) =>
      items.slice(0, shownCount(runs)).map(({ picture }) => ({ run, picture })),
    ),
  );
}

export function pictureKey(run: Run, picture: string): string {
  return `${run.name}/${picture}`;
}

/** A section for each table and each set of samples that any of the runs has. */
export function detailSections(runs: readonly Run[], pictures: Pictures): string {
  const tables = collected(runs, (run) => run.evaluation?.details.tables ?? []);
  const samples = collected(runs, (run) => run.evaluation?.details.samples ?? []);
  return [
    ...tables.map((own) => tableSection(own, runs)),
    ...samples.map((own) => sampleSection(own, runs, pictures)),
  ].join("\n");
}

interface Found<T> {
  run: Run;
  part: T;
}

/** Parts of one id, of all runs that have it. */
function collected<T extends { id: string }>(
  runs: readonly Run[],
  of: (run: Run) => readonly T[],
): Found<T>[][] {
  const all = runs.flatMap((run) => of(run).map((part) => ({ run, part })));
  const ids = [...new Set(all.map(({ part }) => part.id))];
  return ids.map((id) => all.filter(({ part }) => part.id === id));
}

/** Markup under a heading. */
export function section(
  { id, title, note }: { id: string; title: string; note?: string },
  content: string,
): string {
  const name = `details-${escapeHtml(id)}`;
  return `<section aria-labelledby="${name}">
<h2 id="${name}">${escapeHtml(title)}</h2>
${note ? `<p class="note">${prose(note)}</p>` : ""}
${content}
</section>`;
}

function tableSection(found: readonly Found<DetailTable>[], runs: readonly Run[]): string {
  const [{ part }] = found;
  if (runs.length === 1) return section(part, detailTable(part));
  const own = found.map(
    ({ run, part: table }) =>
      `<details><summary>${prose(run.label)}</summary>\n${detailTable(table)}\n</details>`,
  );
  return section(part, `${comparedTable(found)}\n${own.join("\n")}`);
}

export function detailTable(table: DetailTable): string {
  const { title, rowsAre, columns, rows } = table;
  const side = columns.map((_, at) => (isTextColumn(table, at) ? ' class="text"' : ""));
  const heading = columns.map(
    (column, at) =>
      `<th scope="col"${side[at]}${column.meaning ? ` title="${escapeHtml(column.meaning)}"` : ""}>${escapeHtml(columnHeading(column))}</th>`,
  );
  const lines = rows.map(({ name, values }) => {
    const cells = columns.map(
      (column, at) => `<td${side[at]}>${escapeHtml(detailText(column, values[at]))}</td>`,
    );
    return `<tr><th scope="row">${escapeHtml(name)}</th>${cells.join("")}</tr>`;
  });
  return scrolled(title, `<th scope="col">${escapeHtml(rowsAre)}</th>${heading.join("")}`, lines);
}

/** The column that runs are compared by, a column for each run. Nothing for a table that has none. */
function comparedTable(found: readonly Found<DetailTable>[]): string {
  const [{ part: first }] = found;
  const place = first.columns.findIndex(({ name }) => name === first.compared);
  if (place < 0) return "";
  const column = first.columns[place];
  const names = [...new Set(found.flatMap(({ part }) => part.rows.map(({ name }) => name)))];
  const valuesOf = found.map(
    ({ part }) => new Map(part.rows.map(({ name, values }) => [name, values[place]])),
  );
  const lines = names.map((name) => {
    const values = valuesOf.map((own) => own.get(name) ?? null);
    const best = bestOf(column, values);
    const cells = values.map((value) => {
      const text = escapeHtml(detailText(column, value));
      return text === best ? `<td class="best"><strong>${text}</strong></td>` : `<td>${text}</td>`;
    });
    return `<tr><th scope="row">${escapeHtml(name)}</th>${cells.join("")}</tr>`;
  });
  const title = `${capitalized(columnHeading(column))} by ${first.rowsAre}`;
  const heading = found.map(({ run }) => `<th scope="col">${prose(run.label)}</th>`).join("");
  return `<h3>${escapeHtml(title)}</h3>\n${scrolled(title, `<th scope="col">${escapeHtml(first.rowsAre)}</th>${heading}`, lines)}`;
}

/** The text of the best value, where values differ and one is better than another. */
function bestOf(column: DetailTable["columns"][number], values: readonly DetailValue[]): string | undefined {
  const numbers = values.filter(isNumber);
  if (!column.better || numbers.length < 2) return undefined;
  const text = (value: number) => detailText(column, value);
  const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
  if (text(low) === text(high)) return undefined;
  return text(column.better === "higher" ? high : low);
}

function scrolled(name: string, heading: string, lines: readonly string[]): string {
  return `<div class="scroll tall" role="region" aria-label="${escapeHtml(name)}" tabindex="0">
<table class="details">
<thead><tr>${heading}</tr></thead>
<tbody>
${lines.join("\n")}
</tbody>
</table>
</div>`;
}

function shownCount(runs: readonly Run[]): number {
  return runs.length === 1 ? shownSamples.one : shownSamples.several;
}

function sampleSection(
  found: readonly Found<DetailSamples<string>>[],
  runs: readonly Run[],
  pictures: Pictures,
): string {
  const grids = found.map(({ run, part }) => {
    const items = part.items.slice(0, shownCount(runs)).map(({ index, values, picture }) => {
      const facts = part.columns.map((column, at) => factText(column, values[at]));
      return card(pictures.get(pictureKey(run, picture)), index, facts);
    });
    const isWide = (part.panels ?? 1) > 1;
    const grid = `${legendOf(part.legend ?? [])}<ul class="samples${isWide ? " wide" : ""}">\n${items.join("\n")}\n</ul>`;
    return runs.length === 1 ? grid : `<h3>${prose(run.label)}</h3>\n${grid}`;
  });
  return section(found[0].part, grids.join("\n"));
}

/** What the colors in the pictures stand for. */
function legendOf(entries: NonNullable<DetailSamples["legend"]>): string {
  if (entries.length === 0) return "";
  const items = entries.map(({ label, color }) => {
    const square = `<svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true"><rect x="0.5" y="0.5" width="11" height="11" fill="${color ? escapeHtml(color) : "none"}" stroke="currentColor"/></svg>`;
    return `<li>${square}${escapeHtml(label)}${color ? "" : " (no color)"}</li>`;
  });
  return `<ul class="key">${items.join("")}</ul>\n`;
}

function factText(column: DetailTable["columns"][number], value: DetailValue): string {
  const text = detailText(column, value);
  return `${column.label} ${text}${column.unit === "" || text === "–" ? "" : ` ${column.unit}`}`;
}

function card(picture: string | undefined, index: number, facts: readonly string[]): string {
  const words = facts.map((fact) => `<span>${prose(fact)}</span>`).join("");
  const shown = picture
    ? `<img src="${picture}" alt="Test sample ${index}">`
    : `<span class="missing">The picture of sample ${index} is missing</span>`;
  return `<li title="Test sample ${index}">${shown}${words}</li>`;
}
