import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { UserError } from "../common/errors.ts";
import type { DatasetPair } from "../data/dataset.ts";
import type { ComparisonRecord } from "../train/records.ts";
import { exists, makeFolder, readJson, writeJson } from "../train/run-folder.ts";
import { type FigureRun, type FiguresConfiguration, figureRuns } from "./figures-configuration.ts";
import { endedRun, type RunHooks, type RunResult, runClassification } from "./run.ts";

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
  data: DatasetPair,
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
    const record: ComparisonRecord = {
      name: `seed ${seed}`,
      createdAt: new Date().toISOString(),
      runs: runs.map(({ name }) => name),
    };
    if (!(await exists(join(folder, "comparison.json"))))
      await writeJson(join(folder, "comparison.json"), record);
    for (const run of runs) {
      const own = join(folder, run.name);
      const ended = (await endedRun({ ...run, data, out: own })) !== undefined;
      placed.push({ ...run, folder: own, ended });
    }
  }
  return placed;
}

/** The settings of figures whose runs a folder holds. Throws `UserError` when it holds none. */
async function readFiguresConfiguration(folder: string): Promise<FiguresConfiguration> {
  const path = join(folder, configurationFile);
  if (await exists(path)) return readJson<FiguresConfiguration>(path);
  throw new UserError(`${folder} holds no figures: there is no ${configurationFile} in it`);
}

export interface TrainFiguresOptions {
  runs: readonly PlacedRun[];
  data: DatasetPair;
  /** Called before each run that has something left to train; what it returns follows that run. */
  onRun?: (run: PlacedRun, index: number) => Omit<RunHooks, "out" | "existing" | "signal">;
  onRunEnd?: (run: PlacedRun, result: RunResult) => void;
  signal?: AbortSignal;
}

/** Trains what is missing: runs that ended are left alone, runs that were stopped are gone on with. Returns whether all were reached. */
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
    const result = await runClassification({
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

/** Figures of some of the seeds may be added to; everything else has to be the same. */
async function requireSame(out: string, configuration: FiguresConfiguration): Promise<void> {
  if (!(await exists(join(out, configurationFile)))) return;
  const earlier: Record<string, unknown> = { ...(await readFiguresConfiguration(out)) };
  for (const [key, value] of Object.entries(JSON.parse(JSON.stringify(configuration)))) {
    if (
      key === "seeds" ||
      key === "spectrum" ||
      key === "constantRhoMin" ||
      isDeepStrictEqual(earlier[key], value)
    )
      continue;
    throw new UserError(
      `the figures in ${out} have ${key} ${JSON.stringify(earlier[key])}, not ${JSON.stringify(value)}; name another folder with --out, or use the same settings`,
    );
  }
}
