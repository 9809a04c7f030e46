import type { Axis, PlaneChart } from "./chart.ts";

// From values to colors, and to the heights of a surface.

export interface ColorScale {
  low: number;
  high: number;
  logarithmic: boolean;
  /** 0 at the lowest value, 1 at the highest and above. */
  share: (value: number) => number;
  color: (value: number) => string;
  /** The color at a share. */
  colorAt: (share: number) => string;
  /** Values to write beside the scale. */
  ticks: number[];
}

/** The scale over the finite values of a plane, in the colors from low to high. */
export function colorScale(
  { values, value: axis }: Pick<PlaneChart, "values" | "value">,
  colors: readonly string[],
): ColorScale {
  const drawn = values.filter((one): one is number => isDrawable(one, axis));
  const low = axis.min ?? drawn.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const high = axis.max ?? drawn.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const logarithmic = axis.logarithmic === true;
  const place = (one: number) => (logarithmic ? Math.log(one) : one);
  const span = place(high) - place(low);
  const share = (one: number) => (span > 0 ? Math.min(1, Math.max(0, (place(one) - place(low)) / span)) : 0);
  return {
    low,
    high,
    logarithmic,
    share,
    color: (one) => mixedColor(colors, share(one)),
    colorAt: (part) => mixedColor(colors, part),
    ticks: drawn.length === 0 ? [] : scaleTicks(low, high, logarithmic),
  };
}

/** Whether there is a value and a place for it on its axis. */
export function isDrawable(value: number | null, axis: Axis): value is number {
  return value !== null && Number.isFinite(value) && !(axis.logarithmic && value <= 0);
}

/** Round numbers from low to high: about five, or 1, 2 and 5 times powers of ten. */
export function scaleTicks(low: number, high: number, logarithmic: boolean): number[] {
  if (!(high > low)) return [low];
  const ticks: number[] = [];
  if (logarithmic) {
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
      for (const multiple of [1, 2, 5]) {
        const tick = Number((multiple * 10 ** power).toPrecision(1));
        if (tick >= low && tick <= high) ticks.push(tick);
      }
    }
    const tens = ticks.filter(
      (tick) => /^1(e|$)|^0?\.0*1$/.test(String(tick)) || Number.isInteger(Math.log10(tick)),
    );
    return ticks.length > 7 && tens.length > 1 ? tens : ticks;
  }
  const raw = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5, 10].find((multiple) => multiple * power >= raw) ?? 10);
  for (let tick = Math.ceil(low / step - 1e-9); tick * step <= high * (1 + 1e-12) + 1e-12 * step; tick++) {
    ticks.push(Number((tick * step).toPrecision(12)));
  }
  return ticks;
}

/** Between neighboring colors, evenly in red, green and blue. */
export function mixedColor(colors: readonly string[], share: number): string {
  const at = share * (colors.length - 1);
  const index = Math.min(Math.floor(at), colors.length - 2);
  const channel = (color: string, from: number) => Number.parseInt(color.slice(from, from + 2), 16);
  const mixed = [1, 3, 5].map((from) => {
    const [a, b] = [channel(colors[index], from), channel(colors[index + 1], from)];
    return Math.round(a + (b - a) * (at - index));
  });
  return `rgb(${mixed.join(",")})`;
}
