import { stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { UserError } from "../common/errors.ts";
import { datasetNames, type PictureOptions } from "../data/data-options.ts";
import type { RunRecord } from "../train/records.ts";
import { type ImportedModelSettings, parseRun, type RunSettings } from "./configuration.ts";
import { currentRun } from "./older-records.ts";
import { exists, readJson } from "./run-folder.ts";

/** What a person names to be looked at: a run folder, or an ONNX file. */
export interface TrainedModel {
  /** Of a run its folder's name, of a file its name. */
  name: string;
  /** The ONNX file. */
  path: string;
  /** The run it is of; absent for a file. */
  run?: RunRecord & { folder: string };
}

/** Finds a run's model, or the file. Throws `UserError` when there is neither. */
export async function findModel(place: string): Promise<TrainedModel> {
  const found = await stat(place).catch(() => undefined);
  if (!found) throw new UserError(`${place} is not there; name a run folder or an ONNX file`);
  if (!found.isDirectory()) return { name: basename(place), path: place };
  if (!(await exists(join(place, "run.json"))))
    throw new UserError(`${place} is not a run folder: it holds no run.json`);
  const file = join(place, "run.json");
  const record = currentRun(await readJson<RunRecord>(file), file);
  if (typeof record.configuration !== "object" || record.configuration === null) {
    throw new UserError(`${file} is damaged: it holds no configuration`);
  }
  const path = join(place, "model.onnx");
  if (!(await stat(path).catch(() => undefined))) {
    throw new UserError(
      `${place} holds no model.onnx: the run has not finished its first epoch; go on with it with lowland train --resume`,
    );
  }
  return { name: basename(resolve(place)), path, run: { ...record, folder: place } };
}

/**
 * The data to look at a model with: those named, or the run's; pictures as the run took them, or as the file states.
 * @throws UserError when there are neither
 */
export function dataOf(
  { path, run }: TrainedModel,
  named: string | undefined,
  stated: PictureOptions = {},
): Pick<RunSettings, "data" | "images"> {
  const { data, images } = run?.configuration ?? {};
  const name = named ?? data;
  if (name !== undefined) return parseRun({ data: name, images: images ?? stated });
  throw new UserError(
    `${path} does not say for which data it is; name one of ${datasetNames.join(", ")}, or a path, with --data`,
  );
}

/** How a run took a model that came as a file; nothing of a file itself, or of a network built by its name. */
export function importedModelOf({ run }: TrainedModel): ImportedModelSettings | undefined {
  const model = run?.configuration.model;
  return typeof model === "object" && model !== null
    ? (parseRun({ model }).model as ImportedModelSettings)
    : undefined;
}
