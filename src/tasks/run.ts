import { randomStream } from "../common/random.ts";
import { trainingBatches } from "../data/batches.ts";
import { type DatasetPair, type ImageDataset, subset, withLabelNoise } from "../data/dataset.ts";
import { compile } from "../lower/compile.ts";
import { createModel } from "../nn/models.ts";
import { initialTensors, type Layer, parameterCount } from "../nn/module.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { stateNames, trainingStep } from "../optim/training-step.ts";
import type { Tensors } from "../runtime/engine.ts";
import { openEngine } from "../runtime/remote.ts";
import { environment } from "../train/environment.ts";
import { NonFiniteError, trainingLoop } from "../train/loop.ts";
import type { EpochRecord, RunSummary, StepRecord } from "../train/records.ts";
import { type Checkpoint, type ExistingRun, RunFolder } from "../train/run-folder.ts";
import {
  type Classifier,
  ClassifierEvaluation,
  classificationObjective,
  inferenceModel,
  SharpnessMeasurement,
  trainingFeeds,
} from "./classification.ts";
import type { RunConfiguration } from "./configuration.ts";
import { createOptimizer, createSchedule, optimizerLabel } from "./optimizers.ts";

/** What a run is told besides its configuration. */
export interface RunHooks {
  /** Where to write the run; nothing is written when left out. */
  out?: string;
  /** What to do when `out` already holds a run. Default: refuse. */
  existing?: ExistingRun;
  onStart?: (run: {
    totalSteps: number;
    stepsPerEpoch: number;
    batchSize: number;
    finishedSteps: number;
  }) => void;
  onStep?: (record: StepRecord) => void;
  onEpoch?: (record: EpochRecord) => void;
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
}

export interface RunResult {
  /** Absent when not even one epoch was finished. */
  summary?: RunSummary;
  epochs: readonly EpochRecord[];
  /** The trained network as an ONNX file: input `input`, output `logits`. */
  model: Uint8Array;
  /** Why the run ended early, if a loss or gradient was not finite. */
  failure?: NonFiniteError;
}

/** Trains an image classifier: from a checked configuration and data to metrics, a summary and an ONNX model. */
export async function runClassification(request: RunRequest): Promise<RunResult> {
  const { configuration, hooks, train, test, wrong, classifier, optimizer } = prepare(request);
  const { batchSize, labelSmoothing, labelSmoothingKind, seed, augmentation } = configuration;
  const batchesOf = (epoch: number) => ({ batchSize, seed, epoch, augmentation });
  // Settings that do not fit the data are found before anything is written.
  trainingBatches(train, batchesOf(1));
  const smoothing = { labelSmoothing, labelSmoothingKind };
  const { objective, model } = classificationObjective(classifier, {
    batchSize,
    training: true,
    ...smoothing,
  });
  const step = compile(trainingStep(objective, optimizer));

  const folder = hooks.out
    ? await RunFolder.open(
        hooks.out,
        {
          name: request.name,
          createdAt: new Date().toISOString(),
          configuration: describe(request, optimizer),
          ...environment(),
        },
        hooks.existing ?? "refuse",
      )
    : undefined;
  const start = folder?.checkpoint;
  const engine = openEngine({ threads: configuration.threads });
  try {
    await engine.load("step", step);
    const testing = await ClassifierEvaluation.prepare(engine, classifier, test, "test");
    const learnt = wrong && (await ClassifierEvaluation.prepare(engine, classifier, train, "train"));
    const sharpness = await SharpnessMeasurement.prepare(engine, classifier, train, {
      ...configuration.sharpness,
      ...smoothing,
    });
    const initial = { ...zeroState(objective.parameters, optimizer), ...initialTensors(model, seed) };
    await engine.write(start?.tensors ?? initial);

    const stepsPerEpoch = Math.floor(train.count / batchSize);
    const finishedEpochs = start?.epoch.epoch ?? 0;
    hooks.onStart?.({
      totalSteps: configuration.epochs * stepsPerEpoch,
      stepsPerEpoch,
      batchSize,
      finishedSteps: finishedEpochs * stepsPerEpoch,
    });
    const epochs: EpochRecord[] = start ? [start.epoch] : [];
    let last: Checkpoint | undefined = start;
    let failure: NonFiniteError | undefined;
    const finished = await trainingLoop({
      engine,
      program: "step",
      optimizer,
      learningRate: configuration.learningRate,
      schedule: createSchedule(configuration.schedule),
      epochs: configuration.epochs,
      stepsPerEpoch,
      finishedEpochs,
      batches: (epoch) => trainingFeeds(train, batchesOf(epoch)),
      onNonFinite: configuration.onNonFinite,
      signal: hooks.signal,
      onStep: (record) => {
        folder?.append(record);
        hooks.onStep?.(record);
      },
      onEpoch: async ({ epoch, step: steps, trainLoss, seconds }) => {
        const { loss: testLoss, accuracy: testAccuracy } = await testing.measure();
        const record: EpochRecord = {
          type: "epoch",
          epoch,
          step: steps,
          trainLoss,
          testLoss,
          testAccuracy,
          ...(learnt && { wrongLabelAccuracy: (await learnt.measure(wrong)).accuracy }),
          sharpness: await sharpness.measure(),
          seconds,
          imagesPerSecond: (stepsPerEpoch * batchSize) / seconds,
          gradientEvaluations: steps * optimizer.gradientEvaluations,
        };
        epochs.push(record);
        last = { epoch: record, seconds: (last?.seconds ?? 0) + seconds, tensors: await engine.read() };
        folder?.append(record);
        await folder?.saveCheckpoint(last);
        hooks.onEpoch?.(record);
      },
    }).catch((error) => {
      if (!(error instanceof NonFiniteError)) throw error;
      failure = error;
      return false;
    });

    const names = [...model.parameters, ...model.buffers].map(({ name }) => name);
    const tensors = last?.tensors ?? initial;
    const onnx = inferenceModel(classifier, Object.fromEntries(names.map((name) => [name, tensors[name]])));
    const summary = last && {
      name: request.name,
      optimizer: optimizerLabel(optimizer.config),
      status: failure ? ("diverged" as const) : finished ? ("finished" as const) : ("interrupted" as const),
      parameters: parameterCount(model),
      seconds: last.seconds,
      ...endOf(last.epoch),
    };
    folder?.flush();
    if (summary) await folder?.finish(summary, onnx);
    return { summary, epochs, model: onnx, failure };
  } finally {
    await engine.close();
  }
}

/** The data, network and optimizer that a request comes to. */
function prepare({ configuration, data, layer, optimizer, ...hooks }: RunRequest) {
  const { seed, limit, labelNoise } = configuration;
  const drawn: ImageDataset =
    limit === undefined ? data.train : subset(data.train, limit, randomStream(seed, "subset"));
  const noisy =
    labelNoise > 0 ? withLabelNoise(drawn, labelNoise, randomStream(seed, "label noise")) : undefined;
  const { channels, height, width, classNames } = data.train;
  const shape = { channels, height, width, classes: classNames.length };
  const classifier: Classifier = {
    layer: layer ?? createModel(configuration.model, shape),
    inputShape: [channels, height, width],
  };
  return {
    configuration,
    hooks,
    train: noisy?.dataset ?? drawn,
    test: data.test,
    wrong: noisy && noisy.wrongCount > 0 ? noisy.wrong : undefined,
    classifier,
    optimizer: optimizer ?? createOptimizer(configuration.optimizer),
  };
}

/** The configuration as `run.json` holds it: what was really used, in plain data. */
function describe({ configuration, data, layer }: RunRequest, optimizer: Optimizer): Record<string, unknown> {
  return {
    ...configuration,
    data: data.train.name,
    model: layer ? "custom" : configuration.model,
    optimizer: optimizer.config,
  };
}

function zeroState(
  parameters: ReadonlyMap<string, { shape: readonly number[] }>,
  optimizer: Optimizer,
): Tensors {
  const state: Tensors = {};
  for (const [name, { shape }] of parameters) {
    for (const key of stateNames(optimizer, name)) {
      state[key] = { type: "float32", shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) };
    }
  }
  return state;
}

function endOf({
  epoch,
  step,
  testAccuracy,
  testLoss,
  trainLoss,
  wrongLabelAccuracy,
  sharpness,
  gradientEvaluations,
}: EpochRecord) {
  return {
    epochs: epoch,
    steps: step,
    testAccuracy,
    testLoss,
    trainLoss,
    ...(wrongLabelAccuracy !== undefined && { wrongLabelAccuracy }),
    sharpness,
    gradientEvaluations,
  };
}
