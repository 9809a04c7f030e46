import { join } from "node:path";
import { type Command, Option } from "commander";
import { UserError } from "../../common/errors.ts";
import { replaceFile } from "../../common/files.ts";
import type { LandscapeRecord } from "../../flatness/results.ts";
import { BatchStatistics } from "../../measure/batch-statistics.ts";
import { type LandscapeRequest, landscapeDirections, measureLandscape } from "../../measure/landscape.ts";
import { cacheFolder, type ModelToMeasure, modelFingerprint } from "../../measure/measured-model.ts";
import { MeasurementCache } from "../../measure/measurement-cache.ts";
import { weightsLike } from "../../measure/quantized-model.ts";
import { writeMeasurementFigures } from "../../report/figures/write.ts";
import { landscapeCsv, trajectoryCsv } from "../../report/landscape-csv.ts";
import { landscapeTable } from "../../report/landscape-table.ts";
import { makeFolder, writeJson } from "../../runs/run-folder.ts";
import { findModel } from "../../runs/trained-model.ts";
import { openEngine } from "../../runtime/remote.ts";
import { interruptSignal } from "../interrupt.ts";
import {
  addMeasuringFlags,
  type MeasuringFlags,
  openNamedModel,
  withSurfaces,
} from "../measuring-options.ts";
import { outputStyle, printJson } from "../output.ts";
import { followParts, say } from "../progress.ts";
import { numberOption } from "../settings.ts";

const defaultSubset = 500;
const defaultPoints = { line: 61, plane: 25 };
/** In units of each filter's norm, and in ‖ε‖. */
const defaultRange = { random: 1, eigenvectors: 0.5, trajectory: 0 };

const examples = `
Directions: random and filter-normalized (at 1 each filter is moved by its own norm), the eigenvectors of the largest
eigenvalues of the Hessian (in ‖ε‖), or the principal components of a run's trajectory. With --to there is one line, from
this model (0) to another (1).

The loss is that of a subset of the images; its error, of the difference to the loss at the weights, stands at every
point. A plane of 25 × 25 points on 500 images takes cnn half a minute on two cores.

Of a quantized model the loss is that of the rounded network, at numbers beside those that its integers stand for; with
--perturb latent at float weights of a run, which are rounded at every point. A trajectory and a line to the float run that it
started from (--to) are of latent weights. Eigenvectors are those of the float network with the quantized weights.

Examples:
  $ lowland landscape runs/mine
  $ lowland landscape runs/mine --line --along eigenvectors --subset 2000
  $ lowland landscape runs/sgd --to runs/sam --reestimate
  $ lowland landscape runs/kept --along trajectory --batch-norm batch --train

A command that was stopped goes on where it was when it is given again.`;

interface LandscapeFlags extends MeasuringFlags {
  line?: boolean;
  plane?: boolean;
  along: LandscapeRequest["along"];
  to?: string;
  points?: number;
  range?: number;
  reestimate?: boolean;
}

/** `lowland landscape`: the loss on lines and planes through a model's weights. */
export function landscapeCommand(command: Command): Command {
  command
    .addOption(new Option("--plane", "two directions (default)").conflicts("line"))
    .addOption(new Option("--line", "one direction"))
    .addOption(
      new Option("--along <directions>", "which directions")
        .choices(landscapeDirections)
        .default("random" satisfies LandscapeRequest["along"]),
    )
    .addOption(
      new Option("--to <run or model>", "the line to another model of the same network").conflicts([
        "plane",
        "along",
      ]),
    )
    .option(
      "--points <n>",
      `along each axis (default: ${defaultPoints.plane} on a plane, ${defaultPoints.line} on a line)`,
      numberOption,
    )
    .option(
      "--range <r>",
      `how far to go on both sides (default: ${defaultRange.random} for random directions, ${defaultRange.eigenvectors} for eigenvectors)`,
      numberOption,
    )
    .option(
      "--reestimate",
      "re-estimate BatchNorm's statistics at every point (with --to: as a second line); about twice the time",
    );
  addMeasuringFlags(command, { subset: defaultSubset }).addHelpText("after", examples);
  return command.action(async (place: string, flags: LandscapeFlags) => {
    const signal = interruptSignal(
      "Stopping after this batch; the same command goes on from here (Ctrl-C again: at once).",
    );
    const model = await openNamedModel(place, flags, { subset: defaultSubset, signal });
    const folder = flags.out ?? model.folder;
    const cache = new MeasurementCache(cacheFolder(folder), {
      fingerprints: model.identity.fingerprints,
      description: model.identity.description,
    });
    if (flags.overwrite) await cache.clear();
    const parts = followParts();
    const statisticsEngine = openEngine({ threads: 1 });
    try {
      const request = await requestOf(model, flags);
      if (flags.reestimate) {
        request.statistics = await BatchStatistics.prepare(statisticsEngine, model);
        if (!request.statistics) {
          throw new UserError(
            `${model.identity.model} has no BatchNorm to re-estimate; leave --reestimate out`,
          );
        }
      }
      const record = await withSurfaces(model, flags, (surfaces) =>
        measureLandscape(model, surfaces, cache, request, { ...parts, signal }),
      );
      const files = await writeLandscape(folder, record);
      if (parts.found() > 0)
        say(`${parts.found()} parts were measured before (--overwrite: measure them again).`);
      const { page } = await writeMeasurementFigures(folder, record);
      if (flags.json) printJson(record);
      else {
        process.stdout.write(
          `\n${landscapeTable(record, outputStyle())}\n\nData: ${files.join(", ")}\nPictures: ${page}\n`,
        );
      }
    } finally {
      parts.close();
      await statisticsEngine.close();
    }
  });
}

async function requestOf(model: ModelToMeasure, flags: LandscapeFlags): Promise<LandscapeRequest> {
  const { line, along, seed, to } = flags;
  const kind = line || to !== undefined ? "line" : "plane";
  const { points = defaultPoints[kind], range = defaultRange[along] } = flags;
  if (!(Number.isInteger(points) && points >= 2)) {
    throw new UserError(`--points is ${points}; choose a whole number of at least 2`);
  }
  if (!(range > 0) && along !== "trajectory")
    throw new UserError(`--range is ${range}; choose a number above 0`);
  const { run, perturbed } = model;
  const request: LandscapeRequest = { kind, along, points, range, seed, run, perturbed };
  if (to === undefined) return request;
  const other = await findModel(to);
  const tensors = await weightsLike(other, model.perturbed);
  const { path } = other;
  return { ...request, to: { name: to, tensors, fingerprint: await modelFingerprint(path, tensors) } };
}

async function writeLandscape(folder: string, record: LandscapeRecord): Promise<string[]> {
  await makeFolder(folder);
  const files = [join(folder, "landscape.json"), join(folder, "landscape.csv")];
  await writeJson(files[0], record);
  await replaceFile(files[1], landscapeCsv(record));
  if (record.trajectory) {
    files.push(join(folder, "trajectory.csv"));
    await replaceFile(files[2], trajectoryCsv(record));
  }
  return files;
}
