// The tables and pictures of the optimizer study: means with 95 % intervals, and differences to the control paired by
// seed. A setting is a condition at a budget.
import { studentQuantile } from "../dist/flatness/statistics.js";
import { markdown } from "./result-lines.mjs";

/** Test accuracy of each method in each setting, with the difference to the control, gradients and seconds. */
export function accuracyTable(lines, { control, methods }) {
  const settings = settingsOf(lines);
  const rows = methods.map((method) => [
    method,
    ...[...settings.values()].map((group) => {
      const accuracy = interval(
        valuesOf(group, method, ({ testAccuracy }) => 100 * testAccuracy),
        2,
      );
      if (method === control) return accuracy;
      return `${accuracy}<br>${interval(differences(group, method, control), 2, { signed: true })}`;
    }),
    bothBudgets(lines, method, ({ gradientEvaluations }) => gradientEvaluations),
    bothBudgets(lines, method, ({ seconds }) => seconds),
  ]);
  return markdown([["method", ...settings.keys(), "gradients", "seconds"], ...rows]);
}

/** One measure of each method in each setting. */
export function measureTable(lines, { methods }, digits, of) {
  const settings = settingsOf(lines);
  const rows = methods.map((method) => [
    method,
    ...[...settings.values()].map((group) => interval(valuesOf(group, method, of), digits)),
  ]);
  return markdown([["method", ...settings.keys()], ...rows]);
}

/** For each condition a chart of the differences to the control, at both budgets. */
export function accuracyCharts(lines, { control, methods }) {
  const others = methods.filter((method) => method !== control);
  const conditions = [...new Set(lines.map(({ condition }) => condition))];
  return conditions.map((condition) => ({
    kind: "bars",
    id: condition.replaceAll(/[^a-zA-Z0-9]+/g, "-"),
    title: `Test accuracy beside ${control}: ${condition}`,
    note: `Difference in percentage points, paired by seed: mean and 95 % interval.`,
    alternative: `Bars of the difference in test accuracy to ${control} for each method at both budgets: ${condition}`,
    categories: others,
    y: { name: "difference, percentage points" },
    series: budgets(lines).map((budget, style) => ({
      name: budget,
      style,
      bars: others.map((method) => {
        const group = lines.filter((line) => line.condition === condition && line.budget === budget);
        const values = differences(group, method, control);
        if (values.length === 0) return undefined;
        const [value, half] = [mean(values), halfWidth(values)];
        return { value, low: value - half, high: value + half };
      }),
    })),
  }));
}

/** The lines of each setting, by its name. */
function settingsOf(lines) {
  const settings = new Map();
  for (const line of lines) {
    const name = `${line.condition}, ${line.budget}`;
    settings.set(name, [...(settings.get(name) ?? []), line]);
  }
  return settings;
}

function budgets(lines) {
  return [...new Set(lines.map(({ budget }) => budget))];
}

function valuesOf(lines, method, of) {
  return lines.filter((line) => line.method === method).map(of);
}

/** Differences in test accuracy between a method and the control, in percentage points, for each seed that has both. */
export function differences(lines, method, control) {
  const reference = new Map(
    lines.filter((line) => line.method === control).map((line) => [line.seed, line.testAccuracy]),
  );
  return lines
    .filter((line) => line.method === method && reference.has(line.seed))
    .map(({ seed, testAccuracy }) => 100 * (testAccuracy - reference.get(seed)));
}

/** `780 / 2,340`: the median at each budget. */
function bothBudgets(lines, method, of) {
  return budgets(lines)
    .map((budget) => lines.filter((line) => line.budget === budget))
    .map((group) => Math.round(median(valuesOf(group, method, of))).toLocaleString("en"))
    .join(" / ");
}

/** `81.42 ± 0.31`, or `+1.20 ± 0.31`; without an interval where there is one value only. */
export function interval(values, digits, { signed = false } = {}) {
  if (values.length === 0) return "";
  const average = mean(values);
  const text = signed
    ? `${average < 0 ? "−" : "+"}${Math.abs(average).toFixed(digits)}`
    : average.toFixed(digits);
  return values.length < 2 ? text : `${text} ± ${halfWidth(values).toFixed(digits)}`;
}

/** Half of the 95 % interval of a mean; 0 where one value tells nothing of it. */
function halfWidth(values) {
  if (values.length < 2) return 0;
  const [average, count] = [mean(values), values.length];
  const variance = values.reduce((sum, value) => sum + (value - average) ** 2, 0) / (count - 1);
  return studentQuantile(0.95, count - 1) * Math.sqrt(variance / count);
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2;
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
