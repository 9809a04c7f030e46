// Numbers that Python (fixtures/fill.py) and TypeScript make alike, so that a fixture of a large network holds no weights.
import type { TensorData } from "../onnx/tensor.ts";

const projections = 8;

/** The hash of a position under a name, as an unsigned 32-bit integer. */
function hasher(name: string): (position: number) => number {
  let h = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) h = Math.imul(h ^ byte, 0x01000193);
  return (position) => {
    let x = (Math.imul(position, 0x9e3779b9) + h) | 0;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    return (x ^ (x >>> 16)) >>> 0;
  };
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** float32 numbers in [low, high). */
export function uniform(name: string, shape: readonly number[], low = -1, high = 1): TensorData {
  const hash = hasher(name);
  const data = Float32Array.from(
    { length: sizeOf(shape) },
    (_, position) => low + (high - low) * ((hash(position) >>> 8) / 2 ** 24),
  );
  return { type: "float32", shape: [...shape], data };
}

/** int64 numbers in 0 … below − 1. */
export function integers(name: string, shape: readonly number[], below: number): TensorData {
  const hash = hasher(name);
  const data = BigInt64Array.from({ length: sizeOf(shape) }, (_, position) => BigInt(hash(position) % below));
  return { type: "int64", shape: [...shape], data };
}

/** A parameter or buffer, in a range that suits its name: PyTorch's names of BatchNorm, biases, weights. */
export function parameter(name: string, shape: readonly number[]): TensorData {
  if (name.endsWith("running_mean")) return uniform(name, shape, -0.1, 0.1);
  if (name.endsWith("running_var")) return uniform(name, shape, 0.5, 1.5);
  if (shape.length < 2) {
    return name.endsWith("bias") ? uniform(name, shape, -0.1, 0.1) : uniform(name, shape, 0.75, 1.25);
  }
  const bound = Math.sqrt(6 / sizeOf(shape.slice(1)));
  return uniform(name, shape, -bound, bound);
}

/** `[norm, projection 0, …, projection 7]` of a tensor's numbers. */
export function sketch(values: ArrayLike<number>): number[] {
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += values[i] ** 2;
  const sums = Array.from({ length: projections }, (_, k) => {
    const hash = hasher(`projection ${k}`);
    let sum = 0;
    for (let i = 0; i < values.length; i++) sum += hash(i) >>> 31 ? values[i] : -values[i];
    return sum;
  });
  return [Math.sqrt(squares), ...sums];
}

/**
 * How far the tensor behind one sketch is from the one behind another, relative to the latter's norm: an estimate from
 * eight random projections, and at least the difference of the norms.
 */
export function sketchedDifference(actual: readonly number[], expected: readonly number[]): number {
  const squares = actual.slice(1).map((projection, k) => (projection - expected[k + 1]) ** 2);
  const distance = Math.sqrt(squares.reduce((sum, square) => sum + square, 0) / squares.length);
  return Math.max(distance, Math.abs(actual[0] - expected[0])) / Math.max(expected[0], Number.MIN_VALUE);
}
