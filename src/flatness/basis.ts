import {
  type BasisKernels,
  type BasisType,
  basisKernels,
  pageBytes,
  rowsAtOnce,
  vectorsAtOnce,
} from "./basis-kernels.ts";
import { norm } from "./dense.ts";

export { type BasisType, basisTypes } from "./basis-kernels.ts";

/** Rows that are gone over for all vectors before the next ones: w's part of them stays in the first cache. */
const blockRows = 2048;
/** One memory has no more bytes, unless four vectors take more, and no more vectors. WebAssembly addresses 2 ** 32 bytes. */
const most = { bytes: 2 ** 30, vectors: 1024 };
/** Orthogonalization is repeated when it leaves less than this share of a norm (Daniel et al. 1976). */
const leastLeft = Math.SQRT1_2;

/**
 * Vectors of one length and the products with all of them, four at a time in WebAssembly. They are stored as float32 or
 * float64, and sums are float64 either way. How long a product takes is decided by how many bytes are read: of float32
 * half as many.
 */
export class Basis {
  readonly length: number;
  readonly type: BasisType;
  private readonly chunks: Chunk[] = [];
  private count = 0;

  constructor(length: number, type: BasisType) {
    this.length = length;
    this.type = type;
  }

  /** How many vectors there are. */
  get size(): number {
    return this.count;
  }

  /** Adds a vector, rounded to the type. */
  push(vector: ArrayLike<number>): void {
    const capacity = this.chunks[0]?.capacity ?? 0;
    if (this.count === this.chunks.length * capacity) this.chunks.push(new Chunk(this.length, this.type));
    this.stored(this.count++).set(vector);
  }

  /** A copy of a vector. */
  vector(index: number): Float64Array {
    return Float64Array.from(this.stored(index));
  }

  /** Forgets all vectors but the first ones. */
  truncate(size: number): void {
    this.count = size;
  }

  /** Vᵀw: ⟨vⱼ, w⟩ for every vector. */
  products(w: Float64Array): Float64Array {
    const result = new Float64Array(this.count);
    for (const { chunk, first, count } of this.filled()) {
      chunk.w.set(w);
      result.set(chunk.products(count), first);
    }
    return result;
  }

  /** target ← target + factor·V·c. */
  addCombination(target: Float64Array, factor: number, c: Float64Array): void {
    const factors = c.map((each) => factor * each);
    for (const { chunk, first, count } of this.filled()) {
      chunk.w.set(target);
      chunk.combine(factors.subarray(first, first + count), 0, this.length);
      target.set(chunk.w);
    }
  }

  /**
   * Makes w orthogonal to all vectors of an orthonormal V in place, and returns the coefficients that were taken out.
   * Where most of w goes, what is left is rounding in part and goes through again, twice at most ("twice is enough",
   * Giraud et al. 2005).
   */
  orthogonalize(w: Float64Array): Float64Array {
    const taken = new Float64Array(this.count);
    let before = norm(w);
    for (let round = 0; round < 3; round++) {
      const products = this.products(w);
      this.addCombination(w, -1, products);
      for (let i = 0; i < taken.length; i++) taken[i] += products[i];
      const after = norm(w);
      if (after >= leastLeft * before) break;
      before = after;
    }
    return taken;
  }

  /** V ← V·Y, for the columns of Y: as many vectors as there are columns, none more than before. */
  transform(columns: readonly Float64Array[]): void {
    const parts = [...this.filled()];
    const results = columns.map(() => new Float64Array(blockRows));
    for (let start = 0; start < this.length; start += blockRows) {
      const rows = Math.min(blockRows, this.length - start);
      for (const [index, y] of columns.entries()) {
        results[index].fill(0);
        for (const { chunk, first, count } of parts) {
          const w = chunk.w.subarray(start, start + rows);
          w.set(results[index].subarray(0, rows));
          chunk.combine(y.subarray(first, first + count), start, start + rows);
          results[index].set(w);
        }
      }
      for (const [index, result] of results.entries()) {
        this.stored(index).set(result.subarray(0, rows), start);
      }
    }
    this.truncate(columns.length);
  }

  /** All vectors one after another. */
  toArray(): Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer> {
    const flat = newArray(this.type, this.count * this.length);
    for (let index = 0; index < this.count; index++) flat.set(this.stored(index), index * this.length);
    return flat;
  }

  /** Takes the vectors that `toArray` gave in place of its own. */
  load(flat: Float32Array | Float64Array): void {
    this.truncate(0);
    for (let at = 0; at < flat.length; at += this.length) this.push(flat.subarray(at, at + this.length));
  }

  private stored(index: number): Float32Array | Float64Array {
    const { capacity } = this.chunks[0];
    return this.chunks[Math.floor(index / capacity)].vector(index % capacity);
  }

  /** The chunks that hold vectors, each with the number of its first one and how many it has. */
  private *filled(): Generator<{ chunk: Chunk; first: number; count: number }> {
    let first = 0;
    for (const chunk of this.chunks) {
      const count = Math.min(chunk.capacity, this.count - first);
      if (count <= 0) return;
      yield { chunk, first, count };
      first += count;
    }
  }
}

/** A memory: w, then sums, then as many vectors as it can have; what is not written yet is zeros. */
class Chunk {
  /** Vectors that it can have. */
  readonly capacity: number;
  private readonly length: number;
  private readonly type: BasisType;
  private readonly kernels: BasisKernels;
  /** Rows with the zeros behind them. */
  private readonly rows: number;
  /** Bytes before the first vector, and of each. */
  private readonly start: number;
  private readonly stride: number;

  constructor(length: number, type: BasisType) {
    this.length = length;
    this.type = type;
    this.kernels = basisKernels(type);
    this.rows = roundedUp(length, rowsAtOnce);
    this.stride = this.rows * bytesOf(type);
    const room = Math.floor((most.bytes - 8 * this.rows) / (this.stride * vectorsAtOnce)) * vectorsAtOnce;
    this.capacity = Math.min(most.vectors, Math.max(vectorsAtOnce, room));
    this.start = 8 * (this.rows + this.capacity);
  }

  /** What is multiplied or added to. */
  get w(): Float64Array {
    this.reserve(0);
    return new Float64Array(this.kernels.memory.buffer, 0, this.length);
  }

  vector(index: number): Float32Array | Float64Array {
    this.reserve(roundedUp(index + 1, vectorsAtOnce));
    const { buffer } = this.kernels.memory;
    const offset = this.start + index * this.stride;
    return this.type === "float32"
      ? new Float32Array(buffer, offset, this.length)
      : new Float64Array(buffer, offset, this.length);
  }

  /** ⟨vⱼ, w⟩ for the first vectors. */
  products(count: number): Float64Array {
    const { dots, memory } = this.kernels;
    const out = 8 * this.rows;
    const sums = new Float64Array(memory.buffer, out, roundedUp(count, vectorsAtOnce)).fill(0);
    for (let start = 0; start < this.rows; start += blockRows) {
      const rows = Math.min(blockRows, this.rows - start);
      for (let j = 0; j < count; j += vectorsAtOnce) {
        const [v0, v1, v2, v3] = this.four(j, start);
        dots(v0, v1, v2, v3, 8 * start, out + 8 * j, rows);
      }
    }
    return sums.slice(0, count);
  }

  /** w ← w + Σ cⱼ·vⱼ over the first vectors, from one row to another: a multiple of the rows of a block, or the end. */
  combine(c: Float64Array, from: number, to: number): void {
    const { combine } = this.kernels;
    const last = roundedUp(to, rowsAtOnce);
    for (let start = from; start < last; start += blockRows) {
      const rows = Math.min(blockRows, last - start);
      for (let j = 0; j < c.length; j += vectorsAtOnce) {
        const [c0, c1 = 0, c2 = 0, c3 = 0] = [c[j], c[j + 1], c[j + 2], c[j + 3]];
        if (c0 === 0 && c1 === 0 && c2 === 0 && c3 === 0) continue;
        const [v0, v1, v2, v3] = this.four(j, start);
        combine(v0, v1, v2, v3, 8 * start, c0, c1, c2, c3, rows);
      }
    }
  }

  /** Addresses of four vectors at a row. */
  private four(index: number, row: number): [number, number, number, number] {
    const v0 = this.start + index * this.stride + row * bytesOf(this.type);
    return [v0, v0 + this.stride, v0 + 2 * this.stride, v0 + 3 * this.stride];
  }

  private reserve(vectors: number): void {
    const { memory } = this.kernels;
    const missing = this.start + vectors * this.stride - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / pageBytes));
  }
}

/** Of one element. */
export function bytesOf(type: BasisType): number {
  return type === "float32" ? 4 : 8;
}

function newArray(type: BasisType, length: number) {
  return type === "float32" ? new Float32Array(length) : new Float64Array(length);
}

function roundedUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}
