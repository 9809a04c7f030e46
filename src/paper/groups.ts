import { significant } from "../report/numbers.ts";
import type { FiguresConfiguration } from "./configuration.ts";
import type { FigureRunResult, GradientConflict } from "./results.ts";

// Which runs make one line or row of the paper's figures, what it is called and how it looks: the same in all of them.

/** Runs that differ in nothing but the seed, as one line. */
export interface Group {
  name: string;
  style: number;
  runs: FigureRunResult[];
}

export function methodGroups(
  { base, rhoMax, rhoMin }: FiguresConfiguration,
  runs: readonly FigureRunResult[],
): Group[] {
  const names = {
    base: base.name,
    sam: `SAM, ρ ${rhoMax}`,
    "sam-matched": `SAM, ρ ${significant(rhoMax + rhoMin)} (the same total radius)`,
    "bilateral-sam": `bilateral SAM, ρmax ${rhoMax}, ρmin ${rhoMin}→0`,
  };
  return Object.entries(names).flatMap(([method, name], style) => {
    const own = runs.filter(
      ({ role, epochs }) => role.kind === "method" && role.method === method && epochs.length > 0,
    );
    return own.length > 0 ? [{ name, style, runs: own }] : [];
  });
}

export function scheduledGroup({ rhoMin }: FiguresConfiguration, runs: readonly FigureRunResult[]): Group {
  const own = runs
    .filter(({ role }) => role.kind === "method" && role.method === "bilateral-sam")
    .filter(takesBoth);
  return { name: `ρmin ${rhoMin}→0 with the learning rate`, style: 3, runs: own };
}

export function constantGroups(
  { constantRhoMin }: FiguresConfiguration,
  runs: readonly FigureRunResult[],
): Group[] {
  // The styles that the methods leave: a run looks the same in all figures.
  const styles = [4, 0, 1, 2, 5, 6, 7, 8];
  return constantRhoMin.flatMap((rhoMin, index) => {
    const own = runs
      .filter(({ role }) => role.kind === "constant-rho-min" && role.rhoMin === rhoMin)
      .filter(takesBoth);
    return own.length > 0
      ? [{ name: `ρmin ${rhoMin}`, style: styles[index % styles.length], runs: own }]
      : [];
  });
}

/** Whether a run has come to steps with g and g⁻. */
function takesBoth({ conflict }: FigureRunResult): boolean {
  return conflict !== undefined;
}

export function conflictsOf({ runs }: Group): GradientConflict[] {
  return runs.flatMap(({ conflict }) => (conflict ? [conflict] : []));
}

export function seedsOf(runs: readonly FigureRunResult[]): number[] {
  return [...new Set(runs.map(({ seed }) => seed))];
}
