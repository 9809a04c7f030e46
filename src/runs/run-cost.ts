import { median } from "../common/numbers.ts";
import { trainingBatches } from "../data/rows.ts";
import { type DataSource, selected } from "../data/source.ts";
import { multiplyAdds } from "../import/multiply-adds.ts";
import { compile } from "../lower/compile.ts";
import { parameterCount } from "../nn/module.ts";
import type { Optimizer } from "../optim/optimizer.ts";
import { initialState } from "../optim/state.ts";
import type { Engine } from "../runtime/engine.ts";
import { openEngine } from "../runtime/remote.ts";
import { TaskEvaluation } from "../tasks/task-evaluation.ts";
import { evaluationBatchSize, inferenceModel, trainingFeeds } from "../tasks/task-network.ts";
import { progressAt, trainingLoop } from "../train/loop.ts";
import { writeSafetensors } from "../weights/safetensors.ts";
import type { RunConfiguration } from "./configuration.ts";
import { drawPictures } from "./evaluation-record.ts";
import { keepFeatures } from "./features.ts";
import { type OptimizerIdentity, optimizerIdentity, optimizerLabel } from "./optimizer-label.ts";
import { createSchedule } from "./optimizers.ts";
import { networkTensors } from "./run-measurements.ts";
import type { RunRequest } from "./run-request.ts";
import { prepare, type RunSetup, stepsOf } from "./run-setup.ts";
import { SharpnessMeasurement } from "./sharpness-measurement.ts";

// What a run costs on this machine, from a few of its steps and one batch of each evaluation. Nothing is written.

export interface RunCost extends OptimizerIdentity {
  name: string;
  /** The optimizer as a reader would name it. */
  label: string;
  parameters: number;
  epochs: number;
  steps: number;
  /** Mini-batch gradients of all steps. */
  gradientEvaluations: number;
  /** Floating-point operations of all steps: two for each multiply-add of convolutions and matrix products. */
  flops: number;
  evaluations: number;
  seconds: {
    /** Before the first step: network, programs, and what frozen stages give. */
    preparation: number;
    /** On average, where steps are of several kinds. */
    step: number;
    /** Of the test set, and the sharpness. */
    evaluation: number;
    /** Of what surrounds the runs of a command, where it counts that: its start, loading the data, the report. */
    command?: number;
    /** Of the whole run, and of the command where that is counted. */
    total: number;
  };
  /** The largest memory of this process so far, which earlier runs of a comparison may have needed. */
  peakMemoryBytes: number;
  /** What the run folder will hold. */
  diskBytes: number;
}

export interface RunCostRequest extends Pick<RunRequest, "name" | "configuration" | "data"> {
  signal?: AbortSignal;
  /** Called as the steps go on. */
  onProgress?: (done: number, total: number) => void;
}

/** Steps of each kind that are run at least, and for how long: a network of short steps takes more of them to warm up. */
const phases = { warmUp: { steps: 1, seconds: 0.5 }, timed: { steps: 3, seconds: 1 } };

/** Batches of images whose features are computed, where frozen stages give any. */
const batchesOfFeatures = 8;

/** About what a run folder holds besides weights: report.html with its charts, evaluation.json, pictures; epochs' records. */
const reportBytes = 1.5e6;
const epochBytes = 600;

/**
 * Measures what a run would cost: at least three steps of each kind that the optimizer has, after at least one
 * that is not timed, as a run makes them.
 * @throws UserError for settings that do not fit the data, as the run would; the signal's reason where it is aborted
 */
export async function measureRunCost(request: RunCostRequest): Promise<RunCost> {
  const { configuration, name, signal } = request;
  const { epochs, evaluateEvery, batchSize, seed } = configuration;
  const started = performance.now();
  const setup = await prepare(request);
  const { opened, optimizer, model, features, stepsPerEpoch } = setup;
  trainingBatches(opened.train, { batchSize, seed, epoch: 1, row: opened.task.row });
  const evaluations = Math.ceil(epochs / evaluateEvery);
  const engine = openEngine({ threads: configuration.threads });
  let close = () => {};
  try {
    const sample = await prepareSteps(engine, setup, request);
    close = sample.close;
    const evaluate = await prepareEvaluation(engine, setup, configuration, evaluations);
    const preparation = secondsSince(started) + sample.secondsLeftOut;
    const timed = await timeSteps(engine, { ...setup, opened: sample.opened }, request);
    const { evaluation, once } = await evaluate();
    signal?.throwIfAborted();
    const files = await measureFiles(engine, setup, configuration);
    const counts = [...kindCounts(optimizer, configuration, stepsPerEpoch)];
    const overSteps = (of: (kind: string) => number) =>
      counts.reduce((sum, [kind, count]) => sum + count * of(kind), 0);
    const steps = epochs * stepsPerEpoch;
    const training = overSteps((kind) => timed.seconds[kind]);
    return {
      name,
      label: optimizerLabel(optimizer.config),
      ...optimizerIdentity(optimizer.config),
      ...{ parameters: parameterCount(model), epochs, steps, evaluations },
      gradientEvaluations: overSteps((kind) => optimizer.steps[kind].gradientEvaluations),
      flops: 2 * overSteps((kind) => sample.multiplyAdds[kind]),
      seconds: {
        preparation,
        step: training / steps,
        evaluation,
        total:
          preparation +
          timed.secondsOfStart +
          training +
          evaluations * evaluation +
          epochs * files.checkpointSeconds +
          files.modelSeconds +
          once,
      },
      peakMemoryBytes:
        1024 * process.resourceUsage().maxRSS + (features?.kept && !features.inFile ? features.bytes : 0),
      diskBytes: files.bytes + steps * timed.recordBytes + epochs * epochBytes + reportBytes,
    };
  } finally {
    close();
    await engine.close();
  }
}

/** Loads the programs of the steps, and computes what frozen stages give for a few of the images. */
async function prepareSteps(engine: Engine, setup: RunSetup, { configuration, signal }: RunCostRequest) {
  const { opened, optimizer, objective, options, weights, features } = setup;
  const { train } = opened;
  await engine.write({ ...weights, ...initialState(objective, optimizer, weights, options) });
  const count = Math.min(train.count, batchesOfFeatures * configuration.batchSize);
  const few = { ...opened, train: first(train, count), order: undefined };
  const started = performance.now();
  const plan = features?.kept ? { ...features, inFile: false } : undefined;
  const kept = plan && (await keepFeatures(engine, { ...setup, opened: few }, { plan, signal }));
  signal?.throwIfAborted();
  const secondsLeftOut = kept ? secondsSince(started) * (train.count / count - 1) : 0;
  const target = await engine.target();
  const counted: Record<string, number> = {};
  for (const { step, graph } of stepsOf({ ...setup, objective: kept?.objective ?? objective })) {
    counted[step] = [...multiplyAdds(graph).values()].reduce((sum, own) => sum + own, 0);
    await engine.load(step, compile(graph, { target }));
  }
  return {
    opened: kept?.opened ?? opened,
    multiplyAdds: counted,
    secondsLeftOut,
    close: () => kept?.close(),
  };
}

/** Runs steps of each kind, one kind after another, through the loop of a run. The medians of their seconds, by kind. */
async function timeSteps(
  engine: Engine,
  {
    opened,
    optimizer,
    model,
    microBatches,
  }: Pick<RunSetup, "optimizer" | "model" | "microBatches"> & { opened: Parameters<typeof trainingFeeds>[0] },
  { configuration, signal, onProgress }: RunCostRequest,
) {
  const { batchSize, seed, learningRate, schedule } = configuration;
  const kinds = Object.keys(optimizer.steps);
  const seconds: Record<string, number> = {};
  /** What the first step of each kind takes more than others, as memory is reserved in it. */
  let secondsOfStart = 0;
  const enough = new AbortController();
  let [kind, recordBytes, done] = [0, 0, 0];
  let phase: keyof typeof phases = "warmUp";
  let own: number[] = [];
  let last = performance.now();
  await trainingLoop({
    engine,
    optimizer: { ...optimizer, stepAt: () => kinds[kind] },
    learningRate,
    schedule: createSchedule(schedule),
    // Until there are enough.
    epochs: Number.POSITIVE_INFINITY,
    stepsPerEpoch: Math.floor(opened.train.count / batchSize),
    batches: (epoch) => trainingFeeds(opened, model, { batchSize, seed, epoch, microBatches }),
    // Whether training would diverge is not asked here.
    onNonFinite: "skip",
    signal: AbortSignal.any([enough.signal, ...(signal ? [signal] : [])]),
    onStep: (record) => {
      own.push(secondsSince(last));
      last = performance.now();
      if (phase === "warmUp" && own.length === 1) secondsOfStart += own[0];
      recordBytes = Math.max(recordBytes, JSON.stringify(record).length + 1);
      const { steps, seconds: least } = phases[phase];
      if (own.length < steps || own.reduce((sum, one) => sum + one) < least) return;
      if (phase === "warmUp") phase = "timed";
      else {
        seconds[kinds[kind]] = median(own);
        secondsOfStart -= seconds[kinds[kind]];
        phase = "warmUp";
        kind++;
      }
      own = [];
      onProgress?.(++done, 2 * kinds.length);
      if (kind === kinds.length) enough.abort();
    },
    onEpoch: async () => {
      last = performance.now();
    },
  });
  signal?.throwIfAborted();
  return { seconds, secondsOfStart, recordBytes };
}

/**
 * Prepares the evaluation at the end of an epoch. What is returned measures it: one batch of each set, for as many as
 * there are, the sharpness as it is, and what happens once in a run: what the first evaluation takes more than others, and
 * drawing the pictures of the test set.
 */
async function prepareEvaluation(
  engine: Engine,
  { opened, network }: RunSetup,
  { sharpness }: RunConfiguration,
  timesMeasured: number,
): Promise<() => Promise<{ evaluation: number; once: number }>> {
  const { task, evaluations, validation } = opened;
  const batches: { count: number; all: number; evaluation: TaskEvaluation }[] = [];
  for (const [index, one] of [...evaluations, ...(validation ? [validation] : [])].entries()) {
    const { source } = one;
    const count = Math.min(source.count, evaluationBatchSize(network, source.count));
    const program = `evaluation ${index}`;
    const evaluation = { ...one, source: first(source, count) };
    const prepared = await TaskEvaluation.prepare(engine, network, { task, evaluation, program });
    batches.push({ count, all: source.count, evaluation: prepared });
  }
  const flatness = await SharpnessMeasurement.prepare(engine, network, opened, sharpness);
  return async () => {
    let seconds = 0;
    let once = 0;
    for (const [index, { count, all, evaluation }] of batches.entries()) {
      const begun = performance.now();
      await evaluation.measure();
      const started = performance.now();
      const { details } = await evaluation.measure();
      const batch = secondsSince(started);
      seconds += (batch * all) / count;
      once += (started - begun) / 1000 - batch;
      const drawn = performance.now();
      if (index === 0 && details) await drawPictures(await details());
      once += secondsSince(drawn);
    }
    // Memory is planned in the first run of a program and taken in the second.
    if (timesMeasured > 1) await flatness.measure();
    const started = performance.now();
    await flatness.measure();
    return { evaluation: seconds + secondsSince(started), once };
  };
}

/** The files with weights, made as a run makes them and not written. */
async function measureFiles(
  engine: Engine,
  { network, model, opened, weights }: RunSetup,
  { averaging, keepWeights, epochs }: RunConfiguration,
) {
  const started = performance.now();
  const checkpoint = writeSafetensors(await engine.read()).length;
  const checkpointSeconds = secondsSince(started);
  const tensors = networkTensors(model, weights);
  const onnx = inferenceModel(network, tensors, opened.task).length;
  const weightsBytes = writeSafetensors(tensors).length;
  const modelSeconds = secondsSince(started) - checkpointSeconds;
  const average = averaging ? onnx + (averaging.name === "stochastic" ? weightsBytes : 0) : 0;
  const kept = keepWeights ? (epochs + 1) * weightsBytes : 0;
  return { bytes: checkpoint + onnx + weightsBytes + average + kept, checkpointSeconds, modelSeconds };
}

/** How many steps of a run are of each kind. */
function kindCounts(
  optimizer: Optimizer,
  { learningRate, schedule, epochs }: RunConfiguration,
  stepsPerEpoch: number,
): Map<string, number> {
  const run = { learningRate, schedule: createSchedule(schedule), epochs, stepsPerEpoch };
  const counts = new Map<string, number>();
  for (let step = 0; step < epochs * stepsPerEpoch; step++) {
    const kind = optimizer.stepAt(progressAt(run, step));
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}

function first<Source extends DataSource>(source: Source, count: number): Source {
  return selected(
    source,
    Array.from({ length: count }, (_, index) => index),
  );
}

function secondsSince(started: number): number {
  return (performance.now() - started) / 1000;
}
