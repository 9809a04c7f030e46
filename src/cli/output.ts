import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileError } from "../common/file-errors.ts";
import { metricText } from "../report/numbers.ts";
import type { RunResult } from "../runs/run.ts";
import type { RunSummary } from "../train/records.ts";
import { duration, say } from "./progress.ts";

/**
 * Keeps a command alive whose output nobody reads any more (`lowland … | head`): it does its work to the end, and its
 * exit code says how that went. Results that cannot be written for another reason fail the command.
 */
export function guardOutputs(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") return;
    const { message } = fileError(error, "standard output could not be written") as Error;
    say(`lowland: ${message}`);
    process.exitCode = 1;
  });
  // There is nowhere left to say what is wrong with standard error.
  process.stderr.on("error", () => {});
}

/** A folder below runs/ that is not there yet: the name itself, or with a number behind. */
export function freshFolder(name: string): string {
  // A network with options has signs in its name that not every file system allows.
  const folder = join("runs", name.replace(/[^\w.-]+/g, "-"));
  for (let number = 2; ; number++) {
    const candidate = number === 2 ? folder : `${folder}-${number - 1}`;
    if (!existsSync(candidate)) return candidate;
  }
}

/** Writes the report of a run or comparison and, unless standard output is for JSON, prints its table and where it is. */
export async function present(folder: string, { json }: { json?: boolean }): Promise<void> {
  const { writeReport } = await import("../report/html.ts");
  const report = await writeReport(folder);
  if (json) return;
  const { readComparison } = await import("../report/read.ts");
  const { comparisonTable } = await import("../report/table.ts");
  const { integersTable } = await import("../report/integers-table.ts");
  const { detailTables } = await import("../report/details-table.ts");
  const comparison = await readComparison(folder);
  const style = outputStyle();
  const files = integersTable(comparison.runs);
  process.stdout.write(`\n${comparisonTable(comparison, style)}\n\n`);
  if (files) process.stdout.write(`${detailTables({ tables: [files] }, style)}\n\n`);
  process.stdout.write(`Report: ${report}\n`);
}

/** How tables are to look on standard output. */
export function outputStyle(): { color: boolean; width: number } {
  const { columns = 100, isTTY } = process.stdout;
  return { color: isTTY === true && process.env.NO_COLOR === undefined, width: isTTY ? columns : 100 };
}

/** How a run ended, in one line. */
export function outcomeLine(label: string, { task, summary, failure, skippedSteps }: RunResult): string {
  if (failure) return `✗ ${label}: ${failure.message}`;
  if (!summary) return `– ${label}: stopped before the end of its first epoch`;
  const mark = summary.status === "finished" ? "✓" : "–";
  const epochs = summary.status === "finished" ? "" : `, stopped after epoch ${summary.epochs}`;
  const skipped = skippedSteps > 0 ? `, ${skippedSteps} steps dropped as not finite` : "";
  const [metric] = task.metrics;
  const valueIn = ({ metrics }: Pick<RunSummary, "metrics">) => metricText(metric, metrics[metric.name], 1);
  const averaged = summary.averaged ? `, averaged ${valueIn(summary.averaged)}` : "";
  const { name = "cpu", adapter = "" } = summary.device ?? {};
  const device = name === "cpu" ? "" : ` on ${name}${adapter && ` (${adapter})`}`;
  return `${mark} ${label}: ${metric.label} ${valueIn(summary)}${averaged}, ${duration(summary.seconds)}${device}${skipped}${epochs}`;
}

/** After Ctrl-C. */
export function sayHowToResume(folder: string): void {
  say(`The same command with --out ${folder} --resume goes on from here.`);
}

/** Prints a document on standard output. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, undefined, 2)}\n`);
}
