// What studies share: results as lines of a file below docs/results, and tables between markers in a page there.
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const pathOf = (name) => fileURLToPath(new URL(`../docs/results/${name}`, import.meta.url));

/**
 * The lines of a file of results, one finished run each, so that a study can be stopped and resumed.
 * @param keyOf what tells one run from another, of a line as of a run that is still to be done
 */
export function resultLines(name, keyOf) {
  const path = pathOf(name);
  const key = (run) => JSON.stringify(keyOf(run));
  const text = () => (existsSync(path) ? readFileSync(path, "utf8") : "");
  const read = () =>
    text()
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  return {
    key,
    read,
    /** Those of the runs that have no line yet; of runs that are the same, the first. */
    missing(runs) {
      const done = new Set(read().map(key));
      return runs.filter((run) => !done.has(key(run)) && done.add(key(run)));
    },
    /** The line of each run that has one, by {@link key}. */
    byKey: () => new Map(read().map((line) => [key(line), line])),
    append: (line) => appendFileSync(path, `${JSON.stringify(line)}\n`),
  };
}

/** Puts a table in place of what stands after its marker in a page, up to the line `<!-- end -->`. */
export function writeTable(page, marker, table) {
  const path = pathOf(page);
  const text = readFileSync(path, "utf8");
  const opening = `<!-- ${marker} -->`;
  const from = text.indexOf(opening) + opening.length;
  const to = text.indexOf("<!-- end -->", from);
  if (from < opening.length || to < 0) throw new Error(`docs/results/${page} has lost its line ${opening}`);
  writeFileSync(path, `${text.slice(0, from)}\n${table}\n${text.slice(to)}`);
}

/** Rows of cells as a table, the first of them its head. */
export function markdown([head, ...rows]) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** Mean ± sample standard deviation. */
export function meanAndDeviation(values, digits) {
  if (values.length === 0) return "–";
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const deviation = values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : Number.NaN;
  return `${mean.toFixed(digits)} ± ${deviation.toFixed(digits)}`;
}
