import type { OptimizerConfig } from "../optim/optimizer.ts";
import { scalarWords } from "../optim/scalars.ts";
import type { ScheduleConfig } from "../optim/schedules.ts";

// What programs and people call an optimizer.

/** What other programs know an optimizer by; results have it beside the label for readers. */
export interface OptimizerIdentity {
  method: string;
  /** The name of its base update. */
  base: string;
  /** Of a method that has several. */
  variant?: string;
}

export function optimizerIdentity({ method, base, variant }: OptimizerConfig): OptimizerIdentity {
  return { method, base: base.name, ...(typeof variant === "string" && { variant }) };
}

/** An optimizer as a reader would name it, e.g. `bilateral-sam (paper, ρmax 0.05, ρmin 0.05→0)`. */
export function optimizerLabel({ method, base, ...settings }: OptimizerConfig): string {
  const entries = Object.entries(settings);
  const details = [
    ...entries.filter(([, value]) => typeof value === "string").map(([, value]) => value),
    ...entries.filter(([, value]) => value === true).map(([name]) => name),
    ...entries.flatMap(([name, value]) => {
      const amount = amountLabel(value);
      return amount === undefined ? [] : [`${scalarWords(name).symbol} ${amount}`];
    }),
    ...(base.name === "sgd" || base.name === method ? [] : [`over ${base.name}`]),
  ];
  return details.length > 0 ? `${method} (${details.join(", ")})` : method;
}

/** A number, or a schedule by its numbers. */
function amountLabel(value: unknown): string | undefined {
  if (typeof value === "number") return String(value);
  if (typeof value !== "object" || value === null || !("name" in value)) return undefined;
  const { name, value: constant, high, low } = value as ScheduleConfig;
  if (constant !== undefined) return String(constant);
  return high === undefined ? name : `${high}→${low}`;
}
