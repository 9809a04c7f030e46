/** What the runs of a comparison were set to, and where: shared by all of them, or differing. */
import type { Run } from "./read.ts";

export interface Setting {
  /** A dotted path such as `optimizer.base.momentum`. */
  key: string;
  /** One text per run; "–" where a run has no such setting. */
  values: string[];
  shared: boolean;
}

/** Every leaf of the runs' configurations. */
export function settingsOf(runs: Run[]): Setting[] {
  return tabulate(runs.map((run) => run.record?.configuration));
}

/** When and where the runs ran: package versions and the machine. */
export function environmentOf(runs: Run[]): Setting[] {
  return tabulate(
    runs.map(({ record }) => {
      if (!record) return undefined;
      return { started: record.createdAt, versions: record.versions, machine: record.machine };
    }),
  );
}

function tabulate(documents: (object | undefined)[]): Setting[] {
  const flat = documents.map((document) => new Map(leaves(document ?? {}, "")));
  const keys = [...new Set(flat.flatMap((entries) => [...entries.keys()]))];
  // A run that has not been set up yet must not make every setting of the others look different.
  const present = flat.filter((_, index) => documents[index] !== undefined);
  return keys.map((key) => ({
    key,
    values: flat.map((entries) => entries.get(key) ?? "–"),
    shared: present.every((entries) => entries.get(key) === present[0]?.get(key)),
  }));
}

function leaves(value: unknown, path: string): [string, string][] {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    const entries = Object.entries(value);
    if (entries.length > 0)
      return entries.flatMap(([key, child]) => leaves(child, path ? `${path}.${key}` : key));
    return path ? [[path, "{}"]] : [];
  }
  return [[path, typeof value === "string" ? value : JSON.stringify(value)]];
}
