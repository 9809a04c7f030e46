import { availableParallelism } from "node:os";
import { join } from "node:path";
import { type Spectrum, spectrum } from "../flatness/spectrum.ts";
import { openSurface } from "../flatness/surface.ts";
import { cacheFolder, openModel } from "../measure/measured-model.ts";
import { MeasurementCache, type PartHooks } from "../measure/measurement-cache.ts";
import { exists } from "../runs/run-folder.ts";
import { findModel } from "../runs/trained-model.ts";
import { openEngine } from "../runtime/remote.ts";
import type { DataPair } from "../tasks/task.ts";
import type { FiguresConfiguration } from "./configuration.ts";
import type { PlacedRun } from "./runs.ts";

export interface MeasuredSpectrum {
  spectrum: Spectrum;
  /** Test images that the loss is the mean of. */
  examples: number;
}

/** The runs whose spectra figure 5 shows: one for each method and seed, as far as they have a model. */
export async function runsWithSpectra(runs: readonly PlacedRun[]): Promise<PlacedRun[]> {
  const methods = runs.filter(({ role }) => role.kind === "method");
  const there = await Promise.all(methods.map(({ folder }) => exists(join(folder, "model.onnx"))));
  return methods.filter((_, index) => there[index]);
}

/**
 * The largest eigenvalues of the Hessian of the loss a run was trained with, over the first test images, BatchNorm in
 * evaluation mode. Kept in the run's folder, where `lowland flatness` finds it too, and resumed after an interruption.
 */
export async function measureTestSpectrum(
  { folder, name, seed }: PlacedRun,
  data: DataPair,
  { spectrum: { eigenvalues, images, tolerance }, threads = availableParallelism() }: FiguresConfiguration,
  hooks: PartHooks,
): Promise<MeasuredSpectrum> {
  const model = await openModel(await findModel(folder), data, { set: "test", subset: { atMost: images } });
  const { fingerprints, description } = model.identity;
  const cache = new MeasurementCache(cacheFolder(folder), { fingerprints, description });
  const settings = {
    curvature: "hessian",
    largest: eigenvalues,
    smallest: 0,
    tolerance,
    maxProducts: undefined,
    verify: false,
    seed: 0,
  } as const;
  const named = (label: string) => `${label} of ${name}, seed ${seed}`;
  const { result } = await cache.measure(
    {
      label: "Hessian eigenvalues",
      settings,
      compute: async (own) => {
        // A quantized network has no second derivative.
        const { smooth = model.surface } = model;
        const count = Math.min(threads, smooth.batches.length);
        const engines = Array.from({ length: count }, () => openEngine({ threads: 1 }));
        try {
          return await spectrum(await openSurface(engines, smooth), { ...settings, ...own });
        } finally {
          for (const engine of engines) await engine.close();
        }
      },
    },
    {
      ...hooks,
      onPart: (label, resumed) => hooks.onPart?.(named(label), resumed),
      onPartEnd: (label, seconds) => hooks.onPartEnd?.(named(label), seconds),
    },
  );
  return { spectrum: result, examples: Number(description.examples) };
}
