import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { UserError } from "../common/errors.ts";
import { endedRun, type RunResult, runTask } from "../runs/run.ts";
import { exists, makeFolder, readJson, writeJson } from "../runs/run-folder.ts";
import type { RunHooks } from "../runs/run-request.ts";
import type { DataPair } from "../tasks/task.ts";
import type { ComparisonRecord } from "../train/records.ts";
import { type FigureRun, type FiguresConfiguration, figureRuns } from "./configuration.ts";

// The runs behind the paper's figures: a folder of folders, `seed-N/run`, each a run folder, each seed a comparison.

const configurationFile = "figures.json";

/** A run of the figures, where it is and whether there is anything left to train. */
export interface PlacedRun extends FigureRun {
  folder: string;
  ended: boolean;
}

/**
 * Makes the folder of a set of figures, or takes it up again, and says of each run whether it is there already. The
 * runs come seed by seed. Throws `UserError` when the folder holds figures, or a run, of other settings.
 */
export async function openFigures(
  configuration: FiguresConfiguration,
  data: DataPair,
  out: string,
): Promise<PlacedRun[]> {
  await makeFolder(out);
  await requireSame(out, configuration);
  await writeJson(join(out, configurationFile), configuration);
  const placed: PlacedRun[] = [];
  for (const seed of configuration.seeds) {
    const folder = join(out, `seed-${seed}`);
    const runs = figureRuns(configuration, seed);
    await makeFolder(folder);
    await listRuns(join(folder, "comparison.json"), seed, runs);
    for (const run of runs) {
      const own = join(folder, run.name);
      const ended = (await endedRun({ ...run, data, out: own })) !== undefined;
      placed.push({ ...run, folder: own, ended });
    }
  }
  return placed;
}

/** Makes the runs of a seed a comparison, for reports; more of them may come later. */
async function listRuns(path: string, seed: number, runs: readonly FigureRun[]): Promise<void> {
  const { createdAt = new Date().toISOString() } = (await exists(path))
    ? await readJson<Partial<ComparisonRecord>>(path)
    : {};
  const record: ComparisonRecord = { name: `seed ${seed}`, createdAt, runs: runs.map(({ name }) => name) };
  await writeJson(path, record);
}

export interface TrainFiguresOptions {
  runs: readonly PlacedRun[];
  data: DataPair;
  /** Called before each run that has something left to train; what it returns follows that run. */
  onRun?: (run: PlacedRun, index: number) => Omit<RunHooks, "out" | "existing" | "signal">;
  onRunEnd?: (run: PlacedRun, result: RunResult) => void;
  signal?: AbortSignal;
}

/** Trains what is missing: runs that ended are left alone, runs that were stopped are resumed. Returns whether all were reached. */
export async function trainFigures({
  runs,
  data,
  onRun,
  onRunEnd,
  signal,
}: TrainFiguresOptions): Promise<boolean> {
  for (const [index, run] of runs.entries()) {
    if (run.ended) continue;
    if (signal?.aborted) return false;
    const { name, configuration, folder: out } = run;
    const hooks = onRun?.(run, index);
    const result = await runTask({
      name,
      configuration,
      data,
      signal,
      out,
      existing: "resume",
      ...hooks,
    });
    onRunEnd?.(run, result);
  }
  return !signal?.aborted;
}

/** Settings that decide which runs there are, and what is measured of them, but not how one is trained. */
const mayDiffer = ["seeds", "constantRhoMin", "spectrum"];

/** Seeds and radii may be added; everything else has to be the same. */
async function requireSame(out: string, configuration: FiguresConfiguration): Promise<void> {
  if (!(await exists(join(out, configurationFile)))) return;
  const earlier = await readJson<Record<string, unknown>>(join(out, configurationFile));
  for (const [key, value] of Object.entries(JSON.parse(JSON.stringify(configuration)))) {
    if (mayDiffer.includes(key) || isDeepStrictEqual(earlier[key], value)) continue;
    throw new UserError(
      `the figures in ${out} have ${key} ${JSON.stringify(earlier[key])}, not ${JSON.stringify(value)}; name another folder with --out, or use the same settings`,
    );
  }
}
