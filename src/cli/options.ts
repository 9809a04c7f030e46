import { readFile } from "node:fs/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import { UserError } from "../common/errors.ts";
import { datasetNames } from "../data/dataset.ts";
import { modelNames } from "../nn/models.ts";
import { bilateralSamVariants } from "../optim/bilateral-sam.ts";
import { optimizerNames, parseRun, type RunConfiguration } from "../tasks/configuration.ts";
import type { ExistingRun } from "../train/run-folder.ts";

// The flags that commands share, and how they override a configuration document.

/** Flags as commander hands them over. */
export interface SettingFlags {
  data?: string;
  limit?: number;
  labelNoise?: number;
  flip?: boolean;
  crop?: number;
  cutout?: number;
  model?: string;
  learningRate?: number;
  epochs?: number;
  batchSize?: number;
  labelSmoothing?: number;
  seed?: number;
  threads?: number;
  onNonFinite?: string;
  optimizer?: string;
  variant?: string;
  rhoMax?: number;
  rhoMin?: number;
  momentum?: number;
  nesterov?: boolean;
  weightDecay?: number;
}

export interface OutputFlags {
  config?: string;
  dataDir?: string;
  out?: string;
  overwrite?: boolean;
  resume?: boolean;
  json?: boolean;
}

/** Settings as a document holds them, not checked yet. */
export type Settings = Record<string, unknown>;

const choices = (names: readonly string[]) => `one of ${names.join(", ")}`;

/** `defaults` are shown in the help, for a command whose settings start from them. */
export function addSettingFlags(command: Command, defaults?: RunConfiguration): Command {
  const by = (value: unknown) => (defaults === undefined ? "" : ` (default: ${value})`);
  const {
    data,
    labelNoise,
    model,
    learningRate,
    epochs,
    batchSize,
    labelSmoothing,
    seed,
    onNonFinite,
    optimizer,
  } = defaults ?? parseRun({});
  return command
    .option("--data <name>", `data set: ${choices(datasetNames)}${by(data)}`)
    .option("--limit <n>", `train on so many images, drawn by the seed${by("all")}`, numberOption)
    .option(
      "--label-noise <p>",
      `replace each training label with probability p by a random class${by(labelNoise)}`,
      numberOption,
    )
    .option("--flip", "flip training images at random")
    .option("--no-flip", "do not flip training images")
    .option("--crop <pixels>", "pad training images by so many pixels and crop at random", numberOption)
    .option("--cutout <size>", "blank a square of this size in half of the training images", numberOption)
    .option("--model <name>", `network: ${choices(modelNames)}${by(model)}`)
    .option(
      "--learning-rate <η>",
      `peak of the learning rate, which falls to 0 by cosine${by(learningRate)}`,
      numberOption,
    )
    .option("--epochs <n>", `passes over the training images${by(epochs)}`, numberOption)
    .option("--batch-size <n>", `images in one step${by(batchSize)}`, numberOption)
    .option(
      "--label-smoothing <s>",
      `share of a label's mass spread over all classes${by(labelSmoothing)}`,
      numberOption,
    )
    .option("--seed <n>", `decides initial weights, order, noise and augmentation${by(seed)}`, numberOption)
    .option("--threads <n>", "threads of one operator (default: one per core)", numberOption)
    .option(
      "--on-non-finite <policy>",
      `what to do about an infinite or undefined loss: stop or skip${by(onNonFinite)}`,
    )
    .option("--momentum <μ>", `momentum of the base optimizer${by(optimizer.base.momentum)}`, numberOption)
    .option("--nesterov", "Nesterov momentum")
    .option(
      "--weight-decay <λ>",
      `weight decay of the base optimizer${by(optimizer.base.weightDecay)}`,
      numberOption,
    );
}

export function addOptimizerFlags(command: Command): Command {
  return command
    .option("--optimizer <name>", `how to train: ${choices(optimizerNames)} (default: bilateral-sam)`)
    .option("--rho-max <ρ>", "radius of the ascent; for sam its ρ (default: 0.05)", numberOption)
    .option(
      "--rho-min <ρ>",
      "radius of the descent at the peak learning rate, which it follows (default: 0.05)",
      numberOption,
    )
    .option(
      "--variant <name>",
      `variant of bilateral-sam: ${choices(bilateralSamVariants)} (default: paper)`,
    );
}

export function addOutputFlags(command: Command): Command {
  return command
    .option("--config <file>", "JSON file with the settings; flags override it")
    .option("--data-dir <folder>", "folder with the data set's files")
    .option("--out <folder>", "folder to write to (default: a new one below runs/)")
    .addOption(new Option("--overwrite", "replace what is in the folder").conflicts("resume"))
    .option("--resume", "go on with the run in the folder from its last epoch")
    .option("--json", "print the summary as JSON and nothing else on standard output");
}

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

/** The document with the flags' settings in place of its own. */
export function applyFlags(document: Settings, flags: SettingFlags): Settings {
  const {
    flip,
    crop,
    cutout,
    momentum,
    nesterov,
    weightDecay,
    optimizer,
    variant,
    rhoMax,
    rhoMin,
    ...plain
  } = flags;
  const augmentation = defined({ flip, crop, cutout: cutout === undefined ? undefined : { size: cutout } });
  const settings: Settings = {
    ...document,
    ...defined(Object.fromEntries(settingNames.map((name) => [name, plain[name]]))),
    ...("augmentation" in document || Object.keys(augmentation).length > 0
      ? { augmentation: merged(document.augmentation, augmentation) }
      : {}),
  };
  const base = defined({ momentum, nesterov, weightDecay });
  if (Array.isArray(document.runs)) {
    return {
      ...settings,
      runs: document.runs.map((run: unknown) =>
        isObject(run) ? { ...run, optimizer: withBase(run.optimizer, base) } : run,
      ),
    };
  }
  const { optimizer: given = {} } = document;
  if (!isObject(given)) return settings;
  const sameMethod = optimizer === undefined || optimizer === given.method;
  const chosen = sameMethod ? given : defined({ base: given.base });
  const method = optimizer ?? given.method ?? "bilateral-sam";
  const radii = radiiOf(method, { rhoMax, rhoMin, variant });
  return { ...settings, optimizer: withBase({ ...chosen, method, ...radii }, base) };
}

const settingNames = [
  "data",
  "limit",
  "labelNoise",
  "model",
  "learningRate",
  "epochs",
  "batchSize",
  "labelSmoothing",
  "seed",
  "threads",
  "onNonFinite",
] as const;

/** What `--overwrite` and `--resume` say about a run that is already there. */
export function existingRun({ overwrite, resume }: OutputFlags): ExistingRun {
  return overwrite ? "overwrite" : resume ? "resume" : "refuse";
}

function radiiOf(
  method: unknown,
  { rhoMax, rhoMin, variant }: Pick<SettingFlags, "rhoMax" | "rhoMin" | "variant">,
) {
  if (method !== "bilateral-sam") {
    const stray = rhoMin !== undefined ? "--rho-min" : variant !== undefined ? "--variant" : undefined;
    const strayMax = method === "sgd" && rhoMax !== undefined ? "--rho-max" : undefined;
    const flag = stray ?? strayMax;
    if (flag && (optimizerNames as readonly unknown[]).includes(method)) {
      throw new UserError(
        `${flag} has no meaning for ${method}; choose --optimizer bilateral-sam${flag === "--rho-max" ? " or sam" : ""}`,
      );
    }
    return defined({ rho: rhoMax });
  }
  const high = rhoMin === undefined ? undefined : { name: "proportional-to-learning-rate", high: rhoMin };
  return defined({ rhoMax, rhoMin: high, variant });
}

function withBase(optimizer: unknown, base: Settings): unknown {
  if (Object.keys(base).length === 0 || !isObject(optimizer)) return optimizer;
  return { ...optimizer, base: merged(optimizer.base, base) };
}

/** Settings with others over them. What is no object of settings stays as it is, for the schema to say so. */
function merged(settings: unknown, over: Settings): unknown {
  return settings === undefined || isObject(settings) ? { ...settings, ...over } : settings;
}

function isObject(value: unknown): value is Settings {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function defined(values: Settings): Settings {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

export function numberOption(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || Number.isNaN(value)) throw new InvalidArgumentError("It has to be a number.");
  return value;
}
