/** The tables of `lowland profile` for the terminal. */
import Table from "cli-table3";
import picocolors from "picocolors";
import type { StepProfile, StepProfileRecord } from "../measure/profile.ts";
import { fixed, percent, significant } from "./numbers.ts";
import { noLines, wrapped } from "./plain-table.ts";
import type { TableOptions } from "./table.ts";

/** Rows of a table at most; the file has them all. */
const shown = { operators: 12, layers: 40 };

/** By part, by operator and by layer, for each kind of step. Fits 100 columns. */
export function profileTables(
  record: StepProfileRecord,
  { color = false, width = 100 }: TableOptions = {},
): string {
  const paint = picocolors.createColors(color);
  const table = (head: string[], rows: string[][]) => {
    const made = new Table({
      chars: noLines,
      style: { "padding-left": 0, "padding-right": 2, head: [], border: [] },
      colAligns: head.map((_, column) => (column === 0 ? "left" : "right")),
    });
    made.push(head.map(paint.bold), ...rows);
    return made
      .toString()
      .split("\n")
      .map((line) => line.trimEnd());
  };
  const blocks = record.steps.flatMap((step) => {
    const total = step.nodes.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
    const times = (milliseconds: number) => [significant(milliseconds), percent(milliseconds / total)];
    const kind = record.steps.length > 1 ? `Step "${step.kind}": ` : "A step takes ";
    return [
      wrapped(
        `${kind}${significant(step.milliseconds)} ms, of which ${significant(total)} ms in ${step.nodes.length} operators.`,
        width,
      ),
      table(
        ["part", "ms", "%"],
        step.parts.map(({ name, milliseconds }) => [name, ...times(milliseconds)]),
      ),
      table(
        ["operator", "nodes", "ms", "%"],
        step.operators
          .slice(0, shown.operators)
          .map(({ name, nodes, milliseconds }) => [name, String(nodes), ...times(milliseconds)]),
      ),
      table(...layerRows(step, times)),
    ];
  });
  return [wrapped(profileLead(record), width), ...blocks].map((lines) => lines.join("\n")).join("\n\n");
}

/** What was profiled, on what. */
export function profileLead(record: StepProfileRecord): string {
  const { model, optimizer, data, batchSize, parameters, threads, cpu, rounds } = record;
  return `${model}, ${optimizer}: ${fixed(parameters, 0)} parameters, ${batchSize} examples of ${data} in a batch; ${threads} ${threads === 1 ? "thread" : "threads"} of ${cpu}, medians over ${rounds} ${rounds === 1 ? "step" : "steps"}.`;
}

/** A column for forward and backward each, over all passes: there may be many. */
function layerRows(step: StepProfile, times: (milliseconds: number) => string[]): [string[], string[][]] {
  const columns = ["forward", "backward"];
  const of = (parts: Readonly<Record<string, number>>, column: string) =>
    Object.entries(parts).reduce((sum, [name, own]) => (name.split(" ")[0] === column ? sum + own : sum), 0);
  return [
    ["layer", ...columns, "ms", "%"],
    step.layers
      .slice(0, shown.layers)
      .map(({ name, milliseconds, parts }) => [
        name,
        ...columns.map((column) => significant(of(parts, column))),
        ...times(milliseconds),
      ]),
  ];
}
