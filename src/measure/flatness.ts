import { spectralDensity } from "../flatness/density.ts";
import { checkDeterminism } from "../flatness/determinism.ts";
import { checkCounts } from "../flatness/eigenpairs.ts";
import { layersOf } from "../flatness/parameter-vector.ts";
import { type LongComputation, requirePositive, requireWhole } from "../flatness/progress.ts";
import { type Radius, radii } from "../flatness/radius.ts";
import { randomSharpness } from "../flatness/random-sharpness.ts";
import type { FlatnessRecord, LayerSharpness } from "../flatness/results.ts";
import { type Curvature, layerSpectra, spectrum } from "../flatness/spectrum.ts";
import type { Surface } from "../flatness/surface.ts";
import { curvatureTrace } from "../flatness/trace.ts";
import {
  batchSharpness,
  layerSharpness,
  requireSeveralBatches,
  worstCaseSharpness,
} from "../flatness/worst-case.ts";
import type { ModelToMeasure } from "./measured-model.ts";
import type { MeasurementCache, Part, PartHooks } from "./measurement-cache.ts";

/** What can be measured, each by itself. */
export const flatnessMeasures = [
  "sharpness",
  "layer-sharpness",
  "batch-sharpness",
  "spectrum",
  "trace",
  "density",
  "layer-spectra",
] as const;
export type FlatnessMeasure = (typeof flatnessMeasures)[number];

/**
 * Largest eigenvalues by default: so few, and none of the smallest, that a small network takes less than half a minute. These
 * take 14 to 18 products with the Hessian of cnn, the one smallest 4 to 22 more.
 */
export const defaultLargest = 5;

export interface FlatnessHooks extends PartHooks {
  /** Before the parts: the seconds that those will take which are not kept. */
  onEstimate?: (seconds: number) => void;
}

export interface FlatnessOptions {
  measures: readonly FlatnessMeasure[];
  /** Radii ρ, for each of what they may be measured in. */
  rho: Readonly<Record<Radius, readonly number[]>>;
  /** Of the ascent and of the descent after the one step; of single batches and layers there is only the one step. */
  steps: number;
  /** Random directions. */
  directions: number;
  confidence: number;
  curvatures: readonly Curvature[];
  /** Eigenvalues at the upper end; when left out `defaultLargest`, or as many as there are. */
  largest?: number;
  /** At the lower end. */
  smallest: number;
  /** Eigenvalues of each layer at the upper end. */
  layerEigenvalues: number;
  tolerance: number;
  maxProducts?: number;
  verify: boolean;
  traceProducts: number;
  densityProbes: number;
  densitySteps: number;
  seed: number;
}

/** What is measured of. */
export interface Surfaces {
  surface: Surface;
  /** For second derivatives, where the surface has none. */
  smooth?: Surface;
}

/**
 * Measures the flatness of a model part by part, each kept in the cache. Begins with loss and metrics, and whether the
 * same data gives the same loss and gradient.
 *
 * Throws `UserError` for settings that do not fit the model before anything is computed.
 */
export async function measureFlatness(
  { identity }: Pick<ModelToMeasure, "identity">,
  { surface, smooth = surface }: Surfaces,
  cache: MeasurementCache,
  options: FlatnessOptions,
  hooks: FlatnessHooks,
): Promise<FlatnessRecord> {
  const { measures, curvatures, seed, rho: rhoOf, steps, directions, confidence } = options;
  const size = surface.layout.length;
  const { length: curved } = smooth.layout;
  const { largest = Math.min(defaultLargest, curved), smallest } = options;
  const wants = (measure: FlatnessMeasure) => measures.includes(measure);
  checkOptions(options);
  if (wants("spectrum")) checkCounts(largest, smallest, curved);
  if (wants("batch-sharpness")) requireSeveralBatches(surface);
  const balls = radii.flatMap((radius) => rhoOf[radius].map((rho) => ({ radius, rho })));
  const layers = [...layersOf(surface.layout).keys()];

  let seconds = 0;
  const measure = async <T extends object>(part: Part<T>): Promise<T> => {
    const kept = await cache.measure(part, hooks);
    seconds += kept.seconds;
    return kept.result;
  };
  const planned: PlannedPart[] = [];
  const plan = <T extends object>(work: number, part: Part<T>, take: (result: T) => void) =>
    planned.push({
      work,
      isKept: () => cache.has(part),
      measure: async () => take(await measure(part)),
    });
  const planForEachBall = <T extends object>(
    work: number,
    label: string,
    more: object,
    compute: (ball: { radius: Radius; rho: number } & LongComputation) => Promise<T>,
  ): T[] => {
    const results: T[] = [];
    for (const ball of balls) {
      const part = {
        label: `${label}, ${ball.radius} ρ ${ball.rho}`,
        settings: { ...ball, ...more },
        compute: (own: LongComputation) => compute({ ...ball, ...own }),
      };
      plan(work, part, (result) => results.push(result));
    }
    return results;
  };

  const { loss, metrics } = await measure({
    label: "loss",
    settings: {},
    compute: ({ signal }) => surface.evaluate(surface.weights, { signal }),
  });
  const determinism = await measure({
    label: "determinism",
    settings: {},
    compute: ({ signal }) => checkDeterminism(surface, { signal }),
  });
  const record: FlatnessRecord = {
    type: "flatness",
    ...identity,
    parameters: size,
    loss,
    metrics,
    createdAt: new Date().toISOString(),
    seconds,
    determinism,
    curvature: {},
  };
  if (wants("sharpness")) {
    const search = { steps, confidence, seed };
    record.sharpness = planForEachBall(
      work.gradient * (1 + 2 * steps) + work.loss * 4,
      "sharpness",
      search,
      (own) => worstCaseSharpness(surface, { ...search, ...own }),
    );
    const draws = { directions, confidence, seed };
    record.randomSharpness = planForEachBall(work.loss * 2 * directions, "random directions", draws, (own) =>
      randomSharpness(surface, { ...draws, ...own }),
    );
  }
  const oneStep = { steps: 0, confidence, seed };
  if (wants("batch-sharpness")) {
    record.batchSharpness = planForEachBall(
      work.gradient + work.loss * 2,
      "sharpness of single batches",
      oneStep,
      (own) => batchSharpness(surface, { ...oneStep, ...own }),
    );
  }
  if (wants("layer-sharpness")) {
    const found: LayerSharpness[] = layers.map((layer) => ({ layer, parameters: 0, sharpness: [] }));
    record.layerSharpness = found;
    for (const ball of balls) {
      const part = {
        label: `sharpness by layer, ${ball.radius} ρ ${ball.rho}`,
        settings: { ...ball, ...oneStep },
        compute: async (own: LongComputation) => ({
          layers: [...(await layerSharpness(surface, { ...ball, ...oneStep, ...own }))],
        }),
      };
      plan(layers.length * (work.gradient + work.loss * 3), part, (result) => {
        for (const [index, [, sharpness]] of result.layers.entries()) {
          found[index].parameters = sharpness.parameters;
          found[index].sharpness.push(sharpness);
        }
      });
    }
  }
  for (const curvature of curvatures) {
    const matrix = curvature === "hessian" ? "Hessian" : "Gauss–Newton";
    const { tolerance, maxProducts, verify } = options;
    const found: NonNullable<FlatnessRecord["curvature"][Curvature]> = {};
    const products = (top: number, bottom: number) =>
      work.product * Math.min(expectedProducts(top, bottom, curved), maxProducts ?? Number.POSITIVE_INFINITY);
    if (wants("spectrum")) {
      const settings = { curvature, largest, smallest, tolerance, maxProducts, verify, seed };
      const part = {
        label: `${matrix} eigenvalues`,
        settings,
        compute: (own: LongComputation) => spectrum(smooth, { ...settings, ...own }),
      };
      plan(products(largest, smallest) * (verify ? 1.5 : 1), part, (result) => {
        found.spectrum = result;
      });
    }
    if (wants("trace")) {
      const settings = { curvature, products: options.traceProducts, seed };
      const part = {
        label: `${matrix} trace`,
        settings,
        compute: (own: LongComputation) => curvatureTrace(smooth, { ...settings, ...own }),
      };
      plan(work.product * options.traceProducts, part, (result) => {
        found.trace = result;
      });
    }
    if (wants("density")) {
      const settings = { curvature, probes: options.densityProbes, steps: options.densitySteps, seed };
      const part = {
        label: `${matrix} density`,
        settings,
        compute: (own: LongComputation) => spectralDensity(smooth, { ...settings, ...own }),
      };
      plan(work.product * settings.probes * settings.steps, part, (result) => {
        found.density = result;
      });
    }
    if (wants("layer-spectra")) {
      const settings = { curvature, largest: options.layerEigenvalues, tolerance, maxProducts, seed };
      const part = {
        label: `${matrix} eigenvalues by layer`,
        settings,
        compute: async (own: LongComputation) => ({
          layers: [...(await layerSpectra(smooth, { ...settings, ...own }))],
        }),
      };
      plan(layersOf(smooth.layout).size * products(options.layerEigenvalues, 0), part, (result) => {
        found.layers = result.layers.map(([layer, spectrumOfLayer]) => ({
          layer,
          parameters: spectrumOfLayer.parameters,
          spectrum: spectrumOfLayer,
        }));
      });
    }
    record.curvature[curvature] = found;
  }
  await announce(planned, surface, hooks);
  for (const part of planned) await part.measure();
  const measured = Object.entries(record.curvature).filter(([, found]) => Object.keys(found).length > 0);
  return { ...record, seconds, curvature: Object.fromEntries(measured) };
}

/** A part that has its turn later. */
interface PlannedPart {
  /** In gradients over the whole data. */
  work: number;
  isKept: () => Promise<boolean>;
  measure: () => Promise<void>;
}

/** What each evaluation costs, in gradients. */
const work = { loss: 0.25, gradient: 1, product: 2 };

/** Products that Lanczos takes, as found for the networks here (18 to 190 at the two ends together). */
function expectedProducts(largest: number, smallest: number, size: number): number {
  return Math.min(size, 20 + 3 * largest + 4 * smallest);
}

/** Says how long what is not kept will take, by one gradient. */
async function announce(
  planned: readonly PlannedPart[],
  surface: Surface,
  { signal, onEstimate }: FlatnessHooks,
): Promise<void> {
  if (!onEstimate) return;
  let gradients = 0;
  for (const part of planned) if (!(await part.isKept())) gradients += part.work;
  // Where there is little to do, it is done before an estimate would be.
  if (gradients < 10) return;
  await surface.gradient(surface.weights, { signal });
  const started = performance.now();
  await surface.gradient(surface.weights, { signal });
  onEstimate((gradients * (performance.now() - started)) / 1000);
}

/** What the computations would refuse themselves, but only when it is their turn. */
function checkOptions(options: FlatnessOptions): void {
  for (const rho of radii.flatMap((radius) => options.rho[radius])) requirePositive("the radius ρ", rho);
  requireWhole("the number of steps", options.steps, 0);
  requireWhole("the number of directions", options.directions, 2);
  requireWhole("the number of eigenvalues of a layer", options.layerEigenvalues, 1);
  requirePositive("tolerance", options.tolerance);
  requireWhole("the number of products for hutch++", options.traceProducts, 6);
  requireWhole("the number of probes", options.densityProbes, 2);
  requireWhole("the number of Lanczos steps", options.densitySteps, 1);
}
