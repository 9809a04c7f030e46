import type { MetricInfo, TaskRecord } from "../train/task-record.ts";
import type { Evaluated } from "./task-evaluation.ts";

// What is measured on the validation part of the data: the task's leading metric and the loss, as further metrics of the
// run, so that records, tables and charts show them beside those of the test set.

/** What records say of a task where the data have a validation part. */
export function withValidation(task: TaskRecord): TaskRecord {
  const [{ meaning: _, ...first }] = task.metrics;
  const leading: MetricInfo = {
    ...first,
    name: validationName(first.name),
    label: `validation ${first.label.replace(/^test /, "")}`,
    meaning: "the same of the validation part of the data",
  };
  const loss: MetricInfo = {
    ...{ name: validationName("loss"), label: "validation loss", unit: "", better: "lower" },
    meaning: "mean loss on the validation part of the data",
  };
  return { ...task, metrics: [...task.metrics, leading, loss] };
}

/**
 * What was measured on the validation part, by the names of {@link withValidation}.
 * @param leading the task's leading metric
 */
export function validationMetrics(
  { name }: Pick<MetricInfo, "name">,
  { loss, metrics }: Evaluated,
): Record<string, number> {
  return {
    ...(name in metrics && { [validationName(name)]: metrics[name] }),
    [validationName("loss")]: loss,
  };
}

function validationName(name: string): string {
  return `validation${name[0].toUpperCase()}${name.slice(1)}`;
}
