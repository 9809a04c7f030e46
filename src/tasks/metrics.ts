import { UserError } from "../common/errors.ts";
import { taskNames, tasks } from "./index.ts";
import type { LossInfo, MetricInfo, TaskKind } from "./task.ts";

// What each task measures, as people read it: tables, charts and progress lines take names, units and "best" from here.

/**
 * The metrics of a task; the first one leads.
 * @throws UserError for a task that this version does not have
 */
export function metricsOf(task: string): readonly [MetricInfo, ...MetricInfo[]] {
  return kindOf(task).metrics;
}

/** @throws UserError for a task that this version does not have */
export function lossOf(task: string): LossInfo {
  return kindOf(task).loss;
}

function kindOf(task: string): Pick<TaskKind, "loss" | "metrics"> {
  const name = taskNames.find((each) => each === task);
  if (name) return tasks[name];
  throw new UserError(
    `there is no task "${task}" in this version of Lowland, only ${taskNames.join(", ")}; use the version that wrote it`,
  );
}
