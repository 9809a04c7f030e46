import { readFile } from "node:fs/promises";
import { UserError } from "../common/errors.ts";
import { isObject } from "../common/objects.ts";
import { comparisonSchema, runSchema } from "../runs/configuration.ts";
import type { ExistingRun } from "../runs/run-folder.ts";
import { putFlags } from "./put-flags.ts";
import type { PlaceFlags, SettingFlags } from "./setting-flags.ts";
import type { Settings } from "./settings.ts";

// A configuration document, and flags over it.

/** A configuration document from a file, or the configuration in a `run.json`. Throws `UserError` when it cannot be read or is no JSON object. */
export async function readConfiguration(path: string): Promise<Settings> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw new UserError(`the configuration ${path} cannot be read (${(error as Error).message})`);
  }
  try {
    const document: unknown = JSON.parse(text);
    if (isObject(document)) return isObject(document.configuration) ? document.configuration : document;
  } catch (error) {
    throw new UserError(`the configuration ${path} is not JSON: ${(error as Error).message}`);
  }
  throw new UserError(`the configuration ${path} has to hold one JSON object`);
}

/** A run's document with the flags' settings in place of its own, or a comparison's. */
export function applyFlags(document: Settings, given: SettingFlags): Settings {
  return putFlags("runs" in document ? comparisonSchema : runSchema, document, given);
}

/** What `--overwrite` and `--resume` say about a run that is already there. */
export function existingRun({ overwrite, resume }: PlaceFlags): ExistingRun {
  return overwrite ? "overwrite" : resume ? "resume" : "refuse";
}
