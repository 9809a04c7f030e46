import { UserError } from "../common/errors.ts";
import type { Model } from "../nn/module.ts";
import type { Engine, Tensors } from "../runtime/engine.ts";
import type { Details } from "../tasks/details.ts";
import type { Evaluation, OpenedTask } from "../tasks/task.ts";
import { TaskEvaluation, type Evaluated as TestEvaluation } from "../tasks/task-evaluation.ts";
import { inferenceModel } from "../tasks/task-network.ts";
import { validationMetrics } from "../tasks/validation.ts";
import type { EpochRecord, Measurements } from "../train/records.ts";
import type { TaskRecord } from "../train/task-record.ts";
import { averagedTensors } from "./averaging.ts";
import type { RunConfiguration } from "./configuration.ts";
import type { RunRequest } from "./run-request.ts";
import type { RunSetup } from "./run-setup.ts";
import { SharpnessMeasurement } from "./sharpness-measurement.ts";

// What a run measures of its network: at the end of an epoch, and at the end of the run.

export interface Evaluated extends Pick<TestEvaluation, "details"> {
  measurements: Measurements;
}

/** What is measured at the end of an epoch, on the weights stored in the engine. */
export async function prepareMeasurements(
  engine: Engine,
  { network, opened }: Pick<RunSetup, "network" | "opened">,
  { metrics: infos }: TaskRecord,
  { sharpness }: RunConfiguration,
): Promise<() => Promise<Evaluated>> {
  const { task, evaluations } = opened;
  const prepare = (evaluation: Evaluation, program: string) =>
    TaskEvaluation.prepare(engine, network, { task, evaluation, program });
  const prepared: TaskEvaluation[] = [];
  for (const [index, evaluation] of evaluations.entries())
    prepared.push(await prepare(evaluation, index === 0 ? "test" : `evaluation ${index}`));
  const validation = opened.validation && (await prepare(opened.validation, "validation"));
  const flatness = await SharpnessMeasurement.prepare(engine, network, opened, sharpness);
  return async () => {
    const [test, ...others] = prepared;
    const { loss: testLoss, metrics, details } = await test.measure();
    for (const evaluation of others) Object.assign(metrics, (await evaluation.measure()).metrics);
    if (validation) Object.assign(metrics, validationMetrics(infos[0], await validation.measure()));
    return { measurements: { testLoss, metrics, sharpness: await flatness.measure() }, details };
  };
}

/** Nothing of an epoch that was not measured. */
export function measurementsOf({ testLoss, metrics, sharpness }: EpochRecord): Measurements | undefined {
  return testLoss !== undefined && metrics !== undefined ? { testLoss, metrics, sharpness } : undefined;
}

/** The run is worth as much without its pictures, so where they cannot be made it says so and goes on. */
export async function keepEvaluation(
  folder: string,
  { evaluations: [{ source }] }: OpenedTask,
  details: Details,
  { configuration: { task }, onNote }: RunRequest,
): Promise<void> {
  const { writeEvaluation } = await import("./evaluation-record.ts");
  try {
    await writeEvaluation(folder, { task, data: source.name, samples: source.count, details });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    onNote?.(`the evaluation of the test set is not kept: ${error.message}`);
  }
}

/** The network of averaged weights, measured on the test set. */
export async function finishAverage(
  engine: Engine,
  stored: Tensors,
  { network, model, opened }: Pick<RunSetup, "network" | "model" | "opened">,
  batchSize: number,
) {
  const tensors = await averagedTensors(engine, stored, network, model, opened, batchSize);
  await engine.write(tensors);
  const { task, evaluations } = opened;
  const [evaluation] = evaluations;
  const testing = await TaskEvaluation.prepare(engine, network, { task, evaluation, program: "test" });
  const { loss: testLoss, metrics } = await testing.measure();
  return {
    summary: { averaged: { testLoss, metrics } },
    model: inferenceModel(network, tensors, task),
  };
}

/** Without the state of the optimizer. */
export function networkTensors(model: Model, tensors: Tensors): Tensors {
  const names = [...model.parameters, ...model.buffers].map(({ name }) => name);
  return Object.fromEntries(names.map((name) => [name, tensors[name]]));
}
