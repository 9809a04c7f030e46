/** What a run's optimizer is, as far as comparing needs it: its family and its radii. */
import { isNumber } from "./numbers.ts";
import type { Run } from "./read.ts";

export type Family = "sgd" | "sam" | "bilateral" | "other";

/** The family by the configuration's `optimizer.method`. */
export function familyOf(run: Run): Family {
  const method = optimizerOf(run).method;
  if (method === "sgd" || method === "sam") return method;
  return method === "bilateral-sam" ? "bilateral" : "other";
}

/** The largest distance between the points where gradients are taken: ρ for SAM, ρmax + ρmin for bilateral SAM. */
export function totalRadius(run: Run): number | undefined {
  const optimizer = optimizerOf(run);
  const rhoMax = largest(run.steps.map((step) => step.rhoMax)) ?? numberIn(optimizer.rhoMax ?? optimizer.rho);
  if (rhoMax === undefined || familyOf(run) === "sam") return rhoMax;
  const rhoMin = largest(run.steps.map((step) => step.rhoMin)) ?? numberIn(optimizer.rhoMin);
  return rhoMin === undefined ? undefined : rhoMax + rhoMin;
}

/** The SAM run whose radius equals this bilateral run's ρmax + ρmin: the control it has to beat. */
export function radiusMatchedSam(run: Run, runs: Run[]): Run | undefined {
  const radius = totalRadius(run);
  if (radius === undefined) return undefined;
  return runs.find((other) => {
    const rho = familyOf(other) === "sam" ? totalRadius(other) : undefined;
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
