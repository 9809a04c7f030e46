/**
 * The slope of log(values) against log(t) by least squares, `values[0]` being that of t = 1. Points from t = `from` to the
 * end; what is not above 0 has no logarithm and is left out. NaN for fewer than two points.
 */
export function logLogSlope(values: readonly number[], from: number): number {
  const points = values.flatMap((value, index) =>
    index + 1 >= from && value > 0 ? [[Math.log(index + 1), Math.log(value)] as const] : [],
  );
  const mean = (of: (point: readonly [number, number]) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [middleX, middleY] = [mean(([x]) => x), mean(([, y]) => y)];
  const [products, squares] = [
    points.reduce((sum, [x, y]) => sum + (x - middleX) * (y - middleY), 0),
    points.reduce((sum, [x]) => sum + (x - middleX) ** 2, 0),
  ];
  return products / squares;
}

/** The means of the first 1, 2, … values. */
export function runningMeans(values: readonly number[]): number[] {
  let sum = 0;
  return values.map((value, index) => {
    sum += value;
    return sum / (index + 1);
  });
}

/** The least of the first 1, 2, … values. */
export function runningMinima(values: readonly number[]): number[] {
  let least = Number.POSITIVE_INFINITY;
  return values.map((value) => {
    least = Math.min(least, value);
    return least;
  });
}
