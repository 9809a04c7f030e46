import type { TensorData, Tensors } from "../onnx/tensor.ts";

// When numbers of two devices count as the same.

/** Largest difference of two numbers that have to agree, relative to the larger. */
const agreement = 1e-4;

/** A difference that rounding makes of numbers that ought to be 0. */
const rounding = 1e-6;

export function agree(a: number, b: number): boolean {
  if (Object.is(a, b)) return true;
  return Math.abs(a - b) <= agreement * Math.max(Math.abs(a), Math.abs(b)) + rounding;
}

/** The name of the first result that is not what is expected of it. */
export function firstDifference(outputs: Tensors, expected: Tensors): string | undefined {
  return Object.keys(outputs).find((name) => !agreesWith(outputs[name], expected[name]));
}

/**
 * As one vector, numbers agree within ten times {@link agreement}: they are sums of many more. Of integers, such as the classes that
 * are predicted, one in a hundred may be another, or one: where two scores are equal, rounding decides.
 */
function agreesWith({ type, data }: TensorData, { data: expected }: TensorData): boolean {
  if (type !== "float32") {
    let others = 0;
    for (let index = 0; index < expected.length; index++) if (data[index] !== expected[index]) others++;
    return others <= Math.max(1, expected.length / 100);
  }
  let [difference, size] = [0, 0];
  for (let index = 0; index < expected.length; index++) {
    const [a, b] = [Number(data[index]), Number(expected[index])];
    if (Object.is(a, b)) continue;
    difference += (a - b) ** 2;
    size += b ** 2;
  }
  return Math.sqrt(difference) <= 10 * agreement * Math.sqrt(size) + rounding * Math.sqrt(expected.length);
}
