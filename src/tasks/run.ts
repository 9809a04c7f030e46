import { trainingBatches } from "../data/batches.ts";
import type { DatasetPair, ImageDataset } from "../data/dataset.ts";
import { validateDatasets, validateLogits } from "../data/validate.ts";
import { compile } from "../lower/compile.ts";
import { type Layer, type Model, parameterCount } from "../nn/module.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { resolveGroups } from "../optim/parameter-groups.ts";
import { initialState } from "../optim/state.ts";
import { type Objective, type TrainingStepOptions, trainingStep } from "../optim/training-step.ts";
import type { Engine, Tensors } from "../runtime/engine.ts";
import { openEngine } from "../runtime/remote.ts";
import { environment } from "../train/environment.ts";
import { NonFiniteError, trainingLoop } from "../train/loop.ts";
import {
  type EpochRecord,
  type Measurements,
  type RunRecord,
  type RunSummary,
  recordFormat,
  type StepRecord,
} from "../train/records.ts";
import { type Checkpoint, type ExistingRun, RunFolder } from "../train/run-folder.ts";
import { writeSafetensors } from "../weights/safetensors.ts";
import { stateDict } from "../weights/state-dict.ts";
import { averagedTensors, averagesAfter } from "./averaging.ts";
import {
  type Classifier,
  ClassifierEvaluation,
  classificationObjective,
  inferenceModel,
  microBatchCount,
  SharpnessMeasurement,
  trainingFeeds,
} from "./classification.ts";
import type { RunConfiguration } from "./configuration.ts";
import { misfits } from "./fit.ts";
import { type GivenWeights, readWeights, startingTensors } from "./initial-weights.ts";
import { networkOf } from "./network.ts";
import { createOptimizer, createSchedule, optimizerIdentity, optimizerLabel } from "./optimizers.ts";
import { trainingImages } from "./training-images.ts";

/** What runs here train: the name under which `metrics.ts` has what is measured. */
const task = "classification";

/** What a run is told besides its configuration. */
export interface RunHooks {
  /** Where to write the run; nothing is written when left out. */
  out?: string;
  /** What to do when `out` already holds a run. Default: refuse. */
  existing?: ExistingRun;
  onStart?: (run: {
    task: string;
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
  /** Ends the run after the step that is running; what was finished is kept. */
  signal?: AbortSignal;
}

export interface RunRequest extends RunHooks {
  name: string;
  configuration: RunConfiguration;
  /** The data set before the configuration's limit and label noise. */
  data: DatasetPair;
  /** In place of the configuration's, for what a document cannot say. */
  layer?: Layer;
  optimizer?: Optimizer;
  weights?: Pick<GivenWeights, "tensors" | "except">;
}

export interface RunResult {
  /** Absent when not even one epoch was finished. */
  summary?: RunSummary;
  /** All epochs, those before a resumption too. */
  epochs: readonly EpochRecord[];
  /** The network of the last finished epoch as an ONNX file: input `input`, output `logits`. */
  model: Uint8Array;
  /** Its parameters and buffers, by PyTorch's names. */
  tensors: Tensors;
  /** The network of averaged weights, likewise, where the configuration keeps one and the run was finished. */
  averagedModel?: Uint8Array;
  /** Steps that were dropped because something was not finite (`onNonFinite: "skip"`), since the run was last begun or resumed. */
  skippedSteps: number;
  /** Why the run ended early, if a loss or gradient was not finite. */
  failure?: NonFiniteError;
}

/** Trains an image classifier: from a checked configuration and data to metrics, a summary and an ONNX model. */
export async function runClassification(request: RunRequest): Promise<RunResult> {
  const { configuration, signal, onNote, onStart, onStep, onEpoch } = request;
  const { batchSize, seed, augmentation, epochs: totalEpochs, evaluateEvery } = configuration;
  const setup = await prepare(request);
  const { train, optimizer, model, stepsPerEpoch, microBatches } = setup;
  const notes = [...(setup.classifier.notes ?? []), ...misfits(configuration, optimizer, stepsPerEpoch)];
  const batchesOf = (epoch: number) => ({ batchSize, seed, epoch, augmentation });
  // Settings that do not fit the data are found before anything is written.
  trainingBatches(train, batchesOf(1));
  const steps = Object.keys(optimizer.steps).map((step) => ({
    step,
    graph: trainingStep(setup.objective, optimizer, { ...setup.options, step }),
  }));
  const weights = startingTensors(model, seed, await givenWeights(request));
  const folder = await openFolder(request, optimizer);
  for (const note of notes) onNote?.(note);

  const engine = openEngine({ threads: configuration.threads });
  try {
    const target = await engine.target();
    for (const { step, graph } of steps) await engine.load(step, compile(graph, { target }));
    const measure = await prepareMeasurements(engine, setup, configuration);
    const initial = { ...weights, ...initialState(setup.objective, optimizer, weights, setup.options) };
    let last: Checkpoint | undefined = folder?.checkpoint;
    await engine.write(last?.tensors ?? initial);
    const epochs: EpochRecord[] = [...(folder?.epochs ?? [])];
    let skippedSteps = 0;
    const finishedEpochs = last?.epoch.epoch ?? 0;
    const [totalSteps, finishedSteps] = [totalEpochs * stepsPerEpoch, finishedEpochs * stepsPerEpoch];
    onStart?.({ task, totalSteps, finishedSteps, stepsPerEpoch, batchSize });

    if (configuration.keepWeights && !last) await folder?.keepWeights(0, networkTensors(model, initial));

    let failure: NonFiniteError | undefined;
    const finished = await trainingLoop({
      engine,
      optimizer,
      learningRate: configuration.learningRate,
      schedule: createSchedule(configuration.schedule),
      epochs: totalEpochs,
      stepsPerEpoch,
      finishedEpochs,
      batches: (epoch) => trainingFeeds(train, model, { ...batchesOf(epoch), microBatches }),
      onNonFinite: configuration.onNonFinite,
      signal,
      onStep: (record) => {
        if (record.skipped) skippedSteps++;
        folder?.append(record);
        onStep?.(record);
      },
      onEpoch: async ({ seconds, gradientEvaluations, ...epoch }) => {
        const isMeasured = epoch.epoch % evaluateEvery === 0 || epoch.epoch === totalEpochs;
        const record: EpochRecord = {
          type: "epoch",
          ...epoch,
          ...(isMeasured && (await measure())),
          seconds,
          imagesPerSecond: (stepsPerEpoch * batchSize) / seconds,
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
    const onnx = inferenceModel(setup.classifier, trained);
    const status = failure ? "diverged" : finished ? "finished" : "interrupted";
    const averaged =
      finished && last && configuration.averaging
        ? await finishAverage(engine, last.tensors, setup, setup.classifier.ownBatch ?? batchSize)
        : undefined;
    const summary = last && {
      ...summarize(request.name, setup, last, status),
      ...(await measurementsAt(last, engine, measure)),
      ...averaged?.summary,
    };
    folder?.flush();
    if (summary) {
      const weightsFile = writeSafetensors(stateDict(trained, summary.steps), { format: "pt" });
      await folder?.finish(summary, { model: onnx, weights: weightsFile, averagedModel: averaged?.model });
    }
    return {
      summary,
      epochs,
      model: onnx,
      tensors: trained,
      averagedModel: averaged?.model,
      skippedSteps,
      failure,
    };
  } finally {
    await engine.close();
  }
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
  train: ImageDataset;
  test: ImageDataset;
  /** 1 for each training image with a wrong label; absent when there are none. */
  wrong: Uint8Array | undefined;
  classifier: Classifier;
  optimizer: Optimizer;
  objective: Objective;
  model: Model;
  /** How every step treats the parameters and the mini-batch. */
  options: TrainingStepOptions;
  stepsPerEpoch: number;
  /** Parts that a mini-batch is computed in. */
  microBatches: number;
}

/** The data, network and optimizer that a request comes to. */
async function prepare({ configuration, data, layer, optimizer }: RunRequest): Promise<Setup> {
  const { batchSize, labelSmoothing, labelSmoothingKind } = configuration;
  validateDatasets(data);
  const { dataset: train, noise } = trainingImages(data.train, configuration);
  const { channels, height, width } = data.train;
  const classifier: Classifier = layer
    ? { layer, inputShape: [channels, height, width] }
    : await networkOf(configuration, data.train);
  const { parameters, clipNorm, perturbationPer, averaging } = configuration;
  const microBatches = microBatchCount(configuration, classifier.ownBatch);
  const { objective, model } = classificationObjective(classifier, {
    batchSize: batchSize / microBatches,
    training: true,
    labelSmoothing,
    labelSmoothingKind,
  });
  validateLogits(model.logits.shape, train);
  return {
    train,
    test: data.test,
    wrong: noise && noise.wrongCount > 0 ? noise.wrong : undefined,
    classifier,
    optimizer: optimizer ?? createOptimizer(configuration.optimizer),
    stepsPerEpoch: Math.floor(train.count / batchSize),
    microBatches,
    objective,
    model,
    options: {
      settings: resolveGroups(model.parameters, parameters.groups, parameters.perturb),
      clipNorm,
      microBatches,
      perturbationPer,
      averageDecay: averaging?.name === "exponential" ? averaging.decay : undefined,
    },
  };
}

/** The network of averaged weights, measured on the test images. */
async function finishAverage(
  engine: Engine,
  stored: Tensors,
  { classifier, model, train, test }: Setup,
  batchSize: number,
) {
  const tensors = await averagedTensors(engine, stored, classifier, model, train, batchSize);
  await engine.write(tensors);
  const { loss: testLoss, accuracy } = await (
    await ClassifierEvaluation.prepare(engine, classifier, test, "test")
  ).measure();
  return {
    summary: { averaged: { testLoss, metrics: { accuracy } } },
    model: inferenceModel(classifier, tensors),
  };
}

async function openFolder({ out, existing = "refuse", ...request }: RunRequest, optimizer: Optimizer) {
  if (out === undefined) return undefined;
  const configuration = describe(request, optimizer);
  const record: RunRecord = {
    format: recordFormat,
    name: request.name,
    task,
    createdAt: new Date().toISOString(),
    configuration,
    ...environment(),
  };
  return RunFolder.open(out, record, existing);
}

/** What is measured at the end of an epoch, on the weights stored in the engine. */
async function prepareMeasurements(
  engine: Engine,
  { classifier, train, test, wrong }: Setup,
  { sharpness, labelSmoothing, labelSmoothingKind }: RunConfiguration,
) {
  const testing = await ClassifierEvaluation.prepare(engine, classifier, test, "test");
  const learnt = wrong && (await ClassifierEvaluation.prepare(engine, classifier, train, "train"));
  const flatness = await SharpnessMeasurement.prepare(engine, classifier, train, {
    ...sharpness,
    labelSmoothing,
    labelSmoothingKind,
  });
  return async () => {
    const { loss: testLoss, accuracy } = await testing.measure();
    return {
      testLoss,
      metrics: {
        accuracy,
        ...(learnt && { wrongLabelAccuracy: (await learnt.measure(wrong)).accuracy }),
      },
      sharpness: await flatness.measure(),
    };
  };
}

/** Those of the last epoch; a run that ended between two looks gets one more. */
async function measurementsAt(
  { epoch, tensors }: Checkpoint,
  engine: Engine,
  measure: () => Promise<Measurements>,
): Promise<Measurements> {
  const { testLoss, metrics, sharpness } = epoch;
  if (testLoss !== undefined && metrics !== undefined) return { testLoss, metrics, sharpness };
  await engine.write(tensors);
  return measure();
}

/** The weights a request names, if any. */
async function givenWeights({ weights, configuration }: RunRequest): Promise<GivenWeights | undefined> {
  if (weights) return { ...weights, source: "the tensors given" };
  if (!configuration.weights) return undefined;
  const { file, except } = configuration.weights;
  return { tensors: await readWeights(file), source: file, except };
}

/** Without the state of the optimizer. */
function networkTensors(model: Model, tensors: Tensors): Tensors {
  const names = [...model.parameters, ...model.buffers].map(({ name }) => name);
  return Object.fromEntries(names.map((name) => [name, tensors[name]]));
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
  name: string,
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
