import { UserError } from "../common/errors.ts";
import type { IntegerRange } from "../ops/quantization.ts";
import type { Channels } from "./channels.ts";

// Scales of weights: q = round(w / scale) from −high to high, zero is exact. Rounding is half to even, as QuantizeLinear's.

/** How the largest weight that keeps its value is chosen. */
export const weightMethods = ["min-max", "percentile", "mse"] as const;
export type WeightMethod = (typeof weightMethods)[number];

/** Candidates of the least squared error: this many equal parts of the largest magnitude. */
const parts = 100;

/** The largest integer of weights of so many bits: 127 for 8, 63 for 7. */
export function largestWeight(bits: number): number {
  return 2 ** (bits - 1) - 1;
}

/**
 * The scale of each channel.
 * @param percentile of the magnitudes, for the method of that name
 */
export function weightScales(
  channels: Channels,
  { high, method, percentile = 99.9 }: { high: number; method: WeightMethod; percentile?: number },
): Float64Array<ArrayBuffer> {
  const scales = new Float64Array(channels.count);
  for (let channel = 0; channel < channels.count; channel++)
    scales[channel] = scaleOf(channels.values(channel), high, method, percentile);
  return scales;
}

function scaleOf(values: Float64Array, high: number, method: WeightMethod, percentile: number): number {
  const magnitudes = values.map(Math.abs);
  const largest = magnitudes.reduce((most, value) => Math.max(most, value), 0);
  // A channel of zeros is exact with any scale.
  if (largest === 0) return 1;
  switch (method) {
    case "min-max":
      return largest / high;
    case "percentile":
      return (quantile(magnitudes.toSorted(), percentile / 100) || largest) / high;
    case "mse":
      return scaleOfLeastError(values, { low: -high, high });
    default:
      return method satisfies never;
  }
}

/**
 * Scales with which biases keep their numbers, which are whole multiples of both scales within 32 bits: of channels that are
 * all 0, whose scale is free, the largest of the others, and at least what the largest bias needs.
 * @param biases of each channel of the layer, or one for all
 */
export function scalesForBiases(
  scales: Float64Array<ArrayBuffer>,
  { channels, biases, inputScale }: { channels: Channels; biases: ArrayLike<number>; inputScale: number },
): Float64Array<ArrayBuffer> {
  const isZero = Array.from(scales, (_, channel) => channels.values(channel).every((value) => value === 0));
  const largest = scales.reduce(
    (most, scale, channel) => (isZero[channel] ? most : Math.max(most, scale)),
    0,
  );
  const magnitudes = Array.from(biases, Math.abs);
  const most = Math.max(...magnitudes);
  return scales.map((scale, channel) => {
    const bias = magnitudes.length === scales.length ? magnitudes[channel] : most;
    return Math.max(isZero[channel] ? largest || scale : scale, bias / (inputScale * 2 ** 30));
  });
}

/** The scale with the least squared error for integers whose zero is exact; 0 for values that are all 0. */
export function scaleOfLeastError(values: Float64Array, { low, high }: IntegerRange): number {
  const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (largest === 0) return 0;
  return leastError(parts, (part) => {
    const scale = (largest * part) / parts / high;
    return { result: scale, error: quantizationError(values, { scale, zeroPoint: 0, low, high }) };
  });
}

/** Integers that stand for numbers: x ≈ (q − zeroPoint)·scale with low ≤ q ≤ high. */
export interface Quantizer {
  scale: number;
  zeroPoint: number;
  low: number;
  high: number;
}

/** The integer that stands for a number. */
export function quantized(value: number, { scale, zeroPoint, low, high }: Quantizer): number {
  return Math.min(high, Math.max(low, roundHalfToEven(value / scale) + zeroPoint));
}

/** Mean squared error of the numbers that the integers stand for. */
export function quantizationError(values: Float64Array, quantizer: Quantizer): number {
  const { scale, zeroPoint } = quantizer;
  let sum = 0;
  for (const value of values) sum += ((quantized(value, quantizer) - zeroPoint) * scale - value) ** 2;
  return sum / values.length;
}

/** Of candidates 1 … count the one with the least error; of equals the last. */
export function leastError<T>(count: number, candidate: (part: number) => { result: T; error: number }): T {
  let best = candidate(count);
  for (let part = count - 1; part >= 1; part--) {
    const other = candidate(part);
    if (other.error < best.error) best = other;
  }
  return best.result;
}

/**
 * The value below which a share of sorted values lies, with linear interpolation between two of them.
 * @throws UserError for a share that is none
 */
export function quantile(sorted: Float64Array, share: number): number {
  if (!(share >= 0 && share <= 1))
    throw new UserError(`the percentile is ${100 * share}; it has to be from 0 to 100`);
  const place = share * (sorted.length - 1);
  const below = Math.floor(place);
  const rest = place - below;
  return rest === 0 ? sorted[below] : sorted[below] + rest * (sorted[below + 1] - sorted[below]);
}

/** A tie goes to the even neighbor, as in QuantizeLinear. */
export function roundHalfToEven(value: number): number {
  const nearest = Math.round(value);
  return Math.abs(value % 1) === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
}
