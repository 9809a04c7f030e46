/** A comparison as the page holds it: numbers in columns, step data thinned. The page draws and downloads this. */
import type { EvaluationRecord } from "../runs/evaluation-record.ts";
import type { StepRecord } from "../train/records.ts";
import type { TaskRecord } from "../train/task-record.ts";
import { isNumber } from "./numbers.ts";
import type { QuantizationRecord } from "./quantization-record.ts";
import type { Comparison, Outcome, Run, RunStatus } from "./read.ts";
import { binSteps, type StepBins, sampleSteps } from "./thin.ts";

/** Values by name; all columns of one table have the same length. `null`: not recorded or not finite. */
export type Columns = Record<string, (number | null)[]>;

export interface RunData {
  name: string;
  optimizer: string;
  task: TaskRecord;
  status: RunStatus;
  outcome?: Outcome;
  evaluation?: EvaluationRecord;
  quantization?: QuantizationRecord;
  configuration?: Record<string, unknown>;
  versions?: Record<string, string>;
  machine?: object;
  epochs: Columns;
  /** Medians over bins of consecutive steps, with their 10th and 90th percentiles. */
  steps: StepBins;
  /** The learning rate and the optimizer's scalars at some of the steps, as they were. */
  schedule: Columns;
}

export interface ReportData {
  name: string;
  createdAt?: string;
  runs: RunData[];
}

/** Everything the charts and downloads need. */
export function reportData(comparison: Comparison): ReportData {
  return { name: comparison.name, createdAt: comparison.createdAt, runs: comparison.runs.map(runData) };
}

function runData(run: Run): RunData {
  const { record } = run;
  return {
    name: run.name,
    optimizer: run.label,
    task: run.task,
    status: run.status,
    outcome: run.outcome,
    evaluation: run.evaluation,
    quantization: run.quantization,
    configuration: record?.configuration,
    versions: record?.versions,
    machine: record?.machine,
    epochs: epochColumns(run),
    steps: binSteps(run.steps, ["scale", "cosGradMin", "curvature"]),
    schedule: scheduleColumns(run.steps),
  };
}

function epochColumns({ epochs, task }: Run): Columns {
  let trained = 0;
  const seconds = epochs.map((epoch) => {
    trained += isNumber(epoch.seconds) ? epoch.seconds : 0;
    return trained;
  });
  return withoutEmpty({
    epoch: epochs.map((epoch) => epoch.epoch),
    step: epochs.map((epoch) => epoch.step),
    gradientEvaluations: column(epochs, (epoch) => epoch.gradientEvaluations),
    trainingSeconds: seconds.map(rounded),
    ...Object.fromEntries(
      task.metrics.map(({ name }) => [metricColumn(name), column(epochs, (epoch) => epoch.metrics?.[name])]),
    ),
    testLoss: column(epochs, (epoch) => epoch.testLoss),
    trainLoss: column(epochs, (epoch) => epoch.trainLoss),
    maxSharpness: column(epochs, (epoch) => epoch.sharpness?.maxSharpness),
    minSharpness: column(epochs, (epoch) => epoch.sharpness?.minSharpness),
    bilateralSharpness: column(epochs, (epoch) => epoch.sharpness?.bilateralSharpness),
    integersChanged: column(epochs, (epoch) => epoch.integersChanged),
  });
}

/** The column of a metric beside those that all tasks have. */
export function metricColumn(name: string): string {
  return `metrics.${name}`;
}

/** What the columns of an optimizer's scalars begin with. */
export const scalarPrefix = "scalars.";

function scheduleColumns(steps: StepRecord[]): Columns {
  const sample = sampleSteps(steps);
  const names = new Set(sample.flatMap(({ scalars }) => Object.keys(scalars)));
  return withoutEmpty({
    step: sample.map((step) => step.step),
    learningRate: column(sample, (step) => step.learningRate),
    ...Object.fromEntries(
      [...names].map((name) => [`${scalarPrefix}${name}`, column(sample, ({ scalars }) => scalars[name])]),
    ),
  });
}

function column<T>(records: T[], pick: (record: T) => number | null | undefined): (number | null)[] {
  return records.map((record) => rounded(pick(record)));
}

function withoutEmpty(columns: Columns): Columns {
  return Object.fromEntries(Object.entries(columns).filter(([, values]) => values.some(isNumber)));
}

/** Six significant digits are more than a chart shows and keep the page small; whole numbers stay whole. */
function rounded(value: number | null | undefined): number | null {
  if (!isNumber(value)) return null;
  return Number.isInteger(value) ? value : Number(value.toPrecision(6));
}
