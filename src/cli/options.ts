import { readFile } from "node:fs/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import { UserError } from "../common/errors.ts";
import { datasetNames } from "../data/dataset.ts";
import { perturbChoices } from "../optim/parameter-groups.ts";
import { parseRun, type RunConfiguration } from "../tasks/configuration.ts";
import { networkName } from "../tasks/network.ts";
import type { ExistingRun } from "../train/run-folder.ts";
import {
  addBaseFlags,
  applyOptimizerFlags,
  type BaseFlags,
  type OptimizerFlags,
  withBase,
} from "./optimizer-options.ts";
import { choices, defined, isObject, merged, modelHelp, numberOption, type Settings } from "./settings.ts";

// The flags that commands share, and how they override a configuration document.

/** Flags as commander hands them over. */
export interface SettingFlags extends OptimizerFlags, BaseFlags {
  data?: string;
  limit?: number;
  labelNoise?: number;
  flip?: boolean;
  crop?: number;
  cutout?: number;
  model?: string;
  weights?: string;
  weightsExcept?: string;
  learningRate?: number;
  epochs?: number;
  evaluateEvery?: number;
  batchSize?: number;
  labelSmoothing?: number;
  labelSmoothingKind?: string;
  seed?: number;
  threads?: number;
  keepWeights?: boolean;
  onNonFinite?: string;
  clipNorm?: number;
  microBatches?: number;
  perturbationPer?: string;
  perturb?: string;
  learningRateFactor?: { names: string; learningRate: number }[];
}

export interface OutputFlags {
  config?: string;
  dataDir?: string;
  out?: string;
  overwrite?: boolean;
  resume?: boolean;
  json?: boolean;
}

/** `defaults` are shown in the help, for a command whose settings start from them. */
export function addSettingFlags(command: Command, defaults?: RunConfiguration): Command {
  const by = (value: unknown) => (defaults === undefined ? "" : ` (default: ${value})`);
  const { data, labelNoise, learningRate, epochs, evaluateEvery, seed, onNonFinite } =
    defaults ?? parseRun({});
  command
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
    .option(
      "--learning-rate <η>",
      `peak of the learning rate, which falls to 0 by cosine${by(learningRate)}`,
      numberOption,
    )
    .option("--epochs <n>", `passes over the training images${by(epochs)}`, numberOption)
    .option(
      "--evaluate-every <n>",
      `epochs from one measurement of accuracy and sharpness to the next${by(evaluateEvery)}`,
      numberOption,
    )
    .option("--seed <n>", `decides initial weights, order, noise and augmentation${by(seed)}`, numberOption)
    .option("--threads <n>", "threads of one operator (default: one per core)", numberOption)
    .option("--keep-weights", "keep the weights of every epoch, for lowland landscape --along trajectory")
    .option(
      "--on-non-finite <policy>",
      `what to do about an infinite or undefined loss: stop or skip${by(onNonFinite)}`,
    );
  return addStepFlags(command, defaults);
}

/** The flags for a network that is built by its name. */
export function addModelFlags(command: Command, defaults?: RunConfiguration): Command {
  const by = defaults === undefined ? "" : ` (default: ${networkName(defaults.model)})`;
  return command
    .option("--model <name>", `${modelHelp}${by}`)
    .option(
      "--weights <file>",
      "safetensors file to start from, by PyTorch's names (default: weights drawn by the seed)",
    )
    .option(
      "--weights-except <names>",
      "names that are drawn all the same, with * for any characters and commas between, as fc.*",
    );
}

/** The flags that say what one training step is, beside the optimizer. */
export function addStepFlags(
  command: Command,
  defaults?: Pick<RunConfiguration, "batchSize" | "labelSmoothing">,
): Command {
  const by = (value: unknown) => (defaults === undefined ? "" : ` (default: ${value})`);
  addBaseFlags(command);
  return command
    .option("--batch-size <n>", `examples in one step${by(defaults?.batchSize)}`, numberOption)
    .option(
      "--label-smoothing <s>",
      `share of a label's mass spread over all classes${by(defaults?.labelSmoothing)}`,
      numberOption,
    )
    .option(
      "--label-smoothing-kind <kind>",
      `pytorch: its cross entropy; kl: KL divergence, the mass on the other classes${by("pytorch")}`,
      smoothingKind,
    )
    .option(
      "--learning-rate-factor <pattern=factor>",
      "another learning rate for some parameters, e.g. 'backbone.*=0.1'; may be repeated",
      rateFactor,
    )
    .option("--perturb <which>", `parameters to perturb: ${choices(perturbChoices)}${by("all")}`)
    .option("--clip-norm <c>", "shorten longer update directions to this norm", numberOption)
    .option("--micro-batches <m>", `equal parts to compute a mini-batch in${by(1)}`, numberOption)
    .option(
      "--perturbation-per <what>",
      `what a perturbation is computed from: batch or micro-batch${by("batch")}`,
    );
}

function rateFactor(text: string, earlier: SettingFlags["learningRateFactor"] = []) {
  const [, names, factor] = /^(.+)=([^=]+)$/.exec(text) ?? [];
  const learningRate = Number(factor);
  if (names === undefined || Number.isNaN(learningRate)) {
    throw new InvalidArgumentError("It has to be a pattern and a factor, as in backbone.*=0.1.");
  }
  return [...earlier, { names, learningRate }];
}

/** PyTorch's convention goes by its name too. */
function smoothingKind(text: string): string {
  return text === "pytorch" ? "uniform" : text;
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
  const { flip, crop, cutout, perturb, learningRateFactor, momentum, nesterov, weightDecay, ...plain } =
    flags;
  const weights = defined({ file: flags.weights, except: flags.weightsExcept?.split(",") });
  const parameters = defined({ perturb, groups: learningRateFactor });
  const augmentation = defined({ flip, crop, cutout: cutout === undefined ? undefined : { size: cutout } });
  const settings: Settings = {
    ...document,
    ...defined(Object.fromEntries(settingNames.map((name) => [name, plain[name]]))),
    ...("augmentation" in document || Object.keys(augmentation).length > 0
      ? { augmentation: merged(document.augmentation, augmentation) }
      : {}),
    ...(Object.keys(weights).length > 0 && { weights: merged(fileSettings(document.weights), weights) }),
    ...(Object.keys(parameters).length > 0 && { parameters: merged(document.parameters, parameters) }),
  };
  const base = { momentum, nesterov, weightDecay };
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
  const { optimizer, base: over, variant, rhoMax, rhoMin, alpha, adaptive, every, reuse, from } = flags;
  const own = { optimizer, base: over, variant, rhoMax, rhoMin, alpha, adaptive, every, reuse, from };
  return { ...settings, optimizer: withBase(applyOptimizerFlags(given, own), base) };
}

/** The weights of a document, where a text is a file. */
function fileSettings(weights: unknown): unknown {
  return typeof weights === "string" ? { file: weights } : weights;
}

const settingNames = [
  "data",
  "limit",
  "labelNoise",
  "model",
  "learningRate",
  "epochs",
  "evaluateEvery",
  "batchSize",
  "labelSmoothing",
  "labelSmoothingKind",
  "seed",
  "threads",
  "keepWeights",
  "onNonFinite",
  "clipNorm",
  "microBatches",
  "perturbationPer",
] as const;

/** What `--overwrite` and `--resume` say about a run that is already there. */
export function existingRun({ overwrite, resume }: OutputFlags): ExistingRun {
  return overwrite ? "overwrite" : resume ? "resume" : "refuse";
}
