import { environment } from "#platform";
import { type Layer, type Model, parameterCount } from "../nn/module.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import type { openDevice } from "../platform/open-device.ts";
import type { Tensors } from "../runtime/engine.ts";
import type { DeviceRecord } from "../runtime/proving-engine.ts";
import { taskNamed, taskRecord } from "../tasks/index.ts";
import type { DataPair, TaskKind } from "../tasks/task.ts";
import { withValidation } from "../tasks/validation.ts";
import {
  type EpochRecord,
  type Measurements,
  type RunRecord,
  type RunSummary,
  recordFormat,
  type StepRecord,
} from "../train/records.ts";
import type { TaskRecord } from "../train/task-record.ts";
import type { RunConfiguration } from "./configuration.ts";
import type { GivenWeights } from "./initial-weights.ts";
import { optimizerIdentity, optimizerLabel } from "./optimizer-label.ts";
import type { Checkpoint, ExistingRun } from "./run-folder.ts";

// What a run is asked for, and what its records say of it.

/** The network of an epoch. */
export interface EpochNetwork {
  /** Its parameters and buffers, by PyTorch's names. */
  tensors: Tensors;
  /** Makes its ONNX file. */
  model(): Uint8Array;
}

/** What a run takes besides its configuration. */
export interface RunHooks {
  /** Where to write the run; nothing is written when left out. */
  out?: string;
  /** What to do when `out` already holds a run. Default: refuse. */
  existing?: ExistingRun;
  onStart?: (run: {
    task: TaskRecord;
    totalSteps: number;
    stepsPerEpoch: number;
    batchSize: number;
    finishedSteps: number;
    /** Where the steps run. */
    device: DeviceRecord;
  }) => void;
  /** Training waits for a promise that it returns. */
  onStep?: (record: StepRecord) => unknown;
  /** Also gets the network as it is at the end of the epoch. */
  onEpoch?: (record: EpochRecord, network: EpochNetwork) => void;
  /**
   * Gets what a person should know before training, a sentence at a time: how a network is used that came as a file,
   * and which settings the run is too short for.
   */
  onNote?: (note: string) => void;
  /** Called while what frozen stages give is computed for all training images, before the first step. */
  onFeatures?: (images: number, total: number) => void;
  /** Ends the run after the step that is running; what was finished is kept. */
  signal?: AbortSignal;
}

export interface RunRequest extends RunHooks {
  name: string;
  configuration: RunConfiguration;
  /** The data before the configuration's limit, and before what its task makes of them. */
  data: DataPair;
  /** The task's code, where it is none of Lowland's. */
  task?: TaskKind;
  /** In place of the configuration's, for what a document cannot say. */
  layer?: Layer;
  optimizer?: Optimizer;
  weights?: Pick<GivenWeights, "tensors" | "except">;
  /** The bytes of the network's ONNX file, where they are not read from its path. */
  modelFile?: Uint8Array;
  /** Opens the device to train on. Default: {@link openDevice}. */
  openDevice?: typeof openDevice;
}

/** What records say of the task of a request. */
export function recordOf(request: Pick<RunRequest, "task" | "configuration" | "data">): TaskRecord {
  const record = taskRecord(kindOf(request));
  return request.data.validation ? withValidation(record) : record;
}

/** The kind of problem that a request is of. */
function kindOf({ task, configuration }: Pick<RunRequest, "task" | "configuration">): TaskKind {
  return task ?? taskNamed(configuration.task);
}

/** The configuration as `run.json` holds it: what was really used, in plain data. */
export function describe(
  { configuration, data, layer, weights }: Pick<RunRequest, "configuration" | "data" | "layer" | "weights">,
  optimizer: Optimizer,
): Record<string, unknown> {
  return {
    ...configuration,
    data: data.train.name,
    model: layer ? "custom" : configuration.model,
    weights: weights ? "custom" : configuration.weights,
    optimizer: optimizer.config,
  };
}

export function summarize(
  { name, configuration: { task } }: RunRequest,
  { optimizer, model }: { optimizer: Optimizer; model: Model },
  { epoch, seconds }: Checkpoint,
  { status, device }: Pick<RunSummary, "status" | "device">,
): Omit<RunSummary, keyof Measurements> {
  return {
    name,
    task,
    optimizer: optimizerLabel(optimizer.config),
    ...optimizerIdentity(optimizer.config),
    status,
    epochs: epoch.epoch,
    steps: epoch.step,
    parameters: parameterCount(model),
    trainLoss: epoch.trainLoss,
    gradientEvaluations: epoch.gradientEvaluations,
    seconds,
    device,
  };
}

export async function openFolder({ out, existing = "refuse", ...request }: RunRequest, optimizer: Optimizer) {
  if (out === undefined) return undefined;
  const { RunFolder } = await import("./run-folder.ts");
  const configuration = describe(request, optimizer);
  const record: RunRecord = {
    format: recordFormat,
    name: request.name,
    task: recordOf(request),
    createdAt: new Date().toISOString(),
    configuration,
    ...(await environment()),
  };
  return RunFolder.open(out, record, existing);
}
