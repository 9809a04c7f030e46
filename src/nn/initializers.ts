import type { Random } from "../common/random.ts";

/** Draws the numbers a parameter starts from. */
export type Initializer = (count: number, random: Random) => Float64Array;

/**
 * Uniform on ±1/√fanIn: what PyTorch's `Linear` and `Conv2d` start weight and bias from (`kaiming_uniform_` with
 * a = √5 comes to the same bound). `fanIn` is the number of inputs one output sees.
 */
export function uniformByFanIn(fanIn: number): Initializer {
  const bound = 1 / Math.sqrt(fanIn);
  return (count, random) => Float64Array.from({ length: count }, () => (2 * random.uniform() - 1) * bound);
}

/** Every element the same. */
export function filledWith(value: number): Initializer {
  return (count) => new Float64Array(count).fill(value);
}
