import { UserError } from "../common/errors.ts";
import { type OptionKinds, readOptions } from "../common/options.ts";
import { type BasisType, basisTypes, bytesOf } from "./basis.ts";
import { KrylovSpace, type LinearOperator, type RitzPairs } from "./krylov.ts";
import {
  type LongComputation,
  longComputation,
  progressReporter,
  requirePositive,
  requireSameSettings,
  requireWhole,
  type SavedState,
} from "./progress.ts";

export interface Eigenvalue {
  value: number;
  /** ‖A·x − λ·x‖ for the unit eigenvector x: some eigenvalue of A lies within this distance. */
  residual: number;
  /** Whether the residual is at most `tolerance` times the largest |λ|. */
  converged: boolean;
}

export interface Eigenpairs {
  /** The algebraically largest, in descending order. */
  largest: Eigenvalue[];
  /** The algebraically smallest, in ascending order. */
  smallest: Eigenvalue[];
  /** Unit eigenvectors in the same orders, when asked for. */
  vectors?: { largest: Float64Array[]; smallest: Float64Array[] };
  /** Whether all of them are converged. */
  converged: boolean;
  tolerance: number;
  /** Multiplications by A. */
  products: number;
  /** Relative difference of A as it was computed and its transpose: rounding, and the floor under the residuals. */
  asymmetry: number;
  seed: number;
}

export interface EigenpairOptions extends LongComputation {
  /** How many of the largest eigenvalues. Default 50, or the size of A if that is less. */
  largest?: number;
  /** How many of the smallest. Default 0. */
  smallest?: number;
  /** Residual, relative to the largest |λ|, at which an eigenpair counts as converged. Default 1e-4. */
  tolerance?: number;
  /** Multiplications at most; what is not converged by then is marked. Default 10 per eigenvalue and 200 more. */
  maxProducts?: number;
  /**
   * In which type the basis is stored; sums are float64. `"float32"` for an operator that rounds its vector to float32
   * itself: it then loses nothing, in half the time and memory. Default `"float64"`.
   */
  basisType?: BasisType;
  /** Bytes the basis may take; when they are used up it is restarted from its best vectors. Default 2e9. */
  memory?: number;
  seed?: number;
  /**
   * When everything is converged, look once more from a random vector orthogonal to all that was found. A single start
   * vector sees one eigenvector of each eigenspace, so of equal (or very near) eigenvalues one comes up long before
   * the others. Costs about half as much again. Default false.
   */
  verify?: boolean;
  /** Return the eigenvectors. Default false. */
  vectors?: boolean;
}

export const eigenpairOptions: OptionKinds<EigenpairOptions> = {
  ...longComputation,
  largest: "number",
  smallest: "number",
  tolerance: "number",
  maxProducts: "number",
  basisType: basisTypes,
  memory: "number",
  seed: "number",
  verify: "boolean",
  vectors: "boolean",
};

/**
 * The largest and smallest eigenvalues of a symmetric operator on vectors of `length` numbers, by Lanczos with full
 * reorthogonalization in float64 and thick restarts (Parlett 1998, chapter 13; Wu & Simon 2000).
 *
 * Each value is a Rayleigh quotient, so the i-th largest that is found is never above the i-th largest there is.
 *
 * Throws `UserError` when more eigenvalues are asked for than there are, or `memory` does not hold them.
 */
export async function eigenpairs(
  operator: LinearOperator,
  length: number,
  options: EigenpairOptions = {},
): Promise<Eigenpairs> {
  readOptions("eigenpairs", options, eigenpairOptions);
  const { smallest = 0, tolerance = 1e-4, memory = 2e9, seed = 0, verify = false, state, signal } = options;
  const { basisType = "float64" } = options;
  const { largest = smallest > 0 ? 0 : Math.min(50, length) } = options;
  const wanted = checkCounts(largest, smallest, length);
  requirePositive("tolerance", tolerance);
  const maxProducts = requireWhole("maxProducts", options.maxProducts ?? 10 * wanted + 200, 1);
  const capacity = basisCapacity(wanted, bytesOf(basisType) * length, memory, length);
  const space = new KrylovSpace(length, { seed, purpose: "Lanczos start", type: basisType });
  const settings = { computation: "eigenvalues", parameters: length, seed, basisType };
  let [products, verified] = [0, undefined as Float64Array | undefined];
  if (state) {
    requireSameSettings(state, settings);
    space.load(state.tensors);
    products = Number(state.settings.products);
    if (state.tensors.verified) verified = state.tensors.verified.data as Float64Array;
  }
  const save = (): SavedState => ({
    settings: { ...settings, products },
    tensors: {
      ...space.save(),
      ...(verified && { verified: { type: "float64", shape: [verified.length], data: verified.slice() } }),
    },
  });
  const report = progressReporter(options, products, save);
  let total = Math.min(length, maxProducts, 2 * wanted + 20);

  for (;;) {
    signal?.throwIfAborted();
    const complete = space.size === length;
    // Once more on each side while verifying, so that one of the complement has to converge.
    const extra = verified && !complete ? 1 : 0;
    const [top, bottom] = [largest > 0 ? largest + extra : 0, smallest > 0 ? smallest + extra : 0];
    const least = Math.min(length, top + bottom);
    const full = space.size === capacity && !complete;
    if (complete || full || products >= maxProducts || isTimeToCheck(space.size, least)) {
      const ritz = space.ritz();
      const places = [...ends(space.size, top, bottom)];
      const limit = tolerance * largestMagnitude(ritz.values);
      const open = places.filter((index) => !(ritz.residual(index) <= limit)).length;
      const done = complete || (space.size >= least && open === 0);
      const values = Float64Array.from(ends(space.size, largest, smallest), (index) => ritz.values[index]);
      const settled = !verify || complete || (verified && isSame(values, verified, limit));
      if ((done && settled) || products >= maxProducts) {
        return {
          ...result(space, ritz, { largest, smallest, tolerance, vectors: options.vectors }),
          products,
          seed,
        };
      }
      if (done) {
        verified = values;
        space.restart(ritz, [...ends(space.size, largest, smallest)], "random");
      } else if (full) {
        space.restart(ritz, keptAtRestart(capacity, top, bottom), "same");
      }
      const share = (places.length - open) / places.length;
      total = Math.min(maxProducts, Math.max(products + 5, Math.round(products / Math.max(share, 0.3))));
    }
    await space.grow((vector) => operator(vector));
    products++;
    await report(products, Math.max(total, products));
  }
}

/** How many eigenvalues are wanted. Throws `UserError` when there are fewer. */
export function checkCounts(largest: number, smallest: number, length: number): number {
  for (const [name, count] of Object.entries({ largest, smallest })) {
    requireWhole(`the number of ${name} eigenvalues`, count, 0);
    if (count > length) {
      throw new UserError(
        `${count} ${name} eigenvalues were asked for, but there are only ${length} parameters; choose at most ${length}`,
      );
    }
  }
  if (largest + smallest === 0) throw new UserError("no eigenvalues were asked for; choose at least one");
  return Math.min(length, largest + smallest);
}

/** How many basis vectors the memory holds, beside the next one and the one being multiplied. */
function basisCapacity(wanted: number, vectorBytes: number, memory: number, length: number): number {
  const capacity = Math.min(length, Math.floor(memory / vectorBytes) - 2);
  const needed = Math.min(length, wanted + 4);
  if (capacity >= needed) return capacity;
  const gigabytes = ((needed + 2) * vectorBytes) / 1e9;
  throw new UserError(
    `${wanted} eigenvalues of ${length} parameters need a basis of ${gigabytes.toPrecision(2)} GB, but ${(memory / 1e9).toPrecision(2)} GB are allowed; allow more memory or ask for fewer`,
  );
}

/** A function of the size alone, so that a resumed computation looks at the same moments. */
function isTimeToCheck(size: number, least: number): boolean {
  const first = least + Math.ceil(least / 5);
  return size >= first && (size - first) % Math.max(2, Math.ceil(least / 16)) === 0;
}

/** The first `top` and the last `bottom` of `size` places, each once. */
function* ends(size: number, top: number, bottom: number): Generator<number> {
  for (let index = 0; index < size; index++) if (index < top || index >= size - bottom) yield index;
}

/** What is wanted and half of what else there is room for, shared between the ends in use. */
function keptAtRestart(size: number, top: number, bottom: number): number[] {
  const spare = Math.floor((size - top - bottom) / 2);
  const above = top === 0 ? 0 : bottom === 0 ? spare : Math.floor(spare / 2);
  const below = bottom === 0 ? 0 : spare - above;
  return [...ends(size, top + above, bottom + below)];
}

function result(
  space: KrylovSpace,
  ritz: RitzPairs,
  {
    largest,
    smallest,
    tolerance,
    vectors,
  }: { largest: number; smallest: number; tolerance: number; vectors?: boolean },
): Omit<Eigenpairs, "products" | "seed"> {
  const limit = tolerance * largestMagnitude(ritz.values);
  const pair = (index: number): Eigenvalue => {
    const residual = ritz.residual(index);
    return { value: ritz.values[index], residual, converged: residual <= limit };
  };
  const above = [...ends(space.size, largest, 0)];
  const below = [...ends(space.size, 0, smallest)].reverse();
  const found = { largest: above.map(pair), smallest: below.map(pair) };
  const complete = above.length === largest && below.length === smallest;
  const vector = (index: number) => space.vector(ritz.vectors[index]);
  return {
    ...found,
    ...(vectors && { vectors: { largest: above.map(vector), smallest: below.map(vector) } }),
    converged: complete && [...found.largest, ...found.smallest].every(({ converged }) => converged),
    tolerance,
    asymmetry: space.asymmetry(),
  };
}

function largestMagnitude(values: Float64Array): number {
  return values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
}

function isSame(a: Float64Array, b: Float64Array, limit: number): boolean {
  return a.length === b.length && a.every((value, index) => Math.abs(value - b[index]) <= limit);
}
