import { UserError } from "../common/errors.ts";
import { type EpochRecord, type RunRecord, type RunSummary, recordFormat } from "../train/records.ts";

// Records as earlier versions wrote them, in the form of today. Format 1 knew classification alone: its records have
// `testAccuracy` and `wrongLabelAccuracy` in place of `metrics`, and none names its task or format.

/** The task of runs that do not name theirs. */
export const firstTask = "classification";

interface Format1 {
  testAccuracy?: number;
  wrongLabelAccuracy?: number;
}

/** An epoch of `metrics.jsonl` or of a checkpoint; one of today is returned as it is. */
export function currentEpoch(record: EpochRecord | (EpochRecord & Format1)): EpochRecord {
  return withMetrics(record);
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
  return { ...record, format, task: record.task ?? firstTask };
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
