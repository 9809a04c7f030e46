import type { Line } from "../report/drawing/chart.ts";

// Several seeds as one line: their mean, and a band from the lowest to the highest.

export interface Summary {
  mean: number;
  low: number;
  high: number;
  /** Sample standard deviation; NaN for a single value. */
  deviation: number;
  count: number;
}

export function summary(values: readonly number[]): Summary {
  const count = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return {
    mean,
    low: Math.min(...values),
    high: Math.max(...values),
    deviation: Math.sqrt(squares / (count - 1)),
    count,
  };
}

/** The mean over seeds at each x that all of them have, with its band; without one for a single seed. */
export function meanLine(
  name: string,
  style: number,
  seeds: readonly (readonly (readonly [x: number, y: number])[])[],
): Line {
  const [first = []] = seeds;
  const maps = seeds.map((points) => new Map(points));
  const summaries = first.flatMap(([x]) => {
    const values = maps.flatMap((map) => (map.has(x) ? [Number(map.get(x))] : []));
    return values.length === seeds.length ? [{ x, ...summary(values) }] : [];
  });
  return {
    name,
    style,
    points: summaries.map(({ x, mean }) => [x, mean]),
    ...(seeds.length > 1 && { band: summaries.map(({ x, low, high }) => [x, low, high] as const) }),
  };
}

/** `12.3 ± 0.4`; the deviation is left out for a single value. */
export function plusMinus({ mean, deviation }: Summary, format: (value: number) => string): string {
  return Number.isNaN(deviation) ? format(mean) : `${format(mean)} ± ${format(deviation)}`;
}
