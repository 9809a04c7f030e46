import { UserError } from "../common/errors.ts";
import { trainingBatches } from "../data/rows.ts";
import { compile } from "../lower/compile.ts";
import { buildModel, type Layer, type Model, parameterCount } from "../nn/module.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { initialState } from "../optim/state.ts";
import { type Objective, type TrainingStepOptions, trainingStep } from "../optim/training-step.ts";
import type { Engine, Tensors } from "../runtime/engine.ts";
import { openEngine } from "../runtime/remote.ts";
import type { Details } from "../tasks/details.ts";
import { taskNamed, taskRecord } from "../tasks/index.ts";
import type { DataPair, Evaluation, OpenedTask, TaskKind } from "../tasks/task.ts";
import { TaskEvaluation, type Evaluated as TestEvaluation } from "../tasks/task-evaluation.ts";
import {
  frozenNetwork,
  inferenceModel,
  microBatchCount,
  type Network,
  preparedNetwork,
  taskObjective,
  trainingFeeds,
} from "../tasks/task-network.ts";
import { validationMetrics, withValidation } from "../tasks/validation.ts";
import { NonFiniteError, trainingLoop } from "../train/loop.ts";
import {
  type EpochRecord,
  type Measurements,
  type RunRecord,
  type RunSummary,
  recordFormat,
  type StepRecord,
} from "../train/records.ts";
import type { TaskRecord } from "../train/task-record.ts";
import { writeSafetensors } from "../weights/safetensors.ts";
import { stateDict } from "../weights/state-dict.ts";
import { averagedTensors, averagesAfter } from "./averaging.ts";
import type { RunConfiguration } from "./configuration.ts";
import { environment } from "./environment.ts";
import { writeEvaluation } from "./evaluation-record.ts";
import { type FeaturePlan, type FeatureTraining, keepFeatures, planFeatures } from "./features.ts";
import { misfits } from "./fit.ts";
import { type GivenWeights, readWeights, startingTensors } from "./initial-weights.ts";
import { networkOf } from "./network.ts";
import { openTask } from "./open-task.ts";
import { createOptimizer, createSchedule, optimizerIdentity, optimizerLabel } from "./optimizers.ts";
import { type Checkpoint, type ExistingRun, RunFolder } from "./run-folder.ts";
import { SharpnessMeasurement } from "./sharpness-measurement.ts";
import { trainedPart } from "./trained-part.ts";

/** What a run is told besides its configuration. */
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
  }) => void;
  onStep?: (record: StepRecord) => void;
  onEpoch?: (record: EpochRecord) => void;
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
}

export interface RunResult {
  task: TaskRecord;
  /** Absent when not even one epoch was finished. */
  summary?: RunSummary;
  /** All epochs, those before a resumption too. */
  epochs: readonly EpochRecord[];
  /** The network of the last finished epoch as an ONNX file: input `input`, and the task's output. */
  model: Uint8Array;
  /** Its parameters and buffers, by PyTorch's names. */
  tensors: Tensors;
  /** The network of averaged weights, likewise, where the configuration keeps one and the run was finished. */
  averagedModel?: Uint8Array;
  /** What the evaluation of the test set found beside the metrics, with pixels. */
  details?: Details;
  /** Steps that were dropped because something was not finite (`onNonFinite: "skip"`), since the run was last begun or resumed. */
  skippedSteps: number;
  /** Why the run ended early, if a loss or gradient was not finite. */
  failure?: NonFiniteError;
}

/** Trains a network on a task: from a checked configuration and data to metrics, a summary and an ONNX model. */
export async function runTask(request: RunRequest): Promise<RunResult> {
  const { configuration, signal, onNote, onFeatures, onStart, onStep, onEpoch } = request;
  const { batchSize, seed, epochs: totalEpochs, evaluateEvery } = configuration;
  const setup = await prepare(request);
  const { opened, network, optimizer, model, features, stepsPerEpoch, microBatches } = setup;
  const notes = [...setup.notes, ...misfits(configuration, optimizer, stepsPerEpoch)];
  const batchesOf = (epoch: number) => ({ batchSize, seed, epoch });
  // Settings that do not fit the data are found before anything is written.
  trainingBatches(opened.train, { ...batchesOf(1), row: opened.task.row });
  const checked = stepsOf(setup);
  const { weights } = setup;
  const folder = await openFolder(request, optimizer);
  for (const note of notes) onNote?.(note);

  const engine = openEngine({ threads: configuration.threads });
  let fromFeatures: FeatureTraining | undefined;
  try {
    const target = await engine.target();
    const initial = { ...weights, ...initialState(setup.objective, optimizer, weights, setup.options) };
    let last: Checkpoint | undefined = folder?.checkpoint;
    await engine.write(last?.tensors ?? initial);
    if (features?.kept) {
      const hooks = { signal, onNote, onProgress: onFeatures };
      fromFeatures = await keepFeatures(engine, setup, { plan: features, folder: request.out, ...hooks });
    }
    const steps = fromFeatures ? stepsOf({ ...setup, objective: fromFeatures.objective }) : checked;
    for (const { step, graph } of steps) await engine.load(step, compile(graph, { target }));
    const measure = await prepareMeasurements(engine, setup, recordOf(request), configuration);
    const epochs: EpochRecord[] = [...(folder?.epochs ?? [])];
    let skippedSteps = 0;
    const finishedEpochs = last?.epoch.epoch ?? 0;
    const [totalSteps, finishedSteps] = [totalEpochs * stepsPerEpoch, finishedEpochs * stepsPerEpoch];
    onStart?.({ task: recordOf(request), totalSteps, finishedSteps, stepsPerEpoch, batchSize });

    if (configuration.keepWeights && !last) await folder?.keepWeights(0, networkTensors(model, initial));

    /** Of the weights of the last epoch that was measured. */
    let evaluated: Evaluated | undefined;
    let failure: NonFiniteError | undefined;
    const finished = await trainingLoop({
      engine,
      optimizer,
      learningRate: configuration.learningRate,
      schedule: createSchedule(configuration.schedule),
      epochs: totalEpochs,
      stepsPerEpoch,
      finishedEpochs,
      batches: (epoch) =>
        trainingFeeds(fromFeatures?.opened ?? opened, model, { ...batchesOf(epoch), microBatches }),
      onNonFinite: configuration.onNonFinite,
      signal,
      onStep: (record) => {
        if (record.skipped) skippedSteps++;
        folder?.append(record);
        onStep?.(record);
      },
      onEpoch: async ({ seconds, gradientEvaluations, ...epoch }) => {
        const isMeasured = epoch.epoch % evaluateEvery === 0 || epoch.epoch === totalEpochs;
        evaluated = isMeasured ? await measure() : undefined;
        const record: EpochRecord = {
          type: "epoch",
          ...epoch,
          ...evaluated?.measurements,
          seconds,
          examplesPerSecond: (stepsPerEpoch * batchSize) / seconds,
          gradientEvaluations: (last?.epoch.gradientEvaluations ?? 0) + gradientEvaluations,
        };
        epochs.push(record);
        const stored = await engine.read();
        const averages = averagesAfter(
          { epoch: epoch.epoch, tensors: stored },
          last?.tensors,
          configuration,
          model,
        );
        last = {
          epoch: record,
          seconds: (last?.seconds ?? 0) + seconds,
          tensors: { ...stored, ...averages },
        };
        folder?.append(record);
        // Before the checkpoint: what is resumed has the weights of all epochs before.
        if (configuration.keepWeights)
          await folder?.keepWeights(epoch.epoch, networkTensors(model, last.tensors));
        await folder?.saveCheckpoint(last);
        onEpoch?.(record);
      },
    }).catch((error) => {
      if (!(error instanceof NonFiniteError)) throw error;
      failure = error;
      return false;
    });

    const trained = networkTensors(model, last?.tensors ?? initial);
    const onnx = inferenceModel(network, trained, opened.task);
    const status = failure ? "diverged" : finished ? "finished" : "interrupted";
    const averaged =
      finished && last && configuration.averaging
        ? await finishAverage(engine, last.tensors, setup, network.ownBatch ?? batchSize)
        : undefined;
    // A run that ended between two looks, or that is only read again, gets one more.
    if (last && !evaluated) {
      await engine.write(last.tensors);
      evaluated = await measure();
    }
    const summary = last &&
      evaluated && {
        ...summarize(request, setup, last, status),
        ...(measurementsOf(last.epoch) ?? evaluated.measurements),
        ...averaged?.summary,
      };
    const details = await evaluated?.details?.();
    folder?.flush();
    if (folder && details) await keepEvaluation(folder.path, setup.opened, details, request);
    if (summary) {
      const weightsFile = writeSafetensors(stateDict(trained, summary.steps), { format: "pt" });
      await folder?.finish(summary, { model: onnx, weights: weightsFile, averagedModel: averaged?.model });
    }
    return {
      task: recordOf(request),
      summary,
      epochs,
      model: onnx,
      tensors: trained,
      averagedModel: averaged?.model,
      details,
      skippedSteps,
      failure,
    };
  } finally {
    fromFeatures?.close();
    await engine.close();
  }
}

/** Every kind of the optimizer's steps as a graph. */
function stepsOf({ objective, optimizer, options }: Pick<Setup, "objective" | "optimizer" | "options">) {
  return Object.keys(optimizer.steps).map((step) => ({
    step,
    graph: trainingStep(objective, optimizer, { ...options, step }),
  }));
}

/**
 * The summary of a run that `out` already holds and that went as far as it can; nothing when it is still to be begun or
 * gone on with. Throws `UserError` when `out` holds a run with other settings.
 */
export function endedRun({ configuration, data, layer, optimizer, out }: RunRequest & { out: string }) {
  return RunFolder.ended(
    out,
    describe({ configuration, data, layer }, optimizer ?? createOptimizer(configuration.optimizer)),
  );
}

/** Everything about a run that is settled before it begins. */
interface Setup {
  opened: OpenedTask;
  network: Network;
  optimizer: Optimizer;
  objective: Objective;
  model: Model;
  /** How every step treats the parameters and the mini-batch. */
  options: TrainingStepOptions;
  stepsPerEpoch: number;
  /** Parts that a mini-batch is computed in. */
  microBatches: number;
  /** Parameters and buffers to start from. */
  weights: Tensors;
  /** What frozen stages give, where they do. */
  features: FeaturePlan | undefined;
  /** What a person should know of the network and of what trains. */
  notes: readonly string[];
}

/** The data, network and optimizer that a request comes to. */
async function prepare(request: RunRequest): Promise<Setup> {
  const { configuration, data, task: kind, layer, optimizer } = request;
  const { batchSize, seed, parameters, clipNorm, perturbationPer, averaging } = configuration;
  const opened = openTask(configuration, data, kind);
  const { task, train } = opened;
  const given = await givenWeights(request);
  const whole = layer ? preparedNetwork(layer, task) : await networkOf(configuration, opened, given?.tensors);
  const microBatches = microBatchCount(configuration, whole.ownBatch);
  const built = { batchSize: batchSize / microBatches, training: true };
  const wholeModel = buildModel(whole.layer, { ...built, inputShape: whole.inputShape });
  const part = trainedPart(wholeModel, parameters);
  const network = frozenNetwork(whole, part.frozen);
  const { objective, model } = taskObjective(network, task, { ...built, purpose: "training" });
  // The head of a file is re-initialized in the file.
  const isNew = parameters.newHead === true && typeof configuration.model === "string";
  const { tensors, note } = startingTensors(model, seed, given, { stage: part.head, isNew });
  const features = parameters.features === "compute" ? undefined : await planFeatures(objective, opened);
  return {
    opened,
    network,
    optimizer: optimizer ?? createOptimizer(configuration.optimizer),
    stepsPerEpoch: Math.floor(train.count / batchSize),
    microBatches,
    objective,
    model,
    features,
    weights: tensors,
    notes: [
      ...(network.notes ?? []),
      ...(note === undefined ? [] : [note]),
      ...part.notes,
      ...(features ? [features.note] : []),
    ],
    options: {
      settings: part.settings,
      clipNorm,
      microBatches,
      perturbationPer,
      averageDecay: averaging?.name === "exponential" ? averaging.decay : undefined,
    },
  };
}

/** The network of averaged weights, measured on the test set. */
async function finishAverage(
  engine: Engine,
  stored: Tensors,
  { network, model, opened }: Setup,
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

async function openFolder({ out, existing = "refuse", ...request }: RunRequest, optimizer: Optimizer) {
  if (out === undefined) return undefined;
  const configuration = describe(request, optimizer);
  const record: RunRecord = {
    format: recordFormat,
    name: request.name,
    task: recordOf(request),
    createdAt: new Date().toISOString(),
    configuration,
    ...environment(),
  };
  return RunFolder.open(out, record, existing);
}

interface Evaluated extends Pick<TestEvaluation, "details"> {
  measurements: Measurements;
}

/** What is measured at the end of an epoch, on the weights stored in the engine. */
async function prepareMeasurements(
  engine: Engine,
  { network, opened }: Setup,
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
function measurementsOf({ testLoss, metrics, sharpness }: EpochRecord): Measurements | undefined {
  return testLoss !== undefined && metrics !== undefined ? { testLoss, metrics, sharpness } : undefined;
}

/** The run is worth as much without its pictures, so where they cannot be made it says so and goes on. */
async function keepEvaluation(
  folder: string,
  { evaluations: [{ source }] }: OpenedTask,
  details: Details,
  { configuration: { task }, onNote }: RunRequest,
): Promise<void> {
  try {
    await writeEvaluation(folder, { task, data: source.name, samples: source.count, details });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    onNote?.(`the evaluation of the test set is not kept: ${error.message}`);
  }
}

/** The weights a request names, if any. */
async function givenWeights({ weights, configuration }: RunRequest): Promise<GivenWeights | undefined> {
  if (weights) return { ...weights, source: "the tensors given" };
  if (!configuration.weights) return undefined;
  const { file, except, otherHead } = configuration.weights;
  return { tensors: await readWeights(file), source: file, except, otherHead };
}

/** Without the state of the optimizer. */
function networkTensors(model: Model, tensors: Tensors): Tensors {
  const names = [...model.parameters, ...model.buffers].map(({ name }) => name);
  return Object.fromEntries(names.map((name) => [name, tensors[name]]));
}

/** What records say of the task of a request. */
function recordOf(request: Pick<RunRequest, "task" | "configuration" | "data">): TaskRecord {
  const record = taskRecord(kindOf(request));
  return request.data.validation ? withValidation(record) : record;
}

/** The kind of problem that a request is of. */
function kindOf({ task, configuration }: Pick<RunRequest, "task" | "configuration">): TaskKind {
  return task ?? taskNamed(configuration.task);
}

/** The configuration as `run.json` holds it: what was really used, in plain data. */
function describe(
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

function summarize(
  { name, configuration: { task } }: RunRequest,
  { optimizer, model }: Setup,
  { epoch, seconds }: Checkpoint,
  status: RunSummary["status"],
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
  };
}
