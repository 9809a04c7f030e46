import { type OptionKinds, readOptions } from "../common/options.ts";
import { type EigenpairOptions, type Eigenpairs, eigenpairOptions, eigenpairs } from "./eigenpairs.ts";
import type { LinearOperator } from "./krylov.ts";
import { layersOf } from "./parameter-vector.ts";
import { inTurn, type LongComputation } from "./progress.ts";
import type { Surface } from "./surface.ts";

/**
 * Which matrix: the Hessian of the mean loss, or its Gauss–Newton part Jᵀ·H_L·J, which leaves out the curvature of the
 * network itself.
 */
export const curvatures = ["hessian", "gauss-newton"] as const;
export type Curvature = (typeof curvatures)[number];

export interface CurvatureOptions {
  /** Default `"hessian"`. */
  curvature?: Curvature;
}

export const curvatureOptions: OptionKinds<CurvatureOptions> = { curvature: curvatures };

/** What every measurement says of itself. */
export interface Measured {
  curvature: Curvature;
  /** Of the matrix: it is that many numbers squared. */
  parameters: number;
  /** Data, subset, mode of BatchNorm, …, as the surface states them. */
  description: Readonly<Record<string, string | number>>;
}

export type Spectrum = Eigenpairs & Measured;

/**
 * The largest and smallest eigenvalues of the loss's curvature over the surface's whole data subset, each with its
 * residual; see `eigenpairs` for options, method and errors.
 *
 * @example const { largest } = await spectrum(surface, { largest: 50 });
 */
export async function spectrum(
  surface: Surface,
  options: EigenpairOptions & CurvatureOptions = {},
): Promise<Spectrum> {
  readOptions("spectrum", options, { ...eigenpairOptions, ...curvatureOptions });
  const { curvature, ...own } = options;
  const operator = curvatureOperator(surface, { curvature, signal: own.signal });
  const { length, type } = surface.layout;
  return {
    ...measured(surface, { curvature }),
    ...(await eigenpairs(operator, length, { basisType: type, ...own })),
  };
}

/**
 * The spectrum of each layer's block of the curvature: the same loss as a function of that layer's parameters alone.
 * `largest` and `smallest` are cut down to the size of a layer.
 */
export async function layerSpectra(
  surface: Surface,
  given: Omit<EigenpairOptions, "vectors"> & CurvatureOptions & { layers?: readonly string[] } = {},
): Promise<Map<string, Spectrum>> {
  const { vectors: _, ...kinds } = eigenpairOptions;
  readOptions("layerSpectra", given, { ...kinds, ...curvatureOptions, layers: "list" });
  const { layers = [...layersOf(surface.layout).keys()], signal, onProgress, state, ...options } = given;
  const names = layersOf(surface.layout);
  const found = await inTurn(
    layers.map((layer) => {
      const block = surface.restrictedTo(names.get(layer) ?? [layer]);
      const fitting = (count: number | undefined) => count && Math.min(count, block.layout.length);
      const counts = { largest: fitting(options.largest), smallest: fitting(options.smallest) };
      return (own: LongComputation) => spectrum(block, { ...options, ...counts, ...own });
    }),
    { signal, onProgress, state },
  );
  return new Map(layers.map((layer, index) => [layer, found[index]]));
}

/** Multiplication by the curvature, for the algorithms that know nothing else of it. */
export function curvatureOperator(
  surface: Surface,
  options: CurvatureOptions & Pick<LongComputation, "signal"> = {},
): LinearOperator {
  const kinds = { ...curvatureOptions, signal: "object" } as const;
  const { curvature = "hessian", signal } = readOptions("curvatureOperator", options, kinds);
  return curvature === "hessian"
    ? (vector) => surface.hessianProduct(vector, { signal })
    : (vector) => surface.gaussNewtonProduct(vector, { signal });
}

export function measured(surface: Surface, { curvature = "hessian" }: CurvatureOptions = {}): Measured {
  return { curvature, parameters: surface.layout.length, description: surface.description };
}
