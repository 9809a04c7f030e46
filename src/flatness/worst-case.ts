import { UserError } from "../common/errors.ts";
import { type OptionKinds, readOptions } from "../common/options.ts";
import { randomStream } from "../common/random.ts";
import { addScaled, norm, scale } from "./dense.ts";
import { layersOf } from "./parameter-vector.ts";
import {
  inTurn,
  type LongComputation,
  longComputation,
  progressReporter,
  requirePositive,
  requireSameSettings,
  requireWhole,
  type SavedState,
} from "./progress.ts";
import { type Radius, radii, radiusScale } from "./radius.ts";
import { type ConfidenceInterval, confidenceInterval, intervalOverBatches } from "./statistics.ts";
import type { Surface } from "./surface.ts";

/** MaxS = max L(w+ε) − L(w), MinS = L(w) − min L(w+ε), and their sum BilS (arXiv 2409.13173). */
export interface SharpnessValues {
  maxSharpness: number;
  minSharpness: number;
  bilateralSharpness: number;
}

/** For each of them, the interval for its mean over data like this, from the spread between batches. */
export type SharpnessIntervals = Record<keyof SharpnessValues, ConfidenceInterval>;

export interface WorstCaseSharpness {
  rho: number;
  radius: Radius;
  loss: number;
  /** ‖T·∇L(w)‖₂: of the gradient in the units of the radius. */
  gradNorm: number;
  /** ε = ±ρ·T²g/‖T·g‖, the solutions of the linearised loss. */
  oneStep: SharpnessValues;
  /** The best of all points a projected ascent (descent) came by, the one-step point and w among them. */
  multiStep: SharpnessValues;
  /**
   * The perturbations stay those of the whole subset: what is reported is how much the loss between the same two points
   * varies with the data, not that other data has other worst points. Absent when there is but one batch.
   */
  intervals?: { oneStep: SharpnessIntervals; multiStep: SharpnessIntervals };
  steps: number;
  /** First length of a step, as a share of ρ. */
  stepSize: number;
  parameters: number;
  description: Readonly<Record<string, string | number>>;
}

export interface WorstCaseOptions extends LongComputation {
  /** Radius of the ball, > 0. */
  rho: number;
  /** Default `"plain"`. */
  radius?: Radius;
  /** Steps of the ascent and of the descent after the first, one gradient each. Default 20; 0 leaves the one step. */
  steps?: number;
  /** Default 1. */
  stepSize?: number;
  /** Decides where to go from a point whose gradient is zero. */
  seed?: number;
  /** Of the intervals over batches. Default 0.95. */
  confidence?: number;
}

const worstCaseOptions: OptionKinds<WorstCaseOptions> = {
  ...longComputation,
  rho: "number",
  radius: radii,
  steps: "number",
  stepSize: "number",
  seed: "number",
  confidence: "number",
};

/** The best point so far of one search, in units of the radius: ε = T·δ. */
interface Search {
  delta: Float64Array;
  loss: number;
  batchLosses: number[];
  /** T·∇L at that point, and its norm. */
  slope: Float64Array;
  /** Length of the next step. */
  step: number;
}

/**
 * The sharpness of the mean loss over the surface's whole data subset: how much it rises and falls within
 * ‖T⁻¹ε‖ ≤ ρ.
 *
 * After the one step that linearises the loss, projected gradient ascent (descent) in δ = T⁻¹ε:
 *
 *   δ ← Π(δ ± α·T∇L(w + Tδ)/‖T∇L(w + Tδ)‖),   Π onto the ball,
 *
 * always from the best point so far. α begins at `stepSize`·ρ, doubles (up to 4ρ) where a step was an improvement and
 * halves where not. So the result is never less than that of one step, but it is a lower bound: the ball may hold
 * worse.
 *
 * Throws `UserError` for a radius that is not above 0, and where the loss in the ball is not finite.
 */
export async function worstCaseSharpness(
  surface: Surface,
  options: WorstCaseOptions,
): Promise<WorstCaseSharpness> {
  readOptions("worstCaseSharpness", options, worstCaseOptions);
  const { rho, radius = "plain", steps = 20, stepSize = 1, seed = 0, signal, state } = options;
  const { confidence = 0.95 } = options;
  requirePositive("the radius ρ", rho);
  requirePositive("the step size", stepSize);
  requireWhole("the number of steps", steps, 0);
  const { layout, weights } = surface;
  const units = radiusScale(layout, weights, radius);
  const slopeAt = async (delta: Float64Array) => {
    const moved = weights.slice();
    for (let i = 0; i < moved.length; i++) moved[i] += units[i] * delta[i];
    const { gradient, ...losses } = await surface.gradient(moved, { signal });
    for (let i = 0; i < gradient.length; i++) gradient[i] *= units[i];
    return { ...losses, slope: gradient };
  };
  const settings = {
    computation: "sharpness",
    parameters: layout.length,
    rho,
    radius,
    steps,
    stepSize,
    seed,
  };
  if (state) requireSameSettings(state, settings);
  let done = Number(state?.settings.done ?? 0);
  const searches = state ? loadSearches(state) : [];
  const report = progressReporter(options, done, () => saveSearches({ ...settings, done }, searches));
  const total = 3 + 2 * steps;
  const step = async () => report(++done, total);

  const zero = new Float64Array(layout.length);
  if (!searches[0]) {
    searches[0] = { delta: zero, ...(await slopeAt(zero)), step: 0 };
    await step();
  }
  const [origin] = searches;
  const gradNorm = norm(origin.slope);
  const oneStep: Search[] = [];
  const best: Search[] = [];
  for (const [index, sign] of [1, -1].entries()) {
    const at = 1 + 2 * index;
    // The two entries of a direction: its first point, and the best so far.
    if (!searches[at]) {
      const delta = gradNorm > 0 ? scale(origin.slope.slice(), (sign * rho) / gradNorm) : zero.slice();
      const first = { delta, ...(await slopeAt(delta)), step: stepSize * rho };
      searches[at] = first;
      searches[at + 1] = isBetter(first, origin, sign) ? first : { ...origin, step: stepSize * rho };
      await step();
    }
    while (done < 2 + index + (index + 1) * steps) {
      signal?.throwIfAborted();
      searches[at + 1] = await nextPoint(searches[at + 1], sign, rho, seed, slopeAt);
      await step();
    }
    oneStep.push(searches[at]);
    best.push(steps === 0 ? searches[at] : searches[at + 1]);
  }
  const { shares } = surface;
  const intervals = (points: readonly Search[]) =>
    intervalsOf(origin, points, (values) => intervalOverBatches(values, shares, confidence));
  return {
    rho,
    radius,
    loss: origin.loss,
    gradNorm,
    oneStep: valuesOf(
      origin.loss,
      oneStep.map(({ loss }) => loss),
    ),
    multiStep: valuesOf(
      origin.loss,
      best.map(({ loss }) => loss),
    ),
    ...(shares.length > 1 && {
      intervals: { oneStep: intervals(oneStep), multiStep: intervals(best) },
    }),
    steps,
    stepSize,
    parameters: layout.length,
    description: surface.description,
  };
}

/** `worstCaseSharpness` of each layer: only its parameters are perturbed. */
export async function layerSharpness(
  surface: Surface,
  given: WorstCaseOptions & { layers?: readonly string[] },
): Promise<Map<string, WorstCaseSharpness>> {
  readOptions("layerSharpness", given, { ...worstCaseOptions, layers: "list" });
  const { layers = [...layersOf(surface.layout).keys()], signal, onProgress, state, ...options } = given;
  const names = layersOf(surface.layout);
  const blocks = layers.map((layer) => surface.restrictedTo(names.get(layer) ?? [layer]));
  const found = await inTurn(
    blocks.map((block) => (own) => worstCaseSharpness(block, { ...options, ...own })),
    { signal, onProgress, state },
  );
  return new Map(layers.map((layer, index) => [layer, found[index]]));
}

export interface BatchSharpness {
  /** Of each batch's own loss, in the order of the batches. */
  batches: WorstCaseSharpness[];
  oneStep: SharpnessIntervals;
  multiStep: SharpnessIntervals;
}

/**
 * `worstCaseSharpness` of the loss on each of the surface's batches by itself, each with a perturbation of its own
 * (m-sharpness, arXiv 2010.01412 section 4.1, with m the batch size), and the interval for its mean over batches.
 * Throws `UserError` when there are fewer than two batches.
 */
export async function batchSharpness(surface: Surface, given: WorstCaseOptions): Promise<BatchSharpness> {
  const { signal, onProgress, state, ...options } = readOptions("batchSharpness", given, worstCaseOptions);
  requireSeveralBatches(surface);
  const { confidence = 0.95 } = options;
  const batches = await inTurn(
    surface.shares.map((_, index) => (own: LongComputation) => {
      return worstCaseSharpness(surface.onBatches([index]), { ...options, ...own });
    }),
    { signal, onProgress, state },
  );
  const intervals = (kind: "oneStep" | "multiStep") => {
    const of = (name: keyof SharpnessValues) =>
      confidenceInterval(
        batches.map((batch) => batch[kind][name]),
        confidence,
      );
    return {
      maxSharpness: of("maxSharpness"),
      minSharpness: of("minSharpness"),
      bilateralSharpness: of("bilateralSharpness"),
    };
  };
  return { batches, oneStep: intervals("oneStep"), multiStep: intervals("multiStep") };
}

/** Throws `UserError` when there is but one batch, which has no spread. */
export function requireSeveralBatches(surface: Surface): void {
  if (surface.batchCount < 2) {
    throw new UserError(
      `an interval over batches needs at least 2 of them, but the ${surface.examples} examples are one batch; choose a smaller batch size`,
    );
  }
}

type Slope = (delta: Float64Array) => Promise<Pick<Search, "loss" | "batchLosses" | "slope">>;

/** One step from the best point so far. */
async function nextPoint(
  best: Search,
  sign: number,
  rho: number,
  seed: number,
  slopeAt: Slope,
): Promise<Search> {
  const size = norm(best.slope);
  const delta = best.delta.slice();
  if (size > 0) addScaled(delta, (sign * best.step) / size, best.slope);
  else {
    const random = randomStream(seed, "sharpness where the gradient is zero");
    const away = delta.map(() => random.normal());
    addScaled(delta, best.step / norm(away), away);
  }
  const length = norm(delta);
  if (length > rho) scale(delta, rho / length);
  const next = { delta, ...(await slopeAt(delta)) };
  return isBetter(next, best, sign)
    ? { ...next, step: Math.min(2 * best.step, 4 * rho) }
    : { ...best, step: best.step / 2 };
}

function isBetter(a: Pick<Search, "loss">, b: Pick<Search, "loss">, sign: number): boolean {
  return sign * (a.loss - b.loss) > 0;
}

function valuesOf(loss: number, [above, below]: readonly number[]): SharpnessValues {
  return {
    maxSharpness: above - loss,
    minSharpness: loss - below,
    bilateralSharpness: above - below,
  };
}

/** The values of each batch's loss at the same points, and what they say about the mean. */
function intervalsOf(
  origin: Search,
  points: readonly Search[],
  interval: (values: number[]) => ConfidenceInterval,
): SharpnessIntervals {
  const values = origin.batchLosses.map((loss, batch) =>
    valuesOf(
      loss,
      points.map(({ batchLosses }) => batchLosses[batch]),
    ),
  );
  const of = (name: keyof SharpnessValues) => interval(values.map((value) => value[name]));
  return {
    maxSharpness: of("maxSharpness"),
    minSharpness: of("minSharpness"),
    bilateralSharpness: of("bilateralSharpness"),
  };
}

function saveSearches(settings: SavedState["settings"], searches: readonly Search[]): SavedState {
  const tensors = searches.flatMap(({ delta, slope, loss, batchLosses, step }, index) => {
    const tensor = (data: Float64Array) => ({
      type: "float64" as const,
      shape: [data.length],
      data: data.slice(),
    });
    return [
      [`${index}/delta`, tensor(delta)],
      [`${index}/slope`, tensor(slope)],
      [`${index}/numbers`, tensor(Float64Array.of(loss, step))],
      [`${index}/batch losses`, tensor(Float64Array.from(batchLosses))],
    ] as const;
  });
  return { settings: { ...settings, searches: searches.length }, tensors: Object.fromEntries(tensors) };
}

function loadSearches({ settings, tensors }: SavedState): Search[] {
  return Array.from({ length: Number(settings.searches) }, (_, index) => {
    const numbers = (name: string) => (tensors[`${index}/${name}`].data as Float64Array).slice();
    const [loss, step] = numbers("numbers");
    const batchLosses = Array.from(numbers("batch losses"));
    return { delta: numbers("delta"), slope: numbers("slope"), loss, batchLosses, step };
  });
}
