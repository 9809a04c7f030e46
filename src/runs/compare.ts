import { rm } from "node:fs/promises";
import { join } from "node:path";
import { UserError } from "../common/errors.ts";
import type { DataPair } from "../tasks/task.ts";
import type { ComparisonRecord } from "../train/records.ts";
import { type NamedRun, runName } from "./configuration.ts";
import { type RunResult, runTask } from "./run.ts";
import { type ExistingRun, exists, makeFolder, readJson, writeJson } from "./run-folder.ts";
import type { RunHooks } from "./run-request.ts";

export interface CompareOptions {
  name: string;
  runs: readonly NamedRun[];
  data: DataPair;
  /** The folder to write to: one sub-folder a run. */
  out: string;
  /** What to do when it already holds a comparison. Default: refuse. With "resume" finished runs are not repeated. */
  existing?: ExistingRun;
  /** Called before each run; what it returns follows that run. */
  onRun?: (run: NamedRun, index: number) => Omit<RunHooks, "out" | "existing" | "signal">;
  /** Called after each run, whether it was finished, interrupted or failed, and awaited. */
  onRunEnd?: (run: NamedRun, result: RunResult) => void | Promise<void>;
  signal?: AbortSignal;
}

/**
 * Trains the runs of a comparison one after another, on the same data. Their seeds decide initial weights, order,
 * noise and augmentation, so runs that share a seed share all of these. Returns whether all runs were reached.
 */
export async function compare(options: CompareOptions): Promise<boolean> {
  const { name, runs, data, out, existing = "refuse", onRun, onRunEnd, signal } = options;
  await openFolder(
    out,
    { name, createdAt: new Date().toISOString(), runs: runs.map((run) => run.name) },
    existing,
  );
  for (const [index, run] of runs.entries()) {
    if (signal?.aborted) return false;
    const result = await runTask({
      ...run,
      ...onRun?.(run, index),
      data,
      signal,
      out: join(out, run.name),
      existing: existing === "refuse" ? "overwrite" : existing,
    });
    await onRunEnd?.(run, result);
  }
  return !signal?.aborted;
}

async function openFolder(out: string, record: ComparisonRecord, existing: ExistingRun): Promise<void> {
  await makeFolder(out);
  const path = join(out, "comparison.json");
  if (await exists(path)) {
    if (existing === "refuse") {
      throw new UserError(
        `${out} already holds a comparison; go on with it with --resume, replace it with --overwrite, or name another folder with --out`,
      );
    }
    if (existing === "resume") {
      const earlier = await readJson<ComparisonRecord>(path);
      const runs = listOf(earlier);
      if (runs.join() === record.runs.join()) return;
      throw new UserError(
        `the comparison in ${out} has the runs ${runs.join(", ")}, not ${record.runs.join(", ")}; resume with the same runs, or start over with --overwrite`,
      );
    }
    for (const run of await runsIn(path)) await rm(join(out, run), { recursive: true, force: true });
  } else if (await exists(join(out, "run.json"))) {
    throw new UserError(`${out} already holds a single run; name another folder with --out`);
  }
  await writeJson(path, record);
}

/** The sub-folders of an earlier comparison; none when its list is damaged. */
async function runsIn(path: string): Promise<string[]> {
  return listOf(await readJson<ComparisonRecord>(path).catch(() => ({}))).filter((name) =>
    runName.test(name),
  );
}

function listOf({ runs }: Partial<ComparisonRecord>): string[] {
  return Array.isArray(runs) ? runs.map(String) : [];
}
