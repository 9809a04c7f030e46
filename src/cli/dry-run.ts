import { runCostTable } from "../report/run-cost-table.ts";
import type { NamedRun } from "../runs/configuration.ts";
import { measureRunCost, type RunCost } from "../runs/run-cost.ts";
import type { DataPair } from "../tasks/task.ts";
import { interruptedExitCode } from "./interrupt.ts";
import { outputStyle, printJson } from "./output.ts";
import { say, withProgress } from "./progress.ts";

/** Measures what runs would cost and prints it. Nothing is trained or written. Returns the exit code. */
export async function printRunCosts(
  runs: readonly NamedRun[],
  data: DataPair,
  { json, signal }: { json?: boolean; signal: AbortSignal },
): Promise<number> {
  const elsewhere = runs.find(({ configuration: { device = "cpu" } }) => device !== "cpu");
  if (elsewhere)
    say(`--dry-run measures on the CPU; on ${elsewhere.configuration.device} the times are others`);
  const command = await commandSeconds();
  const costs: RunCost[] = [];
  try {
    for (const { name, configuration } of runs) {
      const request = { name, configuration, data, signal };
      const cost = await withProgress(`measuring ${name}`, (onProgress) =>
        measureRunCost({ ...request, onProgress }),
      );
      costs.push(costs.length === 0 ? withCommand(cost, command) : cost);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    return interruptedExitCode;
  }
  if (json) printJson(costs);
  else process.stdout.write(`${runCostTable(costs, outputStyle())}\n`);
  return 0;
}

/** What the command takes besides its runs: from its start to here, and loading what the report is made with. */
async function commandSeconds(): Promise<number> {
  await import("../report/html.ts");
  const { pageScripts } = await import("../report/drawing/page-document.ts");
  await pageScripts();
  return performance.now() / 1000;
}

function withCommand(cost: RunCost, command: number): RunCost {
  return { ...cost, seconds: { ...cost.seconds, command, total: cost.seconds.total + command } };
}
