import type { Spectrum } from "../flatness/index.ts";
import { isNumber } from "../report/numbers.ts";
import { readRun } from "../report/read.ts";
import { binSteps, sampleSteps } from "../report/thin.ts";
import { currentTask, withMetrics } from "../runs/older-records.ts";
import type { StepRecord } from "../train/records.ts";
import type { TaskRecord } from "../train/task-record.ts";
import type { FigureRole, FiguresConfiguration } from "./configuration.ts";
import type { PlacedRun } from "./runs.ts";

// What the paper's figures are drawn from: the few numbers of all runs that they show, as plain data.

/** `results.json`: what the runs came to. Numbers that are not there or not finite are `null`. */
export interface FiguresResults {
  type: "figures";
  createdAt: string;
  task: TaskRecord;
  /** Of all runs. */
  configuration: FiguresConfiguration;
  versions: Record<string, string>;
  machine: object;
  runs: FigureRunResult[];
}

/** What the figures show of one run. */
export interface FigureRunResult {
  name: string;
  role: FigureRole;
  seed: number;
  /** "finished", "diverged", or how far it has come. */
  status: string;
  epochs: EpochResult[];
  /** MaxS, MinS and BilS after the last epoch. */
  sharpness?: { rho: number; maxSharpness: number; minSharpness: number; bilateralSharpness: number };
  /** Of runs that take g⁻. */
  conflict?: GradientConflict;
  spectrum?: TestSpectrum;
}

export interface EpochResult {
  epoch: number;
  trainLoss: number | null;
  testLoss: number | null;
  /** By the names of the task's metrics; none where nothing was measured. */
  metrics: Record<string, number | null>;
}

/** How g and g⁻, the gradients at the weights and ρ_min downhill, point. */
export interface GradientConflict {
  /** Steps whose cosine is known. */
  steps: number;
  /** Shares of steps with cos(g, g⁻) < 0: of all, of the first and of the last third of training. */
  share: number;
  firstThird: number;
  lastThird: number;
  meanCosine: number;
  /** Medians of the cosine over bins of consecutive steps; `step` is each bin's last. */
  cosine: { step: number; cosine: number }[];
  /** Learning rate and ρ_min at some of the steps. */
  radius: { learningRate: number; rhoMin: number }[];
}

/** The largest eigenvalues of the Hessian on test images. */
export interface TestSpectrum {
  examples: number;
  /** Of the gradient of the smoothed loss, in descending order. */
  largest: number[];
  /** Largest residual among them, relative to the largest eigenvalue. */
  residual: number;
  converged: boolean;
}

/** Results as an earlier version wrote them, in the form of today. */
export function currentResults(results: FiguresResults): FiguresResults {
  const runs = results.runs.map((run) => ({ ...run, epochs: run.epochs.map((epoch) => withMetrics(epoch)) }));
  return { ...results, task: currentTask(results.task), runs };
}

/** Reads the run folders. Runs that are not finished are read as far as they go. */
export async function collectResults(
  configuration: FiguresConfiguration,
  runs: readonly PlacedRun[],
  spectra: ReadonlyMap<string, { spectrum: Spectrum; examples: number }> = new Map(),
): Promise<FiguresResults> {
  const results: FigureRunResult[] = [];
  let record: Pick<FiguresResults, "task" | "versions" | "machine"> = {
    task: currentTask(),
    versions: {},
    machine: {},
  };
  for (const { name, role, seed, folder } of runs) {
    const run = await readRun(folder);
    if (run.record) record = { task: run.task, versions: run.record.versions, machine: run.record.machine };
    const sharpness = run.outcome?.sharpness;
    const measured = spectra.get(folder);
    results.push({
      name,
      role,
      seed,
      status: run.status,
      epochs: run.epochs.map(({ epoch, trainLoss, testLoss, metrics = {} }) => ({
        epoch,
        trainLoss: rounded(trainLoss),
        testLoss: rounded(testLoss),
        metrics: Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, rounded(value)])),
      })),
      ...(sharpness && {
        sharpness: {
          rho: sharpness.rho,
          maxSharpness: sharpness.maxSharpness,
          minSharpness: sharpness.minSharpness,
          bilateralSharpness: sharpness.bilateralSharpness,
        },
      }),
      ...conflictOf(run.steps),
      ...(measured && { spectrum: spectrumOf(measured) }),
    });
  }
  return { type: "figures", createdAt: new Date().toISOString(), configuration, ...record, runs: results };
}

function conflictOf(steps: StepRecord[]): { conflict?: GradientConflict } {
  const known = steps.filter(({ cosGradMin }) => isNumber(cosGradMin));
  if (known.length === 0) return {};
  const share = (part: StepRecord[]) =>
    part.filter(({ cosGradMin }) => Number(cosGradMin) < 0).length / Math.max(1, part.length);
  const third = Math.ceil(known.length / 3);
  const { columns } = binSteps(known, ["cosGradMin"]);
  return {
    conflict: {
      steps: known.length,
      share: share(known),
      firstThird: share(known.slice(0, third)),
      lastThird: share(known.slice(-third)),
      meanCosine: known.reduce((sum, { cosGradMin }) => sum + Number(cosGradMin), 0) / known.length,
      cosine: columns.step.map((step, index) => ({
        step: Number(step),
        cosine: Number(columns.cosGradMin[index]),
      })),
      radius: sampleSteps(known, 40).map(({ learningRate, scalars }) => ({
        learningRate: Number(rounded(learningRate)),
        rhoMin: Number(rounded(scalars.rhoMin)),
      })),
    },
  };
}

function spectrumOf({ spectrum, examples }: { spectrum: Spectrum; examples: number }): TestSpectrum {
  const [{ value: top }] = spectrum.largest;
  return {
    examples,
    largest: spectrum.largest.map(({ value }) => Number(rounded(value))),
    residual: Math.max(...spectrum.largest.map(({ residual }) => residual)) / Math.abs(top),
    converged: spectrum.converged,
  };
}

/** Six digits that count, so that a file of many runs stays small. */
function rounded(value: number | null | undefined): number | null {
  return isNumber(value) ? Number(value.toPrecision(6)) : null;
}
