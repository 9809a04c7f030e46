/** What a run's optimizer is, as far as comparing needs it: its method and its radii. */
import { isRadius } from "../optim/scalars.ts";
import { isNumber } from "./numbers.ts";
import type { Run } from "./read.ts";

export function methodOf(run: Run): string {
  return String(optimizerOf(run).method);
}

/** A method in prose: "bilateral SAM" of `bilateral-sam`. */
export function methodInProse(method: string): string {
  return method.replaceAll("-", " ").replace(/\b\w?sam\b/, (name) => name.toUpperCase());
}

/** The names of the radii of a run's method. */
export function radiiOf(run: Run): string[] {
  return Object.keys(optimizerOf(run)).filter(isRadius);
}

/** The largest distance between the points where gradients are taken: the sum of the radii, each at its largest. */
export function totalRadius(run: Run): number | undefined {
  const values = radiiOf(run).map(
    (name) => largest(run.steps.map(({ scalars }) => scalars[name])) ?? numberIn(optimizerOf(run)[name]),
  );
  return values.length > 0 && values.every(isNumber) ? values.reduce((sum, value) => sum + value) : undefined;
}

/** The SAM run whose radius equals a run's total radius: the control that a method of several radii has to beat. */
export function radiusMatchedSam(run: Run, runs: Run[]): Run | undefined {
  const radius = totalRadius(run);
  if (radius === undefined) return undefined;
  return runs.find((other) => {
    const rho = methodOf(other) === "sam" ? totalRadius(other) : undefined;
    return rho !== undefined && Math.abs(rho - radius) <= 0.01 * radius;
  });
}

function optimizerOf(run: Run): Record<string, unknown> {
  const optimizer = run.record?.configuration?.optimizer;
  return typeof optimizer === "object" && optimizer !== null ? (optimizer as Record<string, unknown>) : {};
}

function largest(values: (number | undefined)[]): number | undefined {
  return values.reduce<number | undefined>(
    (most, value) => (isNumber(value) && (most === undefined || value > most) ? value : most),
    undefined,
  );
}

/** A radius may be a number or a schedule, whose largest number is its start. */
function numberIn(value: unknown): number | undefined {
  if (isNumber(value)) return value;
  return typeof value === "object" && value !== null ? largest(Object.values(value)) : undefined;
}
