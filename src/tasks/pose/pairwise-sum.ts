/**
 * The sum in the order in which NumPy adds contiguous float64 numbers: eight partial sums in blocks of up to 128, halves
 * above that. Published evaluations are computed so, and comparing with them to the last bit needs the same rounding.
 */
export function pairwiseSum(values: ArrayLike<number>, start = 0, count = values.length - start): number {
  if (count < 8) {
    let sum = 0;
    for (let at = start; at < start + count; at++) sum += values[at];
    return sum;
  }
  if (count <= 128) {
    const partial = Array.from({ length: 8 }, (_, lane) => values[start + lane]);
    const whole = count - (count % 8);
    for (let at = 8; at < whole; at += 8)
      for (let lane = 0; lane < 8; lane++) partial[lane] += values[start + at + lane];
    const [a, b, c, d, e, f, g, h] = partial;
    let sum = a + b + (c + d) + (e + f + (g + h));
    for (let at = whole; at < count; at++) sum += values[start + at];
    return sum;
  }
  const half = Math.floor(count / 2);
  const first = half - (half % 8);
  return pairwiseSum(values, start, first) + pairwiseSum(values, start + first, count - first);
}

/** The mean of numbers added as {@link pairwiseSum} does; NaN of none. */
export function pairwiseMean(values: ArrayLike<number>): number {
  return pairwiseSum(values) / values.length;
}
