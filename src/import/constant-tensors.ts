import { elementCount } from "../graph/graph.ts";
import type { TensorData } from "../onnx/tensor.ts";

// What the elements of a tensor tell: numbers that no training leaves behind.

/** Whether all elements are alike. */
export function isUniform({ data }: TensorData): boolean {
  return every(data, (value) => value === data[0]);
}

/** Whether all elements are the given number. */
export function isFilledWith({ data }: TensorData, number: number): boolean {
  return every(data, (value) => value === number);
}

/** Whether there are zeros, ones and nothing else. */
export function isBinary({ data }: TensorData): boolean {
  return !every(data, (value) => value === data[0]) && every(data, (value) => value === 0 || value === 1);
}

/** Whether adding a tensor hides places from a softmax: zeros, and numbers that leave nothing of an exponential. */
export function isAdditiveMask({ data }: TensorData): boolean {
  return !every(data, (value) => value === 0) && every(data, (value) => value === 0 || value <= -100);
}

/** Whether one axis at most has more than one element, as in a vector over channels. */
export function isVector({ shape }: TensorData): boolean {
  return shape.filter((size) => size > 1).length <= 1;
}

/** Positions, frequencies, slopes: a vector whose elements differ by one number, or are multiples by one number. */
export function isSequence(tensor: TensorData): boolean {
  const values = numbersOf(tensor);
  if (values.length < 4 || !isVector(tensor) || isUniform(tensor)) return false;
  const [first, second] = values;
  const tolerance = 1e-5 * Math.max(...values.map(Math.abs));
  const isArithmetic = values.every(
    (value, at) => Math.abs(value - first - at * (second - first)) <= tolerance,
  );
  const ratio = second / first;
  const isGeometric =
    first > 0 &&
    ratio > 0 &&
    values.every((value, at) => Math.abs(value - first * ratio ** at) <= 1e-4 * Math.abs(value));
  return isArithmetic || isGeometric;
}

/** Grids, anchors, positions: four or more whole numbers, some above 1. */
export function isWhole({ data }: TensorData): boolean {
  return (
    data.length >= 4 &&
    every(data, Number.isInteger) &&
    !every(data, (value) => Math.abs(value) <= 1) &&
    !every(data, (value) => value === data[0])
  );
}

/** Most elements of a table that are looked at. */
const sampled = 1 << 16;

/**
 * Sines and cosines of positions: down its rows (the last axis but one) each column x is A·sin(ωp + φ), which is what
 * x[p + 1] + x[p − 1] = 2·cos(ω)·x[p] says.
 */
export function isSinusoidal({ shape, data }: TensorData): boolean {
  const [rows, columns] = [shape.at(-2) ?? 1, shape.at(-1) ?? 1];
  if (rows < 6 || columns < 2 || elementCount(shape) !== rows * columns) return false;
  if (!every(data, (value) => Math.abs(value) <= 1.0001)) return false;
  const used = Math.min(rows, Math.max(6, Math.floor(sampled / columns)));
  let moving = 0;
  for (let column = 0; column < columns; column++) {
    const at = (row: number) => Number(data[row * columns + column]);
    const inner = Array.from({ length: used - 2 }, (_, row) => row + 1);
    const power = inner.reduce((sum, row) => sum + at(row) ** 2, 0);
    if (power === 0) continue;
    const twice = inner.reduce((sum, row) => sum + at(row) * (at(row - 1) + at(row + 1)), 0) / power;
    if (Math.abs(twice) > 2.001) return false;
    const tolerance = 4e-3 * inner.reduce((most, row) => Math.max(most, Math.abs(at(row))), 0);
    if (inner.some((row) => Math.abs(at(row - 1) + at(row + 1) - twice * at(row)) > tolerance)) return false;
    // Slow ones look like straight lines, which other tables have too.
    if (twice < 1.999) moving++;
  }
  return moving >= columns / 8;
}

function numbersOf({ data }: TensorData): number[] {
  return Array.from(data as Float32Array, Number);
}

function every(data: TensorData["data"], holds: (value: number) => boolean): boolean {
  return (data as Float32Array).every(holds);
}
