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
  /** Eigenvalues at each end; when left out 50, or as many as there are. */
  largest?: number;
  smallest?: number;
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

/**
 * Measures the flatness of a model part by part, each kept in the cache. Begins with loss and metrics, and whether the
 * same data gives the same loss and gradient.
 *
 * Throws `UserError` for settings that do not fit the model before anything is computed.
 */
export async function measureFlatness(
  { identity }: Pick<ModelToMeasure, "identity">,
  surface: Surface,
  cache: MeasurementCache,
  options: FlatnessOptions,
  hooks: PartHooks,
): Promise<FlatnessRecord> {
  const { measures, curvatures, seed, rho: rhoOf, steps, directions, confidence } = options;
  const size = surface.layout.length;
  const { largest = Math.min(50, size), smallest = Math.min(50, size) } = options;
  const wants = (measure: FlatnessMeasure) => measures.includes(measure);
  checkOptions(options);
  if (wants("spectrum")) checkCounts(largest, smallest, size);
  if (wants("batch-sharpness")) requireSeveralBatches(surface);
  const balls = radii.flatMap((radius) => rhoOf[radius].map((rho) => ({ radius, rho })));

  let seconds = 0;
  const measure = async <T extends object>(part: Part<T>): Promise<T> => {
    const kept = await cache.measure(part, hooks);
    seconds += kept.seconds;
    return kept.result;
  };
  const forEachBall = async <T extends object>(
    label: string,
    more: object,
    compute: (ball: { radius: Radius; rho: number } & LongComputation) => Promise<T>,
  ): Promise<T[]> => {
    const results: T[] = [];
    for (const ball of balls) {
      results.push(
        await measure({
          label: `${label}, ${ball.radius} ρ ${ball.rho}`,
          settings: { ...ball, ...more },
          compute: (own) => compute({ ...ball, ...own }),
        }),
      );
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
    record.sharpness = await forEachBall("sharpness", search, (own) =>
      worstCaseSharpness(surface, { ...search, ...own }),
    );
    const draws = { directions, confidence, seed };
    record.randomSharpness = await forEachBall("random directions", draws, (own) =>
      randomSharpness(surface, { ...draws, ...own }),
    );
  }
  const oneStep = { steps: 0, confidence, seed };
  if (wants("batch-sharpness")) {
    record.batchSharpness = await forEachBall("sharpness of single batches", oneStep, (own) =>
      batchSharpness(surface, { ...oneStep, ...own }),
    );
  }
  if (wants("layer-sharpness")) {
    const layers = await forEachBall("sharpness by layer", oneStep, async (own) => ({
      layers: [...(await layerSharpness(surface, { ...oneStep, ...own }))],
    }));
    record.layerSharpness = [...layersOf(surface.layout).keys()].map(
      (layer, index): LayerSharpness => ({
        layer,
        parameters: layers[0].layers[index][1].parameters,
        sharpness: layers.map((ball) => ball.layers[index][1]),
      }),
    );
  }
  for (const curvature of curvatures) {
    const matrix = curvature === "hessian" ? "Hessian" : "Gauss–Newton";
    const { tolerance, maxProducts, verify } = options;
    const found: FlatnessRecord["curvature"][Curvature] = {};
    if (wants("spectrum")) {
      const settings = { curvature, largest, smallest, tolerance, maxProducts, verify, seed };
      found.spectrum = await measure({
        label: `${matrix} eigenvalues`,
        settings,
        compute: (own) => spectrum(surface, { ...settings, ...own }),
      });
    }
    if (wants("trace")) {
      const settings = { curvature, products: options.traceProducts, seed };
      found.trace = await measure({
        label: `${matrix} trace`,
        settings,
        compute: (own) => curvatureTrace(surface, { ...settings, ...own }),
      });
    }
    if (wants("density")) {
      const settings = { curvature, probes: options.densityProbes, steps: options.densitySteps, seed };
      found.density = await measure({
        label: `${matrix} density`,
        settings,
        compute: (own) => spectralDensity(surface, { ...settings, ...own }),
      });
    }
    if (wants("layer-spectra")) {
      const settings = { curvature, largest: options.layerEigenvalues, tolerance, maxProducts, seed };
      const { layers } = await measure({
        label: `${matrix} eigenvalues by layer`,
        settings,
        compute: async (own) => ({ layers: [...(await layerSpectra(surface, { ...settings, ...own }))] }),
      });
      found.layers = layers.map(([layer, spectrumOfLayer]) => ({
        layer,
        parameters: spectrumOfLayer.parameters,
        spectrum: spectrumOfLayer,
      }));
    }
    if (Object.keys(found).length > 0) record.curvature[curvature] = found;
  }
  return { ...record, seconds };
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
