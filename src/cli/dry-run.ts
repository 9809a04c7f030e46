import { runCostTable } from "../report/run-cost-table.ts";
import type { NamedRun } from "../runs/configuration.ts";
import { measureRunCost, type RunCost } from "../runs/run-cost.ts";
import type { DataPair } from "../tasks/task.ts";
import { interruptedExitCode } from "./interrupt.ts";
import { outputStyle, printJson } from "./output.ts";
import { followParts } from "./progress.ts";

/** Measures what runs would cost and prints it. Nothing is trained or written. Returns the exit code. */
export async function printRunCosts(
  runs: readonly NamedRun[],
  data: DataPair,
  { json, signal }: { json?: boolean; signal: AbortSignal },
): Promise<number> {
  const costs: RunCost[] = [];
  const parts = followParts();
  try {
    for (const { name, configuration } of runs) {
      const label = `measuring ${name}`;
      const started = performance.now();
      const seconds = () => (performance.now() - started) / 1000;
      parts.onPart(label, false);
      costs.push(
        await measureRunCost({
          ...{ name, configuration, data, signal },
          onProgress: (done, total) => {
            const secondsLeft = (seconds() / done) * (total - done);
            parts.onProgress({ done, total, seconds: seconds(), secondsLeft });
          },
        }),
      );
      parts.onPartEnd(label, seconds());
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    return interruptedExitCode;
  } finally {
    parts.close();
  }
  if (json) printJson(costs);
  else process.stdout.write(`${runCostTable(costs, outputStyle())}\n`);
  return 0;
}
