import type { StepRecord } from "../train/records.ts";

// ς in the steps of a training run, epoch by epoch.

export interface EpochScales {
  epoch: number;
  /** Of its first step. */
  learningRate: number;
  rhoMax?: number;
  rhoMin?: number;
  /** Steps that have a ς: that were not dropped, and whose ‖g‖ and ‖g⁻‖ are not 0. */
  steps: number;
  /** The share of them with ς ≥ 1, and with cos(g, g⁻) < 0. */
  shareAtLeastOne: number;
  shareInConflict: number;
  /** Quantiles of ς, and of Z₁·τ = (1 − ς)/(1 + ς²). */
  scale: Quantiles;
  theoremOne: Quantiles;
}

export interface Quantiles {
  /** The 10th percentile, the median and the 90th percentile. */
  low: number;
  median: number;
  high: number;
}

/** The epochs that have a step with a ς; none where the method has no ς. */
export function scalesByEpoch(steps: readonly StepRecord[]): EpochScales[] {
  const all = steps.filter(hasScale);
  const epochs = [...new Set(all.map(({ epoch }) => epoch))];
  return epochs.map((epoch) => {
    const own = all.filter((step) => step.epoch === epoch);
    const [{ learningRate, scalars }] = own;
    const share = (of: (step: (typeof own)[number]) => boolean) => own.filter(of).length / own.length;
    return {
      epoch,
      learningRate,
      rhoMax: scalars.rhoMax,
      rhoMin: scalars.rhoMin,
      steps: own.length,
      shareAtLeastOne: share(({ scale }) => scale >= 1),
      shareInConflict: share(({ cosGradMin = 0 }) => cosGradMin < 0),
      scale: quantiles(own.map(({ scale }) => scale)),
      theoremOne: quantiles(own.map(({ theoremOne }) => theoremOne)),
    };
  });
}

function hasScale(step: StepRecord): step is StepRecord & { scale: number; theoremOne: number } {
  const { scale, theoremOne, skipped, zeroGradient } = step;
  return Number.isFinite(scale) && Number.isFinite(theoremOne) && !skipped && !zeroGradient;
}

function quantiles(values: readonly number[]): Quantiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))];
  return { low: at(0.1), median: at(0.5), high: at(0.9) };
}
