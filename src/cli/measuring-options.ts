import { availableParallelism } from "node:os";
import { type Command, Option } from "commander";
import { UserError } from "../common/errors.ts";
import { datasetNames } from "../data/data-options.ts";
import type { LossSurface } from "../flatness/surface.ts";
import type { Surfaces } from "../measure/flatness.ts";
import type { ModelToMeasure } from "../measure/measured-model.ts";
import { type PerturbedForm, perturbedForms } from "../quantization/choices.ts";
import { parseRun, runSchema } from "../runs/configuration.ts";
import { dataOf, findModel, type TrainedModel } from "../runs/trained-model.ts";
import type { Engine } from "../runtime/engine.ts";
import { firstTask, taskNamed } from "../tasks/index.ts";
import { addFlags } from "./add-flags.ts";
import { putFlags, settingsOf } from "./put-flags.ts";
import { fileSettings, flagsFor, imageFlags, importFlags, type SettingFlags } from "./setting-flags.ts";
import { defined, numberOption } from "./settings.ts";

// What `flatness` and `landscape` have in common: which model, on which data, and where the results go.

export interface MeasuringFlags extends SettingFlags {
  data?: string;
  dataDir?: string;
  train?: boolean;
  test?: boolean;
  subset?: number;
  batchSize: number;
  batchNorm: "evaluation" | "batch";
  perturb?: PerturbedForm;
  labelSmoothing?: number;
  seed: number;
  threads?: number;
  memory: number;
  out?: string;
  overwrite?: boolean;
  json?: boolean;
}

const dataFlagHelp = `data set: one of ${datasetNames.join(", ")}, or a path (default: the run's)`;

/** The flags about which data, for commands that look at a model. */
export function addDataFlags(command: Command): Command {
  command
    .option("--data <name>", dataFlagHelp)
    .option("--data-dir <folder>", "folder with the data set's files");
  return addFlags(command, imageFlags, "unknown");
}

/**
 * The data that the flags name, or the run's, and the task of the run, or that a file states; picture files in the form of
 * either.
 */
export async function loadNamedData(
  found: TrainedModel,
  flags: SettingFlags & { data?: string; dataDir?: string },
  signal?: AbortSignal,
) {
  const { loadWithProgress } = await import("./data.ts");
  const stated = found.run ? undefined : await statedIn(found.path);
  const { data, images } = parseRun(
    putFlags(runSchema, dataOf(found, flags.data, stated?.pictures), flags, imageFlags),
  );
  const kind = taskNamed(found.run?.task.name ?? stated?.task ?? firstTask);
  const loaded = await loadWithProgress(data, { task: kind.name, dataDir: flags.dataDir, images, signal });
  return { name: data, data: loaded, kind };
}

/** What a file states of its task, and of the pictures that it was made for. */
async function statedIn(file: string) {
  const { readModelFile } = await import("../import/load.ts");
  const { statedPictures } = await import("../tasks/picture-form.ts");
  const { statedTask } = await import("../tasks/model-metadata.ts");
  const model = await readModelFile(file);
  return { pictures: statedPictures(model), task: statedTask(model) };
}

/** The flags about how a file takes images, for commands that look at it as it is. */
export function addFileFlags(command: Command): Command {
  const normalization = "the run's, or as the file's metadata say, or dataset";
  return addFlags(command, flagsFor(importFlags, ...Object.keys(fileSettings.shape)), { normalization });
}

export function addMeasuringFlags(command: Command, { subset }: { subset: number }): Command {
  return addFileFlags(addDataFlags(command))
    .optionsGroup("Options:")
    .addOption(new Option("--test", "measure on test images (default)").conflicts("train"))
    .option("--train", "measure on training images: of a run those it trained on, with their labels")
    .option(
      "--subset <n>",
      `measure on the first n images (default: ${subset}, or all if fewer)`,
      numberOption,
    )
    .option("--batch-size <n>", "images in one batch; intervals are over batches", numberOption, 128)
    .addOption(
      new Option("--batch-norm <mode>", "evaluation: by running statistics; batch: by those of each batch")
        .choices(["evaluation", "batch"])
        .default("evaluation"),
    )
    .option(
      "--label-smoothing <s>",
      "of the cross entropy that is measured (default: as the run was trained; 0 for a file)",
      numberOption,
    )
    .addOption(
      new Option(
        "--perturb <form>",
        "of a quantized model: move the numbers that its integers stand for, or the latent float weights of a run, which are rounded afterwards (default: quantized)",
      ).choices(perturbedForms),
    )
    .option("--seed <n>", "decides random vectors and directions", numberOption, 1)
    .option("--threads <n>", "batches at a time (default: one per core)", numberOption)
    .option("--memory <GB>", "for what is kept between products with the curvature", numberOption, 2)
    .option(
      "--out <folder>",
      "folder for the results (default: the run's, or model.flatness beside the file)",
    )
    .option("--overwrite", "repeat all measurements instead of using those in the folder")
    .option("--json", "print the results as JSON and nothing else on standard output");
}

/** The model and data that the flags name. */
export async function openNamedModel(
  place: string,
  flags: MeasuringFlags,
  { subset, signal }: { subset: number; signal?: AbortSignal },
): Promise<ModelToMeasure> {
  const found = await findModel(place);
  const { data, kind } = await loadNamedData(found, flags, signal);
  const { batchSize, batchNorm, labelSmoothing, perturb } = flags;
  const { openModel } = await import("../measure/measured-model.ts");
  return openModel(found, data, {
    set: flags.train ? "train" : "test",
    subset: flags.subset ?? { atMost: subset },
    batchSize,
    batchNorm,
    perturb,
    task: kind,
    settings: defined({ labelSmoothing }),
    file: settingsOf(fileSettings, flags),
  });
}

/** Opens the surfaces on an engine per thread, and closes the engines however `body` ends. */
export async function withSurfaces<T>(
  { surface, smooth }: ModelToMeasure,
  { threads = availableParallelism(), memory }: MeasuringFlags,
  body: (surfaces: Surfaces) => Promise<T>,
): Promise<T> {
  for (const [name, value] of Object.entries({ threads, memory })) {
    if (!(value > 0) || (name === "threads" && !Number.isInteger(value))) {
      throw new UserError(`--${name} is ${value}; choose a number above 0`);
    }
  }
  const { openSurface } = await import("../flatness/surface.ts");
  const { openEngine } = await import("../runtime/remote.ts");
  const engines: Engine[] = [];
  const open = (given: LossSurface) => {
    const own = Array.from({ length: Math.min(threads, given.batches.length) }, () =>
      openEngine({ threads: 1 }),
    );
    engines.push(...own);
    return openSurface(own, given, { memory: 1e9 * memory });
  };
  try {
    return await body({ surface: await open(surface), ...(smooth && { smooth: await open(smooth) }) });
  } finally {
    for (const engine of engines) await engine.close();
  }
}

/** `0.05,0.1` as numbers. */
export function numberList(text: string): number[] {
  return text
    .split(",")
    .filter((part) => part.trim() !== "")
    .map(numberOption);
}
