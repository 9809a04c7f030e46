/** Numbers as a reader wants them. A missing or non-finite number (JSON writes those as null) becomes a dash. */
import type { MetricInfo, TaskRecord } from "../train/task-record.ts";

type Maybe = number | null | undefined;

/** True for a number that can be compared and drawn. */
export function isNumber(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value);
}

/** 1234.5 → "1,234.50" with 2 decimals. */
export function fixed(value: Maybe, decimals: number): string {
  if (!isNumber(value)) return "–";
  const text = Math.abs(value).toLocaleString("en-US", {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  });
  return value < 0 && /[1-9]/.test(text) ? `−${text}` : text;
}

/** A share between 0 and 1 → "81.5" (percent, without the sign). */
export function percent(share: Maybe): string {
  return fixed(isNumber(share) ? share * 100 : undefined, 1);
}

/** How a metric's numbers are shown. */
type NumberInfo = Pick<MetricInfo, "unit" | "decimals">;

/** Decimals that a metric is shown with. */
export function metricDecimals({ unit, decimals = unit === "%" ? 1 : 3 }: NumberInfo): number {
  return decimals;
}

/** A metric as it is shown, but as a number: shares in percent. */
export function metricNumber({ unit }: NumberInfo, value: number): number {
  return unit === "%" ? 100 * value : value;
}

/** A metric's value without its unit: with its decimals, or more of them. */
export function metricValue(info: NumberInfo, value: Maybe, more = 0): string {
  return fixed(isNumber(value) ? metricNumber(info, value) : undefined, metricDecimals(info) + more);
}

/** A metric's value with its unit. */
export function metricText(info: NumberInfo, value: Maybe, more = 0): string {
  return withUnit(metricValue(info, value, more), info);
}

/** A text with the unit of a metric behind it. */
export function withUnit(text: string, { unit }: Pick<MetricInfo, "unit">): string {
  return unit === "" ? text : `${text} ${unit}`;
}

/** `accuracy 88.0 %, …`: the metrics that were measured, on whichever data. */
export function metricList(
  metrics: Readonly<Record<string, Maybe>>,
  infos: readonly MetricInfo[],
  more = 0,
): string {
  return infos
    .filter(({ name }) => name in metrics)
    .map((info) => `${plainLabel(info)} ${metricText(info, metrics[info.name], more)}`)
    .join(", ");
}

/** What a metric is called where it is not of the test set. */
export function plainLabel({ label }: Pick<MetricInfo, "label">): string {
  return label.replace(/^test /, "");
}

/** The name of an axis of losses, with the unit of the task's loss. */
export function lossAxis(name: string, { loss: { unit } }: TaskRecord): string {
  return unit === "" ? name : `${name} (${unit})`;
}

export function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Seconds: one decimal below 100, none above. */
export function seconds(value: Maybe): string {
  return fixed(value, isNumber(value) && value < 100 ? 1 : 0);
}

/** At most `digits` significant digits and no trailing zeros: 0.05 → "0.05", 1e-7 → "1e-7". */
export function significant(value: Maybe, digits = 3): string {
  if (!isNumber(value)) return "–";
  const magnitude = Math.abs(value);
  if (magnitude >= 1000) return fixed(value, 0);
  if (magnitude !== 0 && magnitude < 1e-4) return value.toExponential(digits - 1).replace(/\.?0+e/, "e");
  return String(Number(value.toPrecision(digits))).replace("-", "−");
}

/** Decimals that give the smallest of the values two significant digits, between 2 and 5. */
export function decimalsFor(values: number[]): number {
  const magnitudes = values.map(Math.abs).filter((magnitude) => magnitude > 0);
  if (magnitudes.length === 0) return 2;
  return Math.min(5, Math.max(2, 1 - Math.floor(Math.log10(Math.min(...magnitudes)))));
}

/**
 * A value and its error to two digits of the error: "0.0123 ± 0.0011", "312 ± 12", "3.2e-6 ± 4e-7". Without an error
 * three digits of the value.
 */
export function withError(value: Maybe, error: Maybe): string {
  if (!isNumber(value)) return "–";
  if (!isNumber(error) || error === 0) return significant(value);
  const decimals = Math.max(0, 1 - Math.floor(Math.log10(error)));
  if (decimals > 7) return `${significant(value, 2)} ± ${significant(error, 1)}`;
  return `${fixed(value, decimals)} ± ${fixed(error, decimals)}`;
}
