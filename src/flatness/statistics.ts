// What a list of independent estimates says about their mean.

export interface Estimate {
  mean: number;
  /** Standard deviation of the mean; NaN for a single value. */
  standardError: number;
  /** How many values. */
  count: number;
}

export interface ConfidenceInterval extends Estimate {
  low: number;
  high: number;
  /** The share of such intervals that hold the true mean. */
  confidence: number;
}

export function estimate(values: readonly number[]): Estimate {
  const count = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, standardError: Math.sqrt(squares / (count - 1) / count), count };
}

/** The two-sided interval for the mean of normally distributed values, by Student's t. */
export function confidenceInterval(values: readonly number[], confidence = 0.95): ConfidenceInterval {
  const { mean, standardError, count } = estimate(values);
  const reach = standardError * studentQuantile(confidence, count - 1);
  return { mean, standardError, count, low: mean - reach, high: mean + reach, confidence };
}

/**
 * The same interval where each value is the mean over a known share of the examples (batches, the last one smaller):
 * the mean over all examples, with the standard error of a ratio of sums.
 */
export function intervalOverBatches(
  values: readonly number[],
  shares: readonly number[],
  confidence = 0.95,
): ConfidenceInterval {
  const count = values.length;
  const mean = values.reduce((sum, value, index) => sum + shares[index] * value, 0);
  const squares = values.reduce((sum, value, index) => sum + (shares[index] * (value - mean)) ** 2, 0);
  const standardError = Math.sqrt((squares * count) / (count - 1));
  const reach = standardError * studentQuantile(confidence, count - 1);
  return { mean, standardError, count, low: mean - reach, high: mean + reach, confidence };
}

/** The t that |Student's t| of whole degrees of freedom stays below with the given probability; NaN for none. */
export function studentQuantile(probability: number, degrees: number): number {
  if (!(degrees >= 1)) return Number.NaN;
  // The angle θ = arctan(t/√ν), in which the distribution is a finite sum, is found by halving.
  let [low, high] = [0, Math.PI / 2];
  for (let halving = 0; halving < 60; halving++) {
    const middle = (low + high) / 2;
    if (probabilityBelow(middle, degrees) < probability) low = middle;
    else high = middle;
  }
  return Math.tan(low) * Math.sqrt(degrees);
}

/** P(|t| < √ν·tan θ): Abramowitz & Stegun 1964, 26.7.3 and 26.7.4. */
function probabilityBelow(angle: number, degrees: number): number {
  const cosine = Math.cos(angle);
  const isOdd = degrees % 2 === 1;
  let term = isOdd ? cosine : 1;
  let sum = 0;
  for (let power = isOdd ? 1 : 0; power <= degrees - 2; power += 2) {
    sum += term;
    term *= (cosine * cosine * (power + 1)) / (power + 2);
  }
  return isOdd ? (2 / Math.PI) * (angle + Math.sin(angle) * sum) : Math.sin(angle) * sum;
}
