/** An axis from `min` to `max` with a tick at each multiple of `interval`. */
export interface Axis {
  min: number;
  max: number;
  interval: number;
}

/** Intervals of an axis, at most. */
const mostIntervals = 5;

/**
 * The axis of values of 0 and more: its ends and ticks are multiples of 1, 2 or 5 times a power of ten, so an axis of shares ends at 1.
 * @returns undefined where there are no values
 */
export function axisOf(values: readonly number[]): Axis | undefined {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return undefined;
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const extent = high - low || Math.abs(high) / 10 || 1;
  const power = 10 ** Math.floor(Math.log10(extent / mostIntervals));
  for (const step of [1, 2, 5, 10, 20]) {
    const interval = step * power;
    // Quotients such as 0.3 / 0.1 are beside whole numbers by rounding.
    const [first, last] = [Math.floor(low / interval + 1e-9), Math.ceil(high / interval - 1e-9)];
    // A single value on a tick: the part below it, since no share is above 1, and none below 0.
    const [bottom, top] = last > first ? [first, last] : [Math.max(0, first - 1), Math.max(1, first)];
    const [min, max] = [bottom, top].map((end) => Number((end * interval).toPrecision(12)));
    if (top - bottom <= mostIntervals) return { min, max, interval };
  }
  throw new Error(`no axis from ${low} to ${high}`);
}
