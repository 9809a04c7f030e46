import { UserError } from "../common/errors.ts";
import { firstTask, taskNamed, taskRecord } from "../tasks/index.ts";
import {
  type EpochRecord,
  type RunRecord,
  type RunSummary,
  recordFormat,
  type StepRecord,
} from "../train/records.ts";
import type { TaskRecord } from "../train/task-record.ts";

// Records as earlier versions wrote them, in the form of today. Format 1 knew classification alone: its records have
// `testAccuracy` and `wrongLabelAccuracy` in place of `metrics`, and none names its task or format. Format 2 named the
// task without saying what it measures, and had `imagesPerSecond` in place of `examplesPerSecond`.
// Steps of both have two fixed fields in place of `scalars`.

interface Format1 {
  testAccuracy?: number;
  wrongLabelAccuracy?: number;
}

interface Format2Step extends Omit<StepRecord, "scalars"> {
  /** Of a method of one radius that radius, ρ. */
  rhoMax?: number;
  rhoMin?: number;
}

/** A step of `metrics.jsonl`; one of today is returned as it is. */
export function currentStep(record: StepRecord | Format2Step): StepRecord {
  if ("scalars" in record) return record;
  const { rhoMax, rhoMin, ...rest } = record;
  if (rhoMax === undefined) return { ...rest, scalars: {} };
  return { ...rest, scalars: rhoMin === undefined ? { rho: rhoMax } : { rhoMax, rhoMin } };
}

/** An epoch of `metrics.jsonl` or of a checkpoint; one of today is returned as it is. */
export function currentEpoch(
  record: EpochRecord | (EpochRecord & Format1 & { imagesPerSecond?: number }),
): EpochRecord {
  const epoch = withMetrics(record);
  if (!("imagesPerSecond" in epoch)) return epoch;
  const { imagesPerSecond, ...rest } = epoch;
  return { ...rest, examplesPerSecond: Number(imagesPerSecond) };
}

/** A `summary.json`; one of today is returned as it is. */
export function currentSummary(record: RunSummary): RunSummary {
  const { averaged, ...summary } = withMetrics(record);
  return {
    ...summary,
    task: summary.task ?? firstTask,
    ...(averaged && { averaged: withMetrics(averaged) }),
  };
}

/**
 * A `run.json`; one of today is returned as it is.
 * @throws UserError for one that a later version wrote
 */
export function currentRun(record: RunRecord, path: string): RunRecord {
  const format = record.format ?? 1;
  if (format > recordFormat) {
    throw new UserError(
      `${path} is of format ${format}; this version of Lowland reads formats up to ${recordFormat}: use the version that wrote it`,
    );
  }
  return { ...record, format, task: currentTask(record.task) };
}

/**
 * What a record says of its task, by its name where it says no more.
 * @throws UserError for a name that this version does not have
 */
export function currentTask(task: TaskRecord | string = firstTask): TaskRecord {
  return typeof task === "string" ? taskRecord(taskNamed(task)) : task;
}

/** What was measured, by the names of metrics. */
export function withMetrics<T extends object>(record: T & Format1): T {
  if (!("testAccuracy" in record)) return record;
  const { testAccuracy, wrongLabelAccuracy, ...rest } = record;
  const metrics = {
    accuracy: testAccuracy,
    ...(wrongLabelAccuracy !== undefined && { wrongLabelAccuracy }),
  };
  return { ...rest, metrics } as unknown as T;
}
