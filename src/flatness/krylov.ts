import { randomStream } from "../common/random.ts";
import type { Tensors } from "../runtime/engine.ts";
import { addCombination, norm, orthogonalize, scale } from "./dense.ts";
import { symmetricEigen } from "./symmetric-eigen.ts";

/** v ↦ A·v for a symmetric A of which nothing else is known. The vector must not be changed. */
export type LinearOperator = (vector: Float64Array) => Promise<Float64Array>;

/** Approximate eigenpairs, in descending order of their values. */
export interface RitzPairs {
  values: Float64Array;
  /** In coordinates of the basis. */
  vectors: readonly Float64Array[];
  /** ‖A·x − θ·x‖ of a pair. */
  residual: (index: number) => number;
}

/** A norm of less than this share of the operator's is rounding: the space cannot be left by multiplying. */
const breakdown = 1e-10;

/**
 * An orthonormal basis v₁ … vₘ that grows by one multiplication at a time, and what A does to it:
 *
 *   A·vⱼ = Σᵢ hᵢⱼ·vᵢ  for i ≤ j + 1.
 *
 * This is Lanczos with full reorthogonalisation in which all coefficients hᵢⱼ = vᵢᵀA·vⱼ are kept, not only the three
 * that are not rounding. So the equation holds to float64 accuracy even where A itself is computed in float32, a
 * residual is known without multiplying again, and bases that were restarted need no case of their own.
 *
 * Where the space is invariant, multiplying does not lead out of it; it goes on with a random vector orthogonal to
 * it, so that eigenvalues of higher multiplicity come up too, and at m = n everything is known.
 */
export class KrylovSpace {
  /** v₁ … vₘ and, unless the space is everything, the next one. */
  basis: Float64Array[] = [];
  /** Random vectors drawn so far. */
  private draws = 0;
  private readonly length: number;
  private readonly seed: number;
  private readonly purpose: string;
  /** Column j: the coefficients of A·vⱼ. */
  private columns: Float64Array[] = [];
  /** Column j: ‖·‖² of the part of A·vⱼ that a restart left out. */
  private lost: number[] = [];
  /** The largest ‖A·vⱼ‖. */
  private largest = 0;

  /** @param start where to begin; a random vector when left out */
  constructor(length: number, seed: number, purpose: string, start?: Float64Array) {
    this.length = length;
    this.seed = seed;
    this.purpose = purpose;
    this.basis.push(start ? scale(start.slice(), 1 / norm(start)) : this.randomVector());
  }

  /** m: how many vectors were multiplied. */
  get size(): number {
    return this.columns.length;
  }

  /** Multiplies the next vector. */
  async grow(operator: LinearOperator): Promise<void> {
    const rest = (await operator(this.basis[this.size])).slice();
    this.largest = Math.max(this.largest, norm(rest));
    const taken = orthogonalize(rest, this.basis);
    const beta = norm(rest);
    const column = new Float64Array(taken.length + 1);
    column.set(taken);
    this.columns.push(column);
    this.lost.push(0);
    if (this.size === this.length) return;
    if (beta > breakdown * this.largest) {
      column[taken.length] = beta;
      this.basis.push(scale(rest, 1 / beta));
    } else this.basis.push(this.randomVector());
  }

  /** Rayleigh–Ritz: the eigenpairs of the symmetric matrix of all vᵢᵀA·vⱼ. */
  ritz(): RitzPairs {
    const { size, columns, lost } = this;
    // Each number was measured at the later of its two vectors; at the earlier one it is a β, or 0.
    const { values, vectors } = symmetricEigen(size, (row, column) => columns[column][row]);
    return {
      values,
      vectors,
      residual: (index) => {
        const y = vectors[index];
        const beta = columns[size - 1][size] * y[size - 1];
        let sum = beta * beta;
        for (let j = 0; j < size; j++) sum += lost[j] * y[j] * y[j];
        return Math.sqrt(sum + this.asymmetricPart(y));
      },
    };
  }

  /** How far A as it is computed is from symmetric, relative to it: the floor under every residual. */
  asymmetry(): number {
    let [difference, total] = [0, 0];
    for (const [j, column] of this.columns.entries()) {
      for (let i = 0; i < column.length && i < this.size; i++) total += column[i] ** 2;
      for (let i = j + 1; i < this.size; i++) difference += ((column[i] ?? 0) - this.columns[i][j]) ** 2;
    }
    return total === 0 ? 0 : Math.sqrt(difference / total);
  }

  /** The vector with the given coordinates. */
  vector(coordinates: Float64Array): Float64Array {
    const result = new Float64Array(this.length);
    addCombination(result, 1, this.basis, coordinates);
    return result;
  }

  /**
   * Replaces the basis by some Ritz vectors and goes on from there: with the next vector as it is (thick restart, Wu &
   * Simon 2000: nothing that led to the kept vectors is lost), or with a random one.
   */
  restart(ritz: RitzPairs, kept: readonly number[], next: "same" | "random"): void {
    const { size } = this;
    const coordinates = kept.map((index) => ritz.vectors[index]);
    const coupling = coordinates.map((y) => this.columns[size - 1][size] * y[size - 1]);
    this.lost = kept.map((index, i) => {
      const rest = ritz.residual(index) ** 2 - coupling[i] ** 2;
      return Math.max(0, rest) + (next === "random" ? coupling[i] ** 2 : 0);
    });
    const following = this.basis[size];
    this.combineInPlace(coordinates);
    this.columns = kept.map((index, i) => {
      const column = new Float64Array(kept.length + 1);
      column[i] = ritz.values[index];
      if (next === "same") column[kept.length] = coupling[i];
      return column;
    });
    this.basis.length = kept.length;
    this.basis.push(next === "same" ? following : this.randomVector());
  }

  /** The space as plain tensors. */
  save(): Tensors {
    const { size, length, basis } = this;
    const flat = new Float64Array(basis.length * length);
    for (const [index, vector] of basis.entries()) flat.set(vector, index * length);
    const columns = new Float64Array(size * (size + 1));
    for (const [index, column] of this.columns.entries()) columns.set(column, index * (size + 1));
    const tensor = (shape: number[], data: Float64Array<ArrayBuffer>) => ({
      type: "float64" as const,
      shape,
      data,
    });
    return {
      basis: tensor([basis.length, length], flat),
      columns: tensor([size, size + 1], columns),
      lost: tensor([size], Float64Array.from(this.lost)),
      counters: tensor([2], Float64Array.of(this.draws, this.largest)),
    };
  }

  /** Takes over what `save` gave for a space of the same length, seed and purpose. */
  load({ basis, columns, lost, counters }: Tensors): void {
    const [count, length] = basis.shape;
    const [size] = lost.shape;
    const vectors = basis.data as Float64Array;
    const numbers = columns.data as Float64Array;
    this.basis = Array.from({ length: count }, (_, i) => vectors.slice(i * length, (i + 1) * length));
    this.columns = Array.from({ length: size }, (_, j) =>
      numbers.slice(j * (size + 1), (j + 1) * (size + 1)),
    );
    this.lost = Array.from(lost.data as Float64Array);
    [this.draws, this.largest] = counters.data as Float64Array;
  }

  /** ‖(A as computed − its symmetric stand-in)·y‖² within the basis. */
  private asymmetricPart(y: Float64Array): number {
    let sum = 0;
    for (let i = 1; i < this.size; i++) {
      let part = 0;
      for (let j = 0; j < i; j++) part += ((this.columns[j][i] ?? 0) - this.columns[i][j]) * y[j];
      sum += part * part;
    }
    return sum;
  }

  private randomVector(): Float64Array {
    const random = randomStream(this.seed, this.purpose, this.draws++);
    const vector = Float64Array.from({ length: this.length }, () => random.normal());
    orthogonalize(vector, this.basis);
    return scale(vector, 1 / norm(vector));
  }

  /** V ← V·Y, a block of rows at a time. */
  private combineInPlace(coordinates: readonly Float64Array[]): void {
    const rows = 512;
    for (let start = 0; start < this.length; start += rows) {
      const block = this.basis.slice(0, this.size).map((vector) => vector.slice(start, start + rows));
      for (const [index, y] of coordinates.entries()) {
        const target = this.basis[index].subarray(start, start + rows);
        target.fill(0);
        addCombination(target, 1, block, y);
      }
    }
  }
}
