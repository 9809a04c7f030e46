import { UserError } from "../common/errors.ts";
import { readOptions } from "../common/options.ts";
import { randomStream } from "../common/random.ts";
import type { TensorData } from "../onnx/tensor.ts";
import type { Tensors } from "../runtime/engine.ts";
import { addCombination, addScaled, dot, norm, scale } from "./dense.ts";
import { flatten } from "./parameter-vector.ts";
import {
  type LongComputation,
  longComputation,
  progressReporter,
  requireSameSettings,
  requireWhole,
} from "./progress.ts";
import { filtersOf } from "./radius.ts";
import { intervalOverBatches } from "./statistics.ts";
import type { LossValue, Surface } from "./surface.ts";
import { symmetricEigen } from "./symmetric-eigen.ts";

/** Loss and metrics on a line or plane: at w + a·d₁ (+ b·d₂). */
export interface Landscape {
  /** The values of a, and of b on a plane. */
  coordinates: number[][];
  /** At each point, b changing fastest. May be infinite or NaN far from the weights. */
  loss: number[];
  /** Of L(point) − L(w), from the spread between the batches; NaN for a single batch. */
  standardError: number[];
  metrics: Record<string, number[]>;
  parameters: number;
  description: Readonly<Record<string, string | number>>;
}

export interface LandscapeOptions extends LongComputation {
  /** One or two vectors in the surface's layout. */
  directions: readonly Float64Array[];
  /** Where along each. */
  coordinates: readonly (readonly number[])[];
  /** At a point, what takes the place of the surface's tensors that are no parameters, such as running statistics. */
  tensorsAt?: TensorsAt;
}

export type TensorsAt = (weights: Float64Array, coordinates: readonly number[]) => Promise<Tensors>;

/**
 * Evaluates the mean loss over the surface's data subset on a grid. Directions may be random and filter-normalized
 * (`filterNormalizedDirection`), eigenvectors (`spectrum` with `vectors`), or lead to another model (`interpolation`).
 * Throws `UserError` when directions and coordinates do not belong together.
 */
export async function landscape(surface: Surface, options: LandscapeOptions): Promise<Landscape> {
  readOptions("landscape", options, {
    ...longComputation,
    directions: "list",
    coordinates: "list",
    tensorsAt: "function",
  });
  const { directions, coordinates } = options;
  if (directions.length < 1 || directions.length > 2 || coordinates.length !== directions.length) {
    throw new UserError(
      `a landscape has one or two directions with coordinates for each; got ${directions.length} and ${coordinates.length}`,
    );
  }
  for (const direction of directions) {
    if (direction.length === surface.layout.length) continue;
    throw new UserError(
      `a direction has ${direction.length} numbers, but there are ${surface.layout.length} parameters`,
    );
  }
  return evaluateGrid(surface, options, async (point) => {
    const weights = surface.weights.slice();
    for (const [axis, at] of point.entries()) addScaled(weights, at, directions[axis]);
    const tensors = await options.tensorsAt?.(weights, point);
    return surface.evaluate(weights, { signal: options.signal, tensors });
  });
}

/**
 * The line from the surface's weights (0) to those of another model (1). Whatever else the other model has tensors for,
 * such as BatchNorm's running statistics, is interpolated too unless `tensorsAt` says otherwise. Mixed statistics are
 * not those of the mixed network, so with BatchNorm the loss between is higher than with statistics re-estimated
 * (Frankle et al. 2020, arXiv 1912.05671).
 */
export async function interpolation(
  surface: Surface,
  other: Tensors,
  given: LongComputation & { coordinates: readonly number[]; tensorsAt?: TensorsAt },
): Promise<Landscape> {
  const kinds = { ...longComputation, coordinates: "list", tensorsAt: "function" } as const;
  const { coordinates, tensorsAt, ...options } = readOptions("interpolation", given, kinds);
  const direction = flatten(surface.layout, other);
  addScaled(direction, -1, surface.weights);
  const pairs = Object.entries(surface.otherTensors).filter(([name]) => other[name]);
  return landscape(surface, {
    ...options,
    directions: [direction],
    coordinates: [coordinates],
    tensorsAt:
      tensorsAt ??
      (async (_, [at]) =>
        Object.fromEntries(pairs.map(([name, own]) => [name, mixed(own, other[name], at)]))),
  });
}

/**
 * A random direction in which every filter is as long as the weights' filter; 0 for parameters of one axis (biases,
 * normalization), as Li et al. 2018 (arXiv 1712.09913) draw it. At a = 1 each filter is moved by its own length.
 */
export function filterNormalizedDirection(
  { layout, weights }: Surface,
  seed: number,
  index = 0,
): Float64Array {
  const random = randomStream(seed, "landscape direction", index);
  const direction = new Float64Array(layout.length);
  for (const { start, end } of filtersOf(layout)) {
    const filter = direction.subarray(start, end);
    for (let i = 0; i < filter.length; i++) filter[i] = random.normal();
    scale(filter, norm(weights.subarray(start, end)) / norm(filter));
  }
  return direction;
}

/** The plane that a set of points lies nearest to: their principal components. */
export interface PrincipalPlane {
  /** Orthonormal, through the origin. */
  directions: Float64Array[];
  /** Of each point, its coordinates along the directions. */
  coordinates: number[][];
  /** Share of the points' variance (about the origin) along each direction. */
  explained: number[];
}

/**
 * The first principal components of points given by their differences from the weights, which stay the origin (Li et al.
 * 2018, section 7.2), by the small Gram matrix of the differences. Throws `UserError` for fewer than two that differ.
 */
export function principalPlane(differences: readonly Float64Array[]): PrincipalPlane {
  const { values, vectors } = symmetricEigen(differences.length, (i, j) =>
    dot(differences[i], differences[j]),
  );
  const total = values.reduce((sum, value) => sum + Math.max(0, value), 0);
  if (!(values.length >= 2 && values[1] > 1e-12 * total)) {
    throw new UserError(
      "the weights of the trajectory lie on one line, so there is no plane through them; keep the weights of more epochs",
    );
  }
  const directions = [0, 1].map((k) => {
    const direction = new Float64Array(differences[0].length);
    addCombination(direction, 1 / Math.sqrt(values[k]), differences, vectors[k]);
    return direction;
  });
  return {
    directions,
    coordinates: differences.map((difference) => directions.map((direction) => dot(difference, direction))),
    explained: [0, 1].map((k) => values[k] / total),
  };
}

/** So many evenly spaced numbers, both ends among them. */
export function evenlySpaced(from: number, to: number, count: number): number[] {
  requireWhole("the number of points", count, 2);
  return Array.from({ length: count }, (_, index) => from + ((to - from) * index) / (count - 1));
}

async function evaluateGrid(
  surface: Surface,
  options: LongComputation & { coordinates: readonly (readonly number[])[] },
  evaluate: (point: number[]) => Promise<LossValue>,
): Promise<Landscape> {
  const { coordinates, state, signal } = options;
  const points = coordinates.reduce<number[][]>(
    (all, axis) => all.flatMap((point) => axis.map((at) => [...point, at])),
    [[]],
  );
  if (points.length === 0) throw new UserError("a landscape of no points was asked for; give coordinates");
  const settings = {
    computation: "landscape",
    parameters: surface.layout.length,
    coordinates: JSON.stringify(coordinates),
  };
  const batches = surface.batchCount;
  // Each batch's loss: at the weights, then at one point after the other; of metrics, means at the points.
  const losses: number[][] = [];
  const metrics: Record<string, number[]> = {};
  if (state) {
    requireSameSettings(state, settings);
    const { losses: saved, ...others } = state.tensors;
    const numbers = Array.from(saved.data as Float64Array);
    for (let at = 0; at < numbers.length; at += batches) losses.push(numbers.slice(at, at + batches));
    for (const [name, { data }] of Object.entries(others)) metrics[name] = Array.from(data as Float64Array);
  }
  const tensor = (shape: number[], values: readonly number[]) =>
    ({ type: "float64", shape, data: Float64Array.from(values) }) as const;
  const report = progressReporter(options, losses.length, () => ({
    settings,
    tensors: {
      losses: tensor([losses.length, batches], losses.flat()),
      ...Object.fromEntries(
        Object.entries(metrics).map(([name, values]) => [name, tensor([values.length], values)]),
      ),
    },
  }));
  const total = points.length + 1;
  while (losses.length < total) {
    signal?.throwIfAborted();
    if (losses.length === 0) losses.push((await evaluate(coordinates.map(() => 0))).batchLosses);
    else {
      const found = await evaluate(points[losses.length - 1]);
      losses.push(found.batchLosses);
      for (const [name, value] of Object.entries(found.metrics)) {
        metrics[name] ??= [];
        metrics[name].push(value);
      }
    }
    await report(losses.length, total);
  }
  const { shares } = surface;
  const [origin, ...atPoints] = losses;
  const intervals = atPoints.map((batchLosses) =>
    intervalOverBatches(
      batchLosses.map((loss, batch) => loss - origin[batch]),
      shares,
    ),
  );
  return {
    coordinates: coordinates.map((axis) => [...axis]),
    loss: atPoints.map((batchLosses) =>
      shares.reduce((sum, share, batch) => sum + share * batchLosses[batch], 0),
    ),
    standardError: intervals.map(({ standardError }) => standardError),
    metrics,
    parameters: surface.layout.length,
    description: surface.description,
  };
}

function mixed(a: TensorData, b: TensorData, share: number): TensorData {
  const [left, right] = [a.data as Float64Array, b.data as Float64Array];
  const data = left.map((value, index) => value + share * (right[index] - value));
  return { ...a, data } as TensorData;
}
