import { randomStream } from "../common/random.ts";
import type { TensorData } from "../onnx/tensor.ts";
import type { Tensors } from "../runtime/engine.ts";
import { Basis, type BasisType } from "./basis.ts";
import { addScaled, dot, norm, scale } from "./dense.ts";
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

export interface KrylovOptions {
  seed: number;
  /** Of the random vectors. */
  purpose: string;
  /** In which the basis is stored. Default `"float64"`. */
  type?: BasisType;
  /** Where to begin; a random vector when left out. */
  start?: Float64Array;
}

/** A norm of less than this share of the operator's is rounding: the space cannot be left by multiplying. */
const breakdown = 1e-10;

/**
 * An orthonormal basis v₁ … vₘ that grows by one multiplication at a time, and what A does to it:
 *
 *   A·vⱼ = Σᵢ hᵢⱼ·vᵢ  for i ≤ j + 1.
 *
 * This is Lanczos with full reorthogonalization in which all coefficients hᵢⱼ = vᵢᵀA·vⱼ are kept, not only the three
 * that are not rounding. So the equation holds to the accuracy of the basis even where A itself is less accurate, a
 * residual is known without multiplying again, and bases that were restarted need no case of their own.
 *
 * The basis is stored as float32 or float64. For an A that takes float32, float32 loses nothing: A then multiplies vⱼ as
 * it is stored. The vectors are orthogonal to about 1e-8 / √n, and half as many bytes are read.
 *
 * Where the space is invariant, multiplying does not lead out of it; it goes on with a random vector orthogonal to
 * it, so that eigenvalues of higher multiplicity come up too, and at m = n everything is known.
 */
export class KrylovSpace {
  /** v₁ … vₘ and, unless the space is everything, the next one. */
  readonly basis: Basis;
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

  constructor(length: number, { seed, purpose, type = "float64", start }: KrylovOptions) {
    this.length = length;
    this.seed = seed;
    this.purpose = purpose;
    this.basis = new Basis(length, type);
    this.basis.push(start ? scale(start.slice(), 1 / norm(start)) : this.randomVector());
  }

  /** m: how many vectors were multiplied. */
  get size(): number {
    return this.columns.length;
  }

  /** Multiplies the next vector. */
  async grow(operator: LinearOperator): Promise<void> {
    const { size, basis } = this;
    const vector = basis.vector(size);
    const rest = (await operator(vector)).slice();
    this.largest = Math.max(this.largest, norm(rest));
    // What symmetry foretells is taken out first: what A made of each earlier vector in the direction of this one, which is
    // 0 for all but the last or, after a restart, the kept ones. So little is left of the earlier vectors that taking it
    // out in one round is enough.
    const column = new Float64Array(size + 2);
    for (let i = 0; i < size; i++) column[i] = this.columns[i][size] ?? 0;
    column[size] = dot(vector, rest);
    basis.addCombination(rest, -1, column.subarray(0, size));
    addScaled(rest, -column[size], vector);
    for (const [i, taken] of basis.orthogonalize(rest).entries()) column[i] += taken;
    const beta = norm(rest);
    this.columns.push(column);
    this.lost.push(0);
    if (this.size === this.length) return;
    if (beta > breakdown * this.largest) {
      column[size + 1] = beta;
      basis.push(scale(rest, 1 / beta));
    } else basis.push(this.randomVector());
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
    this.basis.addCombination(result, 1, coordinates);
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
    const following = this.basis.vector(size);
    this.basis.truncate(size);
    this.basis.transform(coordinates);
    this.columns = kept.map((index, i) => {
      const column = new Float64Array(kept.length + 1);
      column[i] = ritz.values[index];
      if (next === "same") column[kept.length] = coupling[i];
      return column;
    });
    this.basis.push(next === "same" ? following : this.randomVector());
  }

  /** The space as plain tensors. */
  save(): Tensors {
    const { size, length, basis } = this;
    const columns = new Float64Array(size * (size + 1));
    for (const [index, column] of this.columns.entries()) columns.set(column, index * (size + 1));
    const tensor = (shape: number[], data: Float64Array<ArrayBuffer>) =>
      ({ type: "float64", shape, data }) as const;
    return {
      basis: { type: basis.type, shape: [basis.size, length], data: basis.toArray() } as TensorData,
      columns: tensor([size, size + 1], columns),
      lost: tensor([size], Float64Array.from(this.lost)),
      counters: tensor([2], Float64Array.of(this.draws, this.largest)),
    };
  }

  /** Takes over what `save` gave for a space of the same options. */
  load({ basis, columns, lost, counters }: Tensors): void {
    const [size] = lost.shape;
    const numbers = columns.data as Float64Array;
    this.basis.load(basis.data as Float32Array | Float64Array);
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
    this.basis.orthogonalize(vector);
    return scale(vector, 1 / norm(vector));
  }
}
