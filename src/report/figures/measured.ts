import type { MeasuredModel } from "../../flatness/index.ts";

/** What was measured, on which data, in one or two sentences: stands at every chart. */
export function measuredNote({ name, description }: Pick<MeasuredModel, "name" | "description">): string {
  const details = Object.entries(description).map(([key, value]) => `${spaced(key)} ${value}`);
  return details.length > 0 ? `${name}; ${details.join(", ")}.` : `${name}.`;
}

/** `batchSize` → `batch size`. */
function spaced(key: string): string {
  return key.replaceAll(
    /([a-z])([A-Z])/g,
    (_, before: string, after: string) => `${before} ${after.toLowerCase()}`,
  );
}
