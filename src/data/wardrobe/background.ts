import type { Random } from "../../common/random.ts";
import { noiseFrom } from "../pixel-noise.ts";

// What garments lie on: a gradient between four colors, blotches, and stripes on every second background.

export type Color = readonly [red: number, green: number, blue: number];

const between = (random: Random, low: number, high: number) => low + (high - low) * random.uniform();
const color = (random: Random): Color => [random.uniform(), random.uniform(), random.uniform()];

/**
 * Paints a textured background.
 * @param pixels [3, size, size], 0 … 1, written
 */
export function paintBackground(pixels: Float32Array, size: number, random: Random): void {
  const corners = Array.from({ length: 4 }, () => color(random));
  const stripes = random.uniform() < 0.5 ? drawStripes(random, size) : undefined;
  const blotches = drawBlotches(random);
  const plane = size * size;
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const u = (column + 0.5) / size;
      const v = (row + 0.5) / size;
      const striped = stripes ? stripes.strength * stripes.at(column, row) : 0;
      const shift = blotches(u, v);
      for (let channel = 0; channel < 3; channel++) {
        const above = corners[0][channel] * (1 - u) + corners[1][channel] * u;
        const below = corners[2][channel] * (1 - u) + corners[3][channel] * u;
        const base = above * (1 - v) + below * v;
        const value = stripes ? base + striped * (stripes.color[channel] - base) : base;
        pixels[channel * plane + row * size + column] = Math.min(1, Math.max(0, value + shift));
      }
    }
  }
}

/** Parallel stripes of a color with soft or hard edges; `at` is 1 in their middle and 0 between them. */
function drawStripes(random: Random, size: number) {
  const angle = between(random, 0, Math.PI);
  const frequency = (2 * Math.PI) / (between(random, 0.08, 0.4) * size);
  const [right, down] = [frequency * Math.cos(angle), frequency * Math.sin(angle)];
  const phase = between(random, 0, 2 * Math.PI);
  const hardness = between(random, 1, 6);
  return {
    color: color(random),
    strength: between(random, 0.2, 0.9),
    at(column: number, row: number): number {
      const wave = hardness * Math.sin(column * right + row * down + phase);
      return 0.5 + 0.5 * Math.min(1, Math.max(-1, wave));
    },
  };
}

/** Lighter and darker blotches: random values on a grid, and bilinear ones between them, at (u, v) from 0 to 1. */
function drawBlotches(random: Random): (u: number, v: number) => number {
  const cells = 3 + random.integer(14);
  const strength = between(random, 0, 0.4);
  const next = noiseFrom(random.integer(2 ** 32));
  const width = cells + 1;
  const values = Float32Array.from({ length: width * width }, () => strength * (next() - 0.5));
  return (u, v) => {
    const [column, row] = [Math.floor(u * cells), Math.floor(v * cells)];
    const [s, t] = [u * cells - column, v * cells - row];
    const at = row * width + column;
    const above = values[at] * (1 - s) + values[at + 1] * s;
    const below = values[at + width] * (1 - s) + values[at + width + 1] * s;
    return above * (1 - t) + below * t;
  };
}
