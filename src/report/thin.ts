/** Thousands of steps, made few enough to draw and to keep in a page. */
import type { StepRecord } from "../train/records.ts";
import { isNumber } from "./numbers.ts";

const targetBins = 120;
const mostBins = 240;
const enoughBins = 12;
const fewestStepsPerBin = 5;

export type StepQuantity = "scale" | "cosGradMin" | "curvature";

export interface StepBins {
  /** Steps in one bin (the last may hold fewer). */
  stepsPerBin: number;
  /** Epochs in one bin; below 1 when an epoch is split into several. */
  epochsPerBin: number;
  /** `step` is each bin's last; of a quantity q there are `q` (median), `qLow` and `qHigh` (10th, 90th percentile). */
  columns: Record<string, (number | null)[]>;
}

/**
 * Medians of each quantity over bins of consecutive steps. A bin is one epoch where that makes a sensible number of
 * bins, several epochs in a long run and a part of an epoch in a short one. A quantity no step has gets no columns.
 */
export function binSteps(steps: StepRecord[], quantities: StepQuantity[]): StepBins {
  const size = binSize(steps);
  const bins: StepRecord[][] = [];
  for (const step of steps) {
    const index = Math.floor((step.step - 1) / size.steps);
    const bin = bins[index];
    if (bin) bin.push(step);
    else bins[index] = [step];
  }
  // Steps before a resume may be missing, and their bins with them.
  const filled = bins.filter((bin) => bin !== undefined);
  const columns: StepBins["columns"] = {};
  for (const quantity of quantities) {
    const sorted = filled.map((bin) =>
      bin
        .map((step) => step[quantity])
        .filter(isNumber)
        .sort((a, b) => a - b),
    );
    if (sorted.every((values) => values.length === 0)) continue;
    columns.step ??= filled.map((bin) => bin.at(-1)!.step);
    columns[quantity] = sorted.map((values) => quantile(values, 0.5));
    columns[`${quantity}Low`] = sorted.map((values) => quantile(values, 0.1));
    columns[`${quantity}High`] = sorted.map((values) => quantile(values, 0.9));
  }
  return { stepsPerBin: size.steps, epochsPerBin: size.epochs, columns };
}

/** At most 200 of the steps, evenly spread, the first and the last among them. */
export function sampleSteps(steps: StepRecord[], most = 200): StepRecord[] {
  if (steps.length <= most) return steps;
  const stride = (steps.length - 1) / (most - 1);
  return Array.from({ length: most }, (_, index) => steps[Math.round(index * stride)]!);
}

function binSize(steps: StepRecord[]): { steps: number; epochs: number } {
  const last = steps.at(-1);
  if (!last) return { steps: 1, epochs: 1 };
  const stepsPerEpoch = Math.max(1, firstEpochLength(steps));
  const epochs = last.step / stepsPerEpoch;
  if (epochs > mostBins) {
    const together = Math.ceil(epochs / targetBins);
    return { steps: together * stepsPerEpoch, epochs: together };
  }
  const parts = Math.min(Math.round(targetBins / epochs), Math.floor(stepsPerEpoch / fewestStepsPerBin));
  // Below 2 parts, or with as many epochs as a chart needs points, a bin is an epoch.
  if (epochs >= enoughBins || parts < 2) return { steps: stepsPerEpoch, epochs: 1 };
  const size = Math.ceil(stepsPerEpoch / parts);
  return { steps: size, epochs: size / stepsPerEpoch };
}

/** Steps in an epoch, from the first step of a later epoch, or all of them while the first one runs. */
function firstEpochLength(steps: StepRecord[]): number {
  const next = steps.find((step) => step.epoch > 1);
  return next ? Math.round((next.step - 1) / (next.epoch - 1)) : steps.at(-1)!.step;
}

/** Linear interpolation between order statistics (the common "type 7"). */
function quantile(sorted: number[], share: number): number | null {
  if (sorted.length === 0) return null;
  const position = (sorted.length - 1) * share;
  const below = sorted[Math.floor(position)]!;
  const above = sorted[Math.ceil(position)]!;
  return Number((below + (above - below) * (position - Math.floor(position))).toPrecision(5));
}
