import { UserError } from "../common/errors.ts";
import { type OptionKinds, readOptions } from "../common/options.ts";
import { randomStream } from "../common/random.ts";
import { type BasisType, basisTypes } from "./basis.ts";
import { KrylovSpace, type LinearOperator } from "./krylov.ts";
import {
  type LongComputation,
  longComputation,
  progressReporter,
  requirePositive,
  requireSameSettings,
  requireWhole,
} from "./progress.ts";
import {
  type CurvatureOptions,
  curvatureOperator,
  curvatureOptions,
  type Measured,
  measured,
} from "./spectrum.ts";
import { estimate } from "./statistics.ts";
import type { Surface } from "./surface.ts";

export interface SpectralDensity {
  /** Eigenvalues at which the density stands, evenly spaced. */
  x: number[];
  /** Share of the eigenvalues per unit of x, smoothed; its integral is 1. */
  density: number[];
  /** Of the density at each x, from the spread between the probes. */
  standardError: number[];
  /** Standard deviation of the Gaussian that each eigenvalue is smoothed to, in units of x. */
  width: number;
  /** Trapezoid integral of `density` over x: what differs from 1 is rounding and the tails cut off. */
  integral: number;
  /** Of each probe: the nodes θ and weights τ² (sum 1) of its quadrature, from which any other width can be drawn. */
  nodes: number[][];
  weights: number[][];
  probes: number;
  steps: number;
  seed: number;
}

export interface DensityOptions extends LongComputation {
  /** Random start vectors. Default 10. */
  probes?: number;
  /** Lanczos steps, that is products, of each probe. Default 80, or the size of the matrix if that is less. */
  steps?: number;
  /** In which type each probe's basis is stored, as for `eigenpairs`. Default `"float64"`. */
  basisType?: BasisType;
  /** Default: a hundredth of the range of the nodes. */
  width?: number;
  seed?: number;
}

const densityOptions: OptionKinds<DensityOptions> = {
  ...longComputation,
  probes: "number",
  steps: "number",
  basisType: basisTypes,
  width: "number",
  seed: "number",
};

/** The eigenvalue density of the loss's curvature over the surface's data subset; see `operatorDensity`. */
export async function spectralDensity(
  surface: Surface,
  options: DensityOptions & CurvatureOptions = {},
): Promise<SpectralDensity & Measured> {
  readOptions("spectralDensity", options, { ...densityOptions, ...curvatureOptions });
  const { curvature, ...own } = options;
  const operator = curvatureOperator(surface, { curvature, signal: own.signal });
  return {
    ...measured(surface, { curvature }),
    ...(await operatorDensity(operator, surface.layout.length, { basisType: surface.layout.type, ...own })),
  };
}

/**
 * The eigenvalue density of a symmetric matrix by stochastic Lanczos quadrature (Golub & Welsch 1969; Lin, Saad & Yang
 * 2016; Ghorbani et al. 2019, arXiv 1901.10159): the Ritz values θ of a random unit vector's Krylov space, weighted
 * by the squared first components τ² of their vectors, are a Gauss quadrature for the measure that puts on each
 * eigenvalue the square of the vector's component, which is 1/n in the mean. With Gaussians of width σ in their places:
 *
 *   φ(x) = mean over probes of Σ τ²·N(x; θ, σ²)
 *
 * Throws `UserError` for fewer than 2 probes (no spread), and for a width too small to be drawn.
 */
export async function operatorDensity(
  operator: LinearOperator,
  length: number,
  options: DensityOptions = {},
): Promise<SpectralDensity> {
  readOptions("operatorDensity", options, densityOptions);
  const { probes = 10, seed = 0, basisType = "float64", state, signal } = options;
  requireWhole("the number of probes", probes, 2);
  const steps = Math.min(length, requireWhole("the number of Lanczos steps", options.steps ?? 80, 1));
  const settings = { computation: "density", parameters: length, steps, seed };
  const nodes: number[][] = [];
  const weights: number[][] = [];
  if (state) {
    requireSameSettings(state, settings);
    for (const [rows, { data }] of [
      [nodes, state.tensors.nodes] as const,
      [weights, state.tensors.weights] as const,
    ]) {
      const numbers = Array.from(data as Float64Array);
      for (let at = 0; at < numbers.length; at += steps) rows.push(numbers.slice(at, at + steps));
    }
  }
  const tensor = (rows: readonly number[][]) =>
    ({ type: "float64", shape: [rows.length, steps], data: Float64Array.from(rows.flat()) }) as const;
  const report = progressReporter(options, nodes.length * steps, () => ({
    settings,
    tensors: { nodes: tensor(nodes), weights: tensor(weights) },
  }));
  for (let probe = nodes.length; probe < probes; probe++) {
    const random = randomStream(seed, "density probe", probe);
    const start = Float64Array.from({ length }, () => random.normal());
    const space = new KrylovSpace(length, { seed, purpose: "density", type: basisType, start });
    for (let step = 0; step < steps; step++) {
      signal?.throwIfAborted();
      await space.grow(operator);
      if (step < steps - 1) await report(probe * steps + step + 1, probes * steps);
    }
    const { values, vectors } = space.ritz();
    nodes.push(Array.from(values));
    weights.push(vectors.map((vector) => vector[0] ** 2));
    await report((probe + 1) * steps, probes * steps);
  }
  const first = { nodes: nodes.slice(0, probes), weights: weights.slice(0, probes) };
  return { ...smoothed(first.nodes, first.weights, options.width), ...first, probes, steps, seed };
}

/** Points per width: at 4, the trapezoid rule is exact for Gaussians to float64. */
const pointsPerWidth = 4;
/** How many widths the axis goes on beyond the outermost nodes. */
const margin = 6;
const mostPoints = 100_000;

function smoothed(nodes: number[][], weights: number[][], givenWidth: number | undefined) {
  const all = nodes.flat();
  const [low, high] = all.reduce(
    ([least, most], x) => [Math.min(least, x), Math.max(most, x)],
    [Infinity, -Infinity],
  );
  const range = high - low;
  const width = requirePositive(
    "the width of the density's Gaussians",
    givenWidth ?? (range > 0 ? range : Math.max(1e-12, Math.abs(high))) / 100,
  );
  const spacing = width / pointsPerWidth;
  const count = Math.ceil((range + 2 * margin * width) / spacing) + 1;
  if (count > mostPoints) {
    throw new UserError(
      `a density of width ${width} over a range of ${range.toPrecision(3)} takes ${count} points; choose a width of at least ${((range * pointsPerWidth) / mostPoints).toPrecision(2)}`,
    );
  }
  const x = Array.from({ length: count }, (_, index) => low - margin * width + index * spacing);
  const perProbe = nodes.map((thetas, probe) => gaussians(x, spacing, thetas, weights[probe], width));
  const estimates = x.map((_, index) => estimate(perProbe.map((density) => density[index])));
  const density = estimates.map(({ mean }) => mean);
  const ends = (density[0] + density[count - 1]) / 2;
  const integral = spacing * (density.reduce((sum, value) => sum + value, 0) - ends);
  return { x, density, standardError: estimates.map(({ standardError }) => standardError), width, integral };
}

/** Σ weight·N(x; θ, width²), each summed where it is more than e⁻³². */
function gaussians(
  x: readonly number[],
  spacing: number,
  thetas: number[],
  weights: number[],
  width: number,
) {
  const density = new Float64Array(x.length);
  const reach = 8 * width;
  for (const [index, theta] of thetas.entries()) {
    const factor = weights[index] / (width * Math.sqrt(2 * Math.PI));
    const first = Math.max(0, Math.ceil((theta - reach - x[0]) / spacing));
    const last = Math.min(x.length - 1, Math.floor((theta + reach - x[0]) / spacing));
    for (let i = first; i <= last; i++) density[i] += factor * Math.exp(-(((x[i] - theta) / width) ** 2) / 2);
  }
  return density;
}
