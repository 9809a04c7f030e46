/** Run folders and comparison folders, read into typed data. Nothing here writes. */
import { open, readFile, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { UserError } from "../common/errors.ts";
import { type EvaluationRecord, readEvaluation } from "../runs/evaluation-record.ts";
import { currentEpoch, currentRun, currentStep, currentSummary, currentTask } from "../runs/older-records.ts";
import { quantizationFile } from "../runs/run-folder.ts";
import type {
  ComparisonRecord,
  EpochRecord,
  Measurements,
  MetricsRecord,
  RunRecord,
  RunSummary,
  StepRecord,
} from "../train/records.ts";
import type { MetricInfo, TaskRecord } from "../train/task-record.ts";
import type { QuantizationRecord } from "./quantization-record.ts";

/** How far a run has come: "unfinished" has metrics and no summary that is as new as they are. */
export type RunStatus = RunSummary["status"] | "unfinished" | "not started";

/** Where a run stands after its last epoch, and what was last measured of it: taken from `summary.json` or, without one, from the metrics. */
export interface Outcome extends Partial<Measurements>, Pick<RunSummary, "averaged"> {
  epochs: number;
  steps: number;
  parameters?: number;
  trainLoss: number;
  gradientEvaluations: number;
  seconds: number;
}

export interface Run {
  /** The folder's name inside its comparison. */
  name: string;
  /** The optimizer as a reader would name it; no two runs of a comparison share one. */
  label: string;
  task: TaskRecord;
  status: RunStatus;
  record?: RunRecord;
  steps: StepRecord[];
  epochs: EpochRecord[];
  /** Absent until the first epoch has ended. */
  outcome?: Outcome;
  /** Of the test set after the last epoch; absent where the run has not ended, and in runs of earlier versions. */
  evaluation?: EvaluationRecord;
  /** Of a network of small integers: what its file came to. */
  quantization?: QuantizationRecord;
  /** Size of `model.onnx`. */
  modelBytes?: number;
  /** Where it is. */
  folder: string;
}

export interface Comparison {
  folder: string;
  name: string;
  createdAt?: string;
  runs: Run[];
}

/** The metrics of all runs; the first one leads. */
export function metricsOfRuns(runs: readonly Run[]): readonly [MetricInfo, ...MetricInfo[]] {
  const [first, ...rest] = taskOf(runs).metrics;
  const all = [...rest, ...runs.flatMap((run) => run.task.metrics)];
  const names = all.map(({ name }) => name);
  return [first, ...all.filter(({ name }, index) => name !== first.name && names.indexOf(name) === index)];
}

/** The task of runs, which is that of the first. */
function taskOf([first]: readonly Run[]): TaskRecord {
  return first?.task ?? currentTask();
}

/** What the examples of runs are called. */
export function examplesOf(runs: readonly Run[]): string {
  const names = new Set(runs.map((run) => run.task.examples));
  return names.size === 1 ? [...names][0] : "examples";
}

/**
 * Reads a comparison folder, or a run folder as a comparison of one.
 * Runs that are unfinished or not started are read as far as they go.
 * @throws UserError when the folder is neither, or when one of its files is damaged.
 */
export async function readComparison(folder: string): Promise<Comparison> {
  const record = await readJson<ComparisonRecord>(join(folder, "comparison.json"));
  if (!record) {
    const run = await readRun(folder);
    return { folder, name: run.record?.name ?? run.name, createdAt: run.record?.createdAt, runs: [run] };
  }
  if (!Array.isArray(record.runs) || record.runs.some((name) => typeof name !== "string")) {
    throw new UserError(
      `${join(folder, "comparison.json")}: "runs" must be a list of folder names; write the comparison again.`,
    );
  }
  const runs: Run[] = [];
  for (const name of record.runs) runs.push(await readRunOrNothing(join(folder, name), name));
  distinguishLabels(runs);
  return { folder, name: record.name ?? basename(resolve(folder)), createdAt: record.createdAt, runs };
}

/**
 * Reads one run folder.
 * @throws UserError when it holds neither `run.json`, `metrics.jsonl` nor `summary.json`, or when one is damaged.
 */
export async function readRun(folder: string): Promise<Run> {
  const run = await readRunOrNothing(folder, basename(resolve(folder)));
  if (run.record || run.outcome || run.steps.length > 0 || (await exists(join(folder, "metrics.jsonl"))))
    return run;
  throw new UserError(
    `${folder} is neither a run folder (run.json, metrics.jsonl, summary.json) nor a comparison folder (comparison.json); name the folder a training run has written.`,
  );
}

async function readRunOrNothing(folder: string, name: string): Promise<Run> {
  const file = join(folder, "run.json");
  const written = await readJson<RunRecord>(file);
  const record = written && currentRun(written, file);
  const ended = await readJson<RunSummary>(join(folder, "summary.json"));
  const summary = ended && currentSummary(ended);
  const { steps, epochs } = await readMetrics(join(folder, "metrics.jsonl"));
  const fromMetrics = outcomeOf(epochs);
  // A run that was resumed after its summary was written has metrics that go further.
  const current = summary !== undefined && (fromMetrics?.epochs ?? 0) <= summary.epochs;
  const outcome: Outcome | undefined = current
    ? { ...fromMetrics, ...summary, sharpness: summary.sharpness ?? fromMetrics?.sharpness }
    : fromMetrics;
  const evaluation = current ? await readEvaluation(folder) : undefined;
  const quantization = current
    ? await readJson<QuantizationRecord>(join(folder, quantizationFile))
    : undefined;
  const model = current ? await stat(join(folder, "model.onnx")).catch(() => undefined) : undefined;
  const started = outcome !== undefined || steps.length > 0;
  return {
    name,
    label: summary?.optimizer ?? record?.name ?? name,
    task: record?.task ?? currentTask(summary?.task),
    status: current ? summary.status : started ? "unfinished" : "not started",
    record,
    steps,
    epochs,
    outcome,
    evaluation,
    quantization,
    modelBytes: model?.size,
    folder,
  };
}

function outcomeOf(epochs: EpochRecord[]): Outcome | undefined {
  const last = epochs.at(-1);
  if (!last) return undefined;
  const measured = epochs.findLast(({ metrics }) => metrics !== undefined);
  return {
    epochs: last.epoch,
    steps: last.step,
    trainLoss: last.trainLoss,
    testLoss: measured?.testLoss,
    metrics: measured?.metrics,
    sharpness: epochs.findLast((epoch) => epoch.sharpness)?.sharpness,
    gradientEvaluations: last.gradientEvaluations,
    seconds: epochs.reduce((sum, epoch) => sum + epoch.seconds, 0),
  };
}

/** A resumed run writes the steps after its checkpoint once more: the later line counts. */
async function readMetrics(path: string): Promise<{ steps: StepRecord[]; epochs: EpochRecord[] }> {
  const steps: StepRecord[] = [];
  const epochs: EpochRecord[] = [];
  if (!(await exists(path))) return { steps, epochs };
  let broken: number | undefined;
  let number = 0;
  const file = await open(path);
  for await (const line of file.readLines({ encoding: "utf8" })) {
    number += 1;
    if (line.trim() === "") continue;
    if (broken !== undefined) {
      throw new UserError(
        `${path}: line ${broken} is not a metrics record; remove that line to read the rest.`,
      );
    }
    const record = parseMetrics(line);
    if (record === undefined) broken = number;
    else if (record.type === "step") append(steps, currentStep(record), (step) => step.step);
    else append(epochs, currentEpoch(record), (epoch) => epoch.epoch);
  }
  return { steps, epochs };
}

function append<T>(records: T[], record: T, position: (record: T) => number): void {
  while (records.length > 0 && position(records.at(-1)!) >= position(record)) records.pop();
  records.push(record);
}

function parseMetrics(line: string): MetricsRecord | undefined {
  try {
    const record = JSON.parse(line) as MetricsRecord | null;
    return record?.type === "step" || record?.type === "epoch" ? record : undefined;
  } catch {
    return undefined;
  }
}

async function readJson<T extends object>(path: string): Promise<T | undefined> {
  if (!(await exists(path))) return undefined;
  const text = await readFile(path, "utf8");
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as T;
  } catch {
    // The sentence below says it.
  }
  throw new UserError(`${path} is not a JSON object; restore it, or remove it and run again.`);
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    (entry) => entry.isFile(),
    () => false,
  );
}

function distinguishLabels(runs: Run[]): void {
  const count = (label: string) => runs.filter((run) => run.label === label).length;
  const shared = new Set(runs.map((run) => run.label).filter((label) => count(label) > 1));
  for (const run of runs) if (shared.has(run.label)) run.label = `${run.label} · ${run.name}`;
}
