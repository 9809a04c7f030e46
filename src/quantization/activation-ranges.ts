import { Sample } from "./sample.ts";
import { leastError, type Quantizer, quantile, quantizationError } from "./weight-scales.ts";

// Ranges of activations from what a network computes on calibration data, and the unsigned integers that cover them.

/** How the ends of a range are chosen. */
export const activationMethods = ["min-max", "mean-min-max", "percentile", "mse"] as const;
export type ActivationMethod = (typeof activationMethods)[number];

/** The least and the largest value that keep their values. */
export interface Range {
  low: number;
  high: number;
}

/** Candidates of `mse`: both ends in this many equal parts. */
const parts = 100;

/**
 * Unsigned integers for a range, which is widened to 0: padding and ReLU give zeros, and these have to be exact.
 * @param bits 2 to 8
 */
export function activationQuantizer({ low, high }: Range, bits: number): Quantizer {
  const most = 2 ** bits - 1;
  const [least, largest] = [Math.min(0, low), Math.max(0, high)];
  if (least === largest) return { scale: 1, zeroPoint: 0, low: 0, high: most };
  const scale = (largest - least) / most;
  const zeroPoint = Math.min(most, Math.max(0, Math.round(-least / scale)));
  return { scale, zeroPoint, low: 0, high: most };
}

/** Follows the values of one activation from batch to batch. */
export interface Observer {
  add(values: ArrayLike<number>): void;
  range(): Range;
}

/** How observers choose ranges. */
export interface ObserverOptions {
  method: ActivationMethod;
  bits: number;
  /** Of the method of that name: the range is from the (100 − p)-th to the p-th percentile. */
  percentile: number;
}

/** Values of an activation that `percentile` and `mse` look at, at most; of more, one of every k. */
const keptValues = 2 ** 18;

export function observer({ method, bits, percentile }: ObserverOptions): Observer {
  switch (method) {
    case "min-max":
      return extremes((ends) => ({
        low: Math.min(...ends.map(({ low }) => low)),
        high: Math.max(...ends.map(({ high }) => high)),
      }));
    case "mean-min-max":
      return extremes((ends) => ({
        low: ends.reduce((sum, { low }) => sum + low, 0) / ends.length,
        high: ends.reduce((sum, { high }) => sum + high, 0) / ends.length,
      }));
    case "percentile":
      return keeping((values) => {
        const sorted = values.toSorted();
        return { low: quantile(sorted, 1 - percentile / 100), high: quantile(sorted, percentile / 100) };
      });
    case "mse":
      return keeping((values) => rangeOfLeastError(values, bits));
    default:
      return method satisfies never;
  }
}

/** From the least and the largest value of each batch. */
function extremes(choose: (ends: readonly Range[]) => Range): Observer {
  const ends: Range[] = [];
  return {
    add(values) {
      let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
      for (let index = 0; index < values.length; index++) {
        low = Math.min(low, values[index]);
        high = Math.max(high, values[index]);
      }
      ends.push({ low, high });
    },
    range: () => choose(ends),
  };
}

/** From the values themselves. */
function keeping(choose: (values: Float64Array<ArrayBuffer>) => Range): Observer {
  const sample = new Sample(keptValues);
  return { add: (values) => sample.add(values), range: () => choose(sample.values) };
}

function rangeOfLeastError(values: Float64Array, bits: number): Range {
  const [least, largest] = values.reduce(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  );
  return leastError(parts, (part) => {
    const range = { low: (least * part) / parts, high: (largest * part) / parts };
    return { result: range, error: quantizationError(values, activationQuantizer(range, bits)) };
  });
}
