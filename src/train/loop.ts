import type { Optimizer } from "../optim/optimizer.ts";
import { type StepScalars, scalarInputs, scalarsAt } from "../optim/scalars.ts";
import type { LearningRateSchedule, Progress } from "../optim/schedules.ts";
import type { Engine, Tensors } from "../runtime/engine.ts";
import type { StepRecord } from "./records.ts";

export interface LoopOptions {
  engine: Engine;
  /** Each kind of its steps is a program of the same name in the engine. */
  optimizer: Optimizer;
  /** The peak, and how it changes. */
  learningRate: number;
  schedule: LearningRateSchedule;
  epochs: number;
  stepsPerEpoch: number;
  /** Epochs already done: the loop begins after them. Default 0. */
  finishedEpochs?: number;
  /** The feeds of each step of an epoch (counted from 1). Their memory is handed over. */
  batches: (epoch: number) => AsyncIterable<Tensors>;
  /** `"stop"` (default) ends the run with `NonFiniteError`; `"skip"` drops the step and goes on. */
  onNonFinite?: "stop" | "skip";
  onStep: (record: StepRecord) => void | Promise<void>;
  /** Called after each epoch with the mean of its losses (NaN when all its steps were dropped) and the seconds its steps took. */
  onEpoch: (epoch: EpochEnd) => Promise<void>;
  /** Ends the loop after the step that is running. */
  signal?: AbortSignal;
}

export interface EpochEnd {
  epoch: number;
  /** Steps so far. */
  step: number;
  trainLoss: number;
  seconds: number;
  /** Mini-batch gradients computed in this epoch. */
  gradientEvaluations: number;
  /** The mean over the steps that perturb quantized weights. */
  integersChanged?: number;
}

/** A loss, gradient, ς or weight that is not finite. The message names step, pass and quantity. */
export class NonFiniteError extends Error {
  override readonly name = "NonFiniteError";
  /** Which step, and what of it is not finite. */
  readonly fault: string;

  /** @param advice what became of the weights, and what a program can do */
  constructor(fault: string, advice: string) {
    super(`${fault}; ${advice}`);
    this.fault = fault;
  }
}

/**
 * Trains epoch by epoch. While the engine computes a step, the next batch is prepared.
 * Returns whether all epochs were finished (false after an abort).
 */
export async function trainingLoop(options: LoopOptions): Promise<boolean> {
  const {
    engine,
    optimizer,
    epochs,
    stepsPerEpoch,
    finishedEpochs = 0,
    batches,
    onNonFinite = "stop",
    signal,
  } = options;
  for (let epoch = finishedEpochs + 1; epoch <= epochs; epoch++) {
    const started = performance.now();
    let step = (epoch - 1) * stepsPerEpoch;
    let lossSum = 0;
    let counted = 0;
    let gradientEvaluations = 0;
    const changes: number[] = [];
    const feeds = batches(epoch)[Symbol.asyncIterator]();
    try {
      for (let next = await feeds.next(); !next.done; ) {
        if (signal?.aborted) return false;
        const progress = progressAt(options, step);
        const kind = optimizer.stepAt(progress);
        gradientEvaluations += optimizer.steps[kind].gradientEvaluations;
        const scalars = scalarsAt(optimizer, progress);
        const feed = { ...next.value, ...scalarInputs(scalars) };
        const running = engine.run(kind, feed, { advance: true });
        // Where preparing the next batch throws, that is what the caller gets to hear, whatever becomes of this step.
        running.catch(() => {});
        next = await feeds.next();
        const { outputs, advanced } = await running;
        const record = stepRecord(outputs, scalars, ++step, epoch);
        if (!advanced) {
          if (onNonFinite === "stop") throw nonFinite(record);
          record.skipped = true;
        } else {
          lossSum += record.loss;
          counted++;
          if (record.integersChanged !== undefined) changes.push(record.integersChanged);
        }
        await options.onStep(record);
      }
    } finally {
      // Where the epoch ends early, its batches are closed: they may be prepared elsewhere.
      await feeds.return?.();
    }
    await options.onEpoch({
      epoch,
      step,
      trainLoss: lossSum / counted,
      seconds: (performance.now() - started) / 1000,
      gradientEvaluations,
      ...(changes.length > 0 && {
        integersChanged: changes.reduce((sum, change) => sum + change, 0) / changes.length,
      }),
    });
  }
  return true;
}

/** Where training is at a step (counted from 0). */
export function progressAt(
  {
    learningRate,
    schedule,
    epochs,
    stepsPerEpoch,
  }: Pick<LoopOptions, "learningRate" | "schedule" | "epochs" | "stepsPerEpoch">,
  step: number,
): Progress {
  const place = { step, totalSteps: epochs * stepsPerEpoch, stepsPerEpoch };
  const now = learningRate * schedule.factor(place);
  return { ...place, learningRate: { now, high: learningRate, low: learningRate * schedule.low } };
}

function stepRecord(outputs: Tensors, scalars: StepScalars, step: number, epoch: number): StepRecord {
  const record = { type: "step", step, epoch, ...scalars } as StepRecord;
  for (const [name, { data }] of Object.entries(outputs)) {
    Object.assign(record, { [camelCase(name)]: shorten(Number(data[0])) });
  }
  if (record.gradNorm === 0 || record.gradNormMin === 0) record.zeroGradient = true;
  return record;
}

/** Nine digits tell every float32 from every other. */
function shorten(value: number): number {
  return Number(value.toPrecision(9));
}

function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function nonFinite(record: StepRecord): NonFiniteError {
  const quantities: [keyof StepRecord, string][] = [
    ["loss", "the loss of pass 1 (at w)"],
    ["gradNorm", "the gradient of pass 1 (at w)"],
    ["lossMax", "the loss of pass 2 (at w + ε_max)"],
    ["gradNormMax", "the gradient of pass 2 (at w + ε_max)"],
    ["lossMin", "the loss of pass 3 (at w − ε_min)"],
    ["gradNormMin", "the gradient of pass 3 (at w − ε_min)"],
    ["scale", "ς"],
    ["directionNorm", "the direction of the update"],
  ];
  const found = quantities.find(([key]) => record[key] !== undefined && !Number.isFinite(record[key]));
  // The engine also refuses a step whose weights, optimizer state or running statistics are not finite.
  const what = found
    ? `${found[1]} is ${record[found[0]]}`
    : "the update after the last pass gives weights, state or running statistics that are not finite";
  const kept =
    record.epoch > 1 ? `the weights of the end of epoch ${record.epoch - 1}` : "the initial weights";
  return new NonFiniteError(
    `step ${record.step} (epoch ${record.epoch}): ${what}`,
    `${kept} are kept ` +
      '(lower the learning rate or the radius, or drop such steps with onNonFinite "skip")',
  );
}
