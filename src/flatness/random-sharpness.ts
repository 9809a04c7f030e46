import { randomStream } from "../common/random.ts";
import { norm } from "./dense.ts";
import {
  type LongComputation,
  progressReporter,
  requirePositive,
  requireSameSettings,
  requireWhole,
} from "./progress.ts";
import { type Radius, radiusScale } from "./radius.ts";
import { estimate } from "./statistics.ts";
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
}

/**
 * The mean rise of the loss in a random direction: ε = ρ·T·z with z uniform on the unit sphere of all parameters.
 * For plain radii and small ρ it is ρ²·tr(H)/(2n).
 */
export async function randomSharpness(
  surface: Surface,
  options: RandomSharpnessOptions,
): Promise<RandomSharpness> {
  const { rho, radius = "plain", directions = 20, seed = 0, state, signal } = options;
  requirePositive("the radius ρ", rho);
  requireWhole("the number of directions", directions, 2);
  const { layout, weights, description } = surface;
  const settings = { computation: "random sharpness", parameters: layout.length, rho, radius, seed };
  if (state) requireSameSettings(state, settings);
  const losses = state ? Array.from(state.tensors.losses.data as Float64Array) : [];
  const report = progressReporter(options, losses.length, () => ({
    settings,
    tensors: { losses: { type: "float64", shape: [losses.length], data: Float64Array.from(losses) } },
  }));
  const units = radiusScale(layout, weights, radius);
  if (losses.length === 0) losses.push((await surface.gradient(weights, { signal })).loss);
  for (let direction = losses.length - 1; direction < directions; direction++) {
    const random = randomStream(seed, "random direction", direction);
    const z = Float64Array.from({ length: layout.length }, () => random.normal());
    const length = norm(z);
    const moved = weights.map((weight, i) => weight + (rho * units[i] * z[i]) / length);
    losses.push((await surface.evaluate(moved, { signal })).loss);
    await report(losses.length - 1, directions);
  }
  const [loss, ...others] = losses;
  const values = others.slice(0, directions).map((value) => value - loss);
  const { mean, standardError } = estimate(values);
  return {
    rho,
    radius,
    loss,
    mean,
    standardError,
    values,
    directions,
    seed,
    parameters: layout.length,
    description,
  };
}
