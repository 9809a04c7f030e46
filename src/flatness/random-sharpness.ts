import { readOptions } from "../common/options.ts";
import { randomStream } from "../common/random.ts";
import { norm } from "./dense.ts";
import {
  type LongComputation,
  longComputation,
  progressReporter,
  requirePositive,
  requireSameSettings,
  requireWhole,
} from "./progress.ts";
import { type Radius, radii, radiusScale } from "./radius.ts";
import { type ConfidenceInterval, estimate, intervalOverBatches } from "./statistics.ts";
import type { Surface } from "./surface.ts";

export interface RandomSharpness {
  rho: number;
  radius: Radius;
  loss: number;
  /** Mean of L(w+ε) − L(w) over directions. */
  mean: number;
  standardError: number;
  /** Of each direction. */
  values: number[];
  /** The mean over the same directions, with its spread between batches. Absent when there is but one batch. */
  interval?: ConfidenceInterval;
  directions: number;
  seed: number;
  parameters: number;
  description: Readonly<Record<string, string | number>>;
}

export interface RandomSharpnessOptions extends LongComputation {
  /** Length of the perturbations, > 0. */
  rho: number;
  /** Default `"plain"`. */
  radius?: Radius;
  /** Default 20. */
  directions?: number;
  seed?: number;
  /** Of the interval over batches. Default 0.95. */
  confidence?: number;
}

/**
 * The mean rise of the loss in a random direction: ε = ρ·T·z with z uniform on the unit sphere of all parameters.
 * For plain radii and small ρ it is ρ²·tr(H)/(2n).
 */
export async function randomSharpness(
  surface: Surface,
  options: RandomSharpnessOptions,
): Promise<RandomSharpness> {
  readOptions("randomSharpness", options, {
    ...longComputation,
    rho: "number",
    radius: radii,
    directions: "number",
    seed: "number",
    confidence: "number",
  });
  const { rho, radius = "plain", directions = 20, seed = 0, confidence, state, signal } = options;
  requirePositive("the radius ρ", rho);
  requireWhole("the number of directions", directions, 2);
  const { layout, weights, description } = surface;
  const settings = { computation: "random sharpness", parameters: layout.length, rho, radius, seed };
  if (state) requireSameSettings(state, settings);
  // Each batch's loss: at the weights, then in one direction after the other.
  const batches = surface.batchCount;
  const losses: number[][] = [];
  if (state) {
    const numbers = Array.from(state.tensors.losses.data as Float64Array);
    for (let at = 0; at < numbers.length; at += batches) losses.push(numbers.slice(at, at + batches));
  }
  const report = progressReporter(options, losses.length, () => ({
    settings,
    tensors: {
      losses: {
        type: "float64",
        shape: [losses.length, batches],
        data: Float64Array.from(losses.flat()),
      },
    },
  }));
  const units = radiusScale(layout, weights, radius);
  if (losses.length === 0) losses.push((await surface.gradient(weights, { signal })).batchLosses);
  for (let direction = losses.length - 1; direction < directions; direction++) {
    const random = randomStream(seed, "random direction", direction);
    const z = Float64Array.from({ length: layout.length }, () => random.normal());
    const length = norm(z);
    const moved = weights.map((weight, i) => weight + (rho * units[i] * z[i]) / length);
    losses.push((await surface.evaluate(moved, { signal })).batchLosses);
    await report(losses.length - 1, directions);
  }
  const { shares } = surface;
  const mean = (batchLosses: readonly number[]) =>
    shares.reduce((sum, share, i) => sum + share * batchLosses[i], 0);
  const [origin, ...others] = losses;
  const loss = mean(origin);
  const moved = others.slice(0, directions);
  const values = moved.map((batchLosses) => mean(batchLosses) - loss);
  const rises = origin.map((own, batch) => moved.reduce((sum, at) => sum + at[batch] - own, 0) / directions);
  const overDirections = estimate(values);
  return {
    rho,
    radius,
    loss,
    mean: overDirections.mean,
    standardError: overDirections.standardError,
    values,
    ...(batches > 1 && { interval: intervalOverBatches(rises, shares, confidence) }),
    directions,
    seed,
    parameters: layout.length,
    description,
  };
}
