/**
 * Randomness with one seed, split by purpose. A stream is a function of (seed, purpose, indices) and of nothing
 * else, so a run that resumes at epoch 7 derives the streams of epoch 7 again and no generator state is stored.
 */
import { uniformFloat64 } from "pure-rand/distribution/uniformFloat64";
import { uniformInt } from "pure-rand/distribution/uniformInt";
import { xoroshiro128plusFromState } from "pure-rand/generator/xoroshiro128plus";
import type { RandomGenerator } from "pure-rand/types/RandomGenerator";

/**
 * The stream of random numbers for one purpose. Equal arguments give equal streams; streams that differ in any
 * argument are independent.
 *
 * The 128 bits of xoroshiro128+ are the FNV-1a hash of the arguments, then mixed (see `generatorState`).
 *
 * @param seed the run's seed, any number but NaN
 * @param purpose what the numbers are for, e.g. "shuffle"
 * @param indices where within the purpose, e.g. the epoch
 * @example randomStream(1, "shuffle", epoch).permutation(60000)
 */
export function randomStream(seed: number, purpose: string, ...indices: readonly number[]): Random {
  if (Number.isNaN(seed) || indices.some(Number.isNaN)) {
    throw new RangeError(`random stream "${purpose}": the seed and the indices must be numbers, got NaN`);
  }
  return new Random(xoroshiro128plusFromState(generatorState(seed, purpose, indices)));
}

/** Draws from one stream. Each draw moves the stream on; there is no other state to see. */
export class Random {
  readonly #generator: RandomGenerator;
  /** The second normal number of a pair, until it is asked for. */
  #spare: number | undefined;

  constructor(generator: RandomGenerator) {
    this.#generator = generator;
  }

  /** A number in [0, 1): a multiple of 2⁻⁵³. */
  uniform(): number {
    return uniformFloat64(this.#generator);
  }

  /** An integer in [0, n), each exactly as likely as the others. Throws RangeError unless n is an integer of at least 1. */
  integer(n: number): number {
    if (!Number.isSafeInteger(n) || n < 1)
      throw new RangeError(`integer(n): n is ${n}, want an integer of at least 1`);
    return uniformInt(this.#generator, 0, n - 1);
  }

  /** A number of the standard normal distribution (Box and Muller 1958). */
  normal(): number {
    if (this.#spare !== undefined) {
      const spare = this.#spare;
      this.#spare = undefined;
      return spare;
    }
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.#spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** Puts the values into random order in place, each order as likely as the others (Fisher and Yates), and returns them. */
  shuffle<Values extends Int32Array | unknown[]>(values: Values): Values {
    for (let last = values.length - 1; last > 0; last--) {
      const other = uniformInt(this.#generator, 0, last);
      const value = values[last];
      values[last] = values[other];
      values[other] = value;
    }
    return values;
  }

  /** The integers 0 … n − 1 in random order. */
  permutation(n: number): Int32Array {
    return this.shuffle(Int32Array.from({ length: n }, (_, index) => index));
  }
}

/**
 * Four 32-bit words from the arguments. Each argument is written unambiguously (strings as length and UTF-16 code
 * units, numbers as the bytes of their float64), the bytes are hashed, and both halves go through an invertible
 * mixing, so that arguments with different hashes keep different states.
 */
function generatorState(seed: number, purpose: string, indices: readonly number[]): number[] {
  const bytes = new DataView(new ArrayBuffer(12 + 2 * purpose.length + 8 * indices.length));
  bytes.setFloat64(0, seed + 0); // −0 + 0 = 0
  bytes.setUint32(8, purpose.length);
  for (let i = 0; i < purpose.length; i++) bytes.setUint16(12 + 2 * i, purpose.charCodeAt(i));
  for (const [i, index] of indices.entries()) bytes.setFloat64(12 + 2 * purpose.length + 8 * i, index + 0);

  const hash = fnv1a128(new Uint8Array(bytes.buffer));
  const mixed = mix64(hash & mask64);
  const high = mix64((hash >> 64n) ^ mixed);
  const low = mix64((mixed + high) & mask64);
  const word = (value: bigint) => Number(BigInt.asIntN(32, value));
  // All zeros is the one state xoroshiro128+ cannot leave.
  return [word(high >> 32n), word(high), word(low >> 32n), word(low) || 1];
}

const mask64 = (1n << 64n) - 1n;

/** The 128-bit FNV-1a hash (Fowler, Noll, Vo; RFC 9923). */
export function fnv1a128(bytes: Uint8Array): bigint {
  let hash = 0x6c62272e07bb014262b821756295c58dn;
  for (const byte of bytes) hash = ((hash ^ BigInt(byte)) * 0x1000000000000000000013bn) & ((1n << 128n) - 1n);
  return hash;
}

/** The finaliser of SplitMix64 (Steele, Lea and Flood 2014): one-to-one, and every input bit reaches every output bit. */
function mix64(value: bigint): bigint {
  let mixed = value;
  mixed = ((mixed ^ (mixed >> 30n)) * 0xbf58476d1ce4e5b9n) & mask64;
  mixed = ((mixed ^ (mixed >> 27n)) * 0x94d049bb133111ebn) & mask64;
  return mixed ^ (mixed >> 31n);
}
