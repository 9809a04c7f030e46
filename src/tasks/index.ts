import { UserError } from "../common/errors.ts";
import type { TaskRecord } from "../train/task-record.ts";
import { classification } from "./classification/classification.ts";
import { pose } from "./pose/pose.ts";
import { segmentation } from "./segmentation/segmentation.ts";
import type { TaskKind } from "./task.ts";

/** Every kind of problem, by the name that documents, records and written models know it by. */
export const tasks = { classification, segmentation, pose } as const;

export type TaskName = keyof typeof tasks;

export const taskNames = Object.keys(tasks) as [TaskName, ...TaskName[]];

/** The kind of problem where a document names none, and of records from before there were others. */
export const firstTask = "classification" satisfies TaskName;

/** @throws UserError for a task that this version does not have */
export function taskNamed(task: string): TaskKind {
  const name = taskNames.find((each) => each === task);
  if (name) return tasks[name];
  throw new UserError(
    `there is no task "${task}" in this version of Lowland, only ${taskNames.join(", ")}; use the version that wrote it, or in the library give its code (task)`,
  );
}

/** What records say of a task. */
export function taskRecord({ name, examples, loss, metrics }: TaskRecord): TaskRecord {
  return { name, examples, loss, metrics };
}
