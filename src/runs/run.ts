import { trainingBatches } from "../data/rows.ts";
import { initialState } from "../optim/state.ts";
import { openDevice } from "../platform/open-device.ts";
import type { Tensors } from "../runtime/engine.ts";
import { DeviceError, isProving } from "../runtime/proving-engine.ts";
import type { Details } from "../tasks/details.ts";
import { inferenceModel, trainingFeeds } from "../tasks/task-network.ts";
import { NonFiniteError, trainingLoop } from "../train/loop.ts";
import type { EpochRecord, RunSummary } from "../train/records.ts";
import type { TaskRecord } from "../train/task-record.ts";
import { stateDict } from "../weights/state-dict.ts";
import { averagesAfter } from "./averaging.ts";
import { firstFeeds, loadSteps } from "./device.ts";
import type { FeatureTraining } from "./features.ts";
import { misfits } from "./fit.ts";
import { createOptimizer, createSchedule } from "./optimizers.ts";
import type { Checkpoint } from "./run-folder.ts";
import {
  type Evaluated,
  finishAverage,
  keepEvaluation,
  measurementsOf,
  networkTensors,
  prepareMeasurements,
} from "./run-measurements.ts";
import { describe, openFolder, type RunRequest, recordOf, summarize } from "./run-request.ts";
import { prepare, stepsOf } from "./run-setup.ts";

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
  /** Why the run ended early, if a loss or gradient was not finite, or its device failed. */
  failure?: NonFiniteError | DeviceError;
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
  // A device that cannot be opened is found before anything is written, too.
  const open = request.openDevice ?? openDevice;
  const engine = await open(configuration.device ?? "cpu", { threads: configuration.threads, onNote });
  let fromFeatures: FeatureTraining | undefined;
  try {
    const folder = await openFolder(request, optimizer);
    for (const note of notes) onNote?.(note);
    const initial = { ...weights, ...initialState(setup.objective, optimizer, weights, setup.options) };
    let last: Checkpoint | undefined = folder?.checkpoint;
    await engine.write(last?.tensors ?? initial);
    if (features?.kept) {
      const hooks = { signal, onNote, onProgress: onFeatures };
      const { keepFeatures } = await import("./features.ts");
      fromFeatures = await keepFeatures(engine, setup, { plan: features, folder: request.out, ...hooks });
    }
    const steps = fromFeatures ? stepsOf({ ...setup, objective: fromFeatures.objective }) : checked;
    const finishedEpochs = last?.epoch.epoch ?? 0;
    const source = fromFeatures?.opened ?? opened;
    const place = { configuration, stepsPerEpoch, finishedEpochs, microBatches };
    const device = await loadSteps(engine, {
      steps,
      tensors: last?.tensors ?? initial,
      feeds: () => firstFeeds(source, model, optimizer, place),
      onNote,
    });
    const prepareMeasure = () => prepareMeasurements(engine, setup, recordOf(request), configuration);
    let measure = await prepareMeasure();
    const epochs: EpochRecord[] = [...(folder?.epochs ?? [])];
    let skippedSteps = 0;
    const remarks = new Set<string>();
    const [totalSteps, finishedSteps] = [totalEpochs * stepsPerEpoch, finishedEpochs * stepsPerEpoch];
    onStart?.({ task: recordOf(request), totalSteps, finishedSteps, stepsPerEpoch, batchSize, device });

    if (configuration.keepWeights && !last) await folder?.keepWeights(0, networkTensors(model, initial));

    /** Of the weights of the last epoch that was measured. */
    let evaluated: Evaluated | undefined;
    let failure: RunResult["failure"];
    const finished = await trainingLoop({
      engine,
      optimizer,
      learningRate: configuration.learningRate,
      schedule: createSchedule(configuration.schedule),
      epochs: totalEpochs,
      stepsPerEpoch,
      finishedEpochs,
      batches: (epoch) =>
        trainingFeeds(source, model, {
          ...batchesOf(epoch),
          microBatches,
          onRemark: (remark) => {
            if (!remarks.has(remark)) onNote?.(remark);
            remarks.add(remark);
          },
        }),
      onNonFinite: configuration.onNonFinite,
      signal,
      onStep: async (record) => {
        if (record.skipped) skippedSteps++;
        await folder?.append(record);
        await onStep?.(record);
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
        await folder?.append(record);
        // Before the checkpoint: what is resumed has the weights of all epochs before.
        if (configuration.keepWeights)
          await folder?.keepWeights(epoch.epoch, networkTensors(model, last.tensors));
        await folder?.saveCheckpoint(last);
        if (!onEpoch) return;
        const tensors = networkTensors(model, last.tensors);
        onEpoch(record, { tensors, model: () => inferenceModel(network, tensors, opened.task) });
      },
    }).catch(async (error) => {
      if (error instanceof DeviceError && isProving(engine)) {
        failure = deviceFailure(error, last?.epoch.epoch);
        await engine.fallBack(error.message, last?.tensors ?? initial);
        measure = await prepareMeasure();
        evaluated = undefined;
      } else if (error instanceof NonFiniteError) {
        failure = error;
      } else throw error;
      return false;
    });

    const trained = networkTensors(model, last?.tensors ?? initial);
    const onnx = inferenceModel(network, trained, opened.task);
    const diverged = failure instanceof NonFiniteError;
    const status = diverged ? "diverged" : finished ? "finished" : "interrupted";
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
        ...summarize(request, setup, last, { status, device }),
        ...(measurementsOf(last.epoch) ?? evaluated.measurements),
        ...averaged?.summary,
      };
    const details = await evaluated?.details?.();
    await folder?.flush();
    if (folder && details) await keepEvaluation(folder.path, setup.opened, details, request);
    if (summary) {
      const weights = stateDict(trained, summary.steps);
      await folder?.finish(summary, { model: onnx, weights, averagedModel: averaged?.model });
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

/** @param epoch the last that was finished */
function deviceFailure({ message }: DeviceError, epoch: number | undefined): DeviceError {
  const kept = epoch === undefined ? "the initial weights" : `the weights of the end of epoch ${epoch}`;
  return new DeviceError(`${message}; ${kept} are kept, and the run can be resumed, also with device "cpu"`);
}

/**
 * The summary of a run that `out` already holds and that went as far as it can; nothing when it is still to be begun or
 * resumed. Throws `UserError` when `out` holds a run with other settings.
 */
export async function endedRun({ configuration, data, layer, optimizer, out }: RunRequest & { out: string }) {
  const { RunFolder } = await import("./run-folder.ts");
  return RunFolder.ended(
    out,
    describe({ configuration, data, layer }, optimizer ?? createOptimizer(configuration.optimizer)),
  );
}
