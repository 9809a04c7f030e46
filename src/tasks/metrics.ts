import { UserError } from "../common/errors.ts";

// What each task measures, as people read it: tables, charts and progress lines take names, units and "best" from here.

/** A number that says how good predictions are, and how people read it. */
export interface MetricInfo {
  /** Its key in records. */
  name: string;
  /** What people call it. */
  label: string;
  /** `%`: a share from 0 to 1, shown in percent. */
  unit: "%" | "";
  better: "higher" | "lower";
  /** What it is, as a sentence fragment, where the label does not say it. */
  meaning?: string;
}

/** What a task minimizes, as people read it. */
export interface LossInfo {
  name: string;
  unit: string;
}

interface Measures {
  loss: LossInfo;
  /** The first one leads. */
  metrics: readonly [MetricInfo, ...MetricInfo[]];
}

const tasks: Readonly<Record<string, Measures>> = {
  classification: {
    loss: { name: "cross entropy", unit: "nats" },
    metrics: [
      {
        name: "accuracy",
        label: "test accuracy",
        unit: "%",
        better: "higher",
        meaning: "share of right answers on the whole test set",
      },
      {
        name: "wrongLabelAccuracy",
        label: "wrong labels learned",
        unit: "%",
        better: "lower",
        meaning: "share of the wrongly labeled training images that get their wrong label: memorized noise",
      },
    ],
  },
};

/**
 * The metrics of a task; the first one leads.
 * @throws UserError for a task that this version does not have
 */
export function metricsOf(task: string): readonly [MetricInfo, ...MetricInfo[]] {
  return measuresOf(task).metrics;
}

/** @throws UserError for a task that this version does not have */
export function lossOf(task: string): LossInfo {
  return measuresOf(task).loss;
}

function measuresOf(task: string): Measures {
  if (Object.hasOwn(tasks, task)) return tasks[task];
  throw new UserError(
    `there is no task "${task}" in this version of Lowland, only ${Object.keys(tasks).join(", ")}; use the version that wrote it`,
  );
}
