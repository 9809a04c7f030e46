import { type Command, InvalidArgumentError, Option } from "commander";
import { readNamedOptions } from "../common/named-options.ts";
import { datasetNames } from "../data/catalogue.ts";
import { perturbChoices } from "../optim/parameter-groups.ts";
import type { RunConfiguration } from "../runs/configuration.ts";
import { networkName } from "../runs/network.ts";
import { scheduleNames } from "../runs/optimizer-settings.ts";
import { addBaseFlags, type BaseFlags, type OptimizerFlags } from "./optimizer-options.ts";
import { addModelFlag, choices, numberOption, type Settings } from "./settings.ts";

// The flags that commands share, in the groups that their help shows.

/** Flags as commander hands them over. */
export interface SettingFlags extends OptimizerFlags, BaseFlags {
  data?: string;
  imageSize?: number;
  channels?: number;
  testShare?: number;
  onBadImage?: string;
  limit?: number;
  labelNoise?: number;
  flip?: boolean;
  crop?: number;
  cutout?: number;
  model?: string;
  weights?: string;
  weightsExcept?: string;
  learningRate?: number;
  schedule?: Settings;
  warmUp?: number;
  ema?: number | true;
  swa?: number | true;
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

/** What is no setting of a run: where things are read from and written to. */
export interface PlaceFlags {
  config?: string;
  dataDir?: string;
  out?: string;
  overwrite?: boolean;
  resume?: boolean;
  json?: boolean;
}

/** Some of a run's settings, to be shown in the help as the defaults of a command that starts from them. */
type Defaults = Partial<RunConfiguration>;

export function addPlaceFlags(command: Command): Command {
  return command
    .option("--config <file>", "JSON file with the settings; flags override it")
    .option("--out <folder>", "folder to write to (default: a new one below runs/)")
    .addOption(new Option("--overwrite", "replace what is in the folder").conflicts("resume"))
    .option("--resume", "go on with the run in the folder from its last epoch")
    .option("--json", "print the summary as JSON and nothing else on standard output");
}

/** Every flag of a run's settings but those that name its network and its optimizer. */
export function addSettingFlags(command: Command, defaults?: RunConfiguration): Command {
  addDataFlags(command, defaults);
  addRunFlags(command, defaults);
  return addStepFlags(command, defaults);
}

function addDataFlags(command: Command, defaults?: RunConfiguration): void {
  const by = defaultsIn(defaults);
  command
    .optionsGroup("Data:")
    .option(
      "--data <name>",
      `data: ${choices(datasetNames)}, or a path (a folder of pictures with a folder per class, …)${by(({ data }) => data)}`,
    )
    .option("--data-dir <folder>", "folder with the named data set's files")
    .option(
      "--image-size <pixels>",
      `height and width that pictures are brought to${by(({ images }) => images?.size)}`,
      numberOption,
    )
    .option(
      "--channels <n>",
      `of pictures: 1 (gray) or 3 (RGB)${by(({ images }) => images?.channels)}`,
      numberOption,
    )
    .option(
      "--test-share <p>",
      `share of each class of pictures that is for testing, where no folder says so${by(({ images }) => images?.testShare)}`,
      numberOption,
    )
    .option(
      "--on-bad-image <how>",
      `about files that are no pictures: refuse or skip${by(({ images }) => images?.onBadImage)}`,
    )
    .option("--limit <n>", `train on so many images, drawn by the seed${by(() => "all")}`, numberOption)
    .option(
      "--label-noise <p>",
      `replace each training label with probability p by a random class${by(({ labelNoise }) => labelNoise)}`,
      numberOption,
    )
    .option("--flip", "flip training images at random")
    .option("--no-flip", "do not flip training images")
    .option("--crop <pixels>", "pad training images by so many pixels and crop at random", numberOption)
    .option("--cutout <size>", "blank a square of this size in half of the training images", numberOption);
}

/** The flags for a network that is built by its name. */
export function addModelFlags(command: Command, defaults?: RunConfiguration): Command {
  return addModelFlag(command.optionsGroup("Network:"), defaults && networkName(defaults.model))
    .option(
      "--weights <file>",
      "safetensors file to start from, by PyTorch's names (default: weights drawn by the seed)",
    )
    .option(
      "--weights-except <names>",
      "names that are drawn all the same, with * for any characters and commas between, as fc.*",
    );
}

function addRunFlags(command: Command, defaults?: RunConfiguration): void {
  const by = defaultsIn(defaults);
  command
    .optionsGroup("Training:")
    .option("--epochs <n>", `passes over the training images${by(({ epochs }) => epochs)}`, numberOption)
    .option(
      "--learning-rate <η>",
      `peak of the learning rate${by(({ learningRate }) => learningRate)}`,
      numberOption,
    )
    .option(
      "--schedule <name>",
      `how the learning rate falls: ${choices(scheduleNames)}; settings stand after a colon, as in step:epochs=30,gamma=0.2${by(({ schedule }) => schedule?.name)}`,
      namedSettings,
    )
    .option(
      "--warm-up <epochs>",
      "let the learning rate rise in a straight line before it falls",
      numberOption,
    )
    .addOption(
      new Option(
        "--ema [decay]",
        "keep a second network, the exponential moving average of the weights (decay: 0.999)",
      )
        .argParser(numberOption)
        .conflicts("swa"),
    )
    .option(
      "--swa [share]",
      "keep a second network, the mean of the weights of every epoch after this share of training (0.75)",
      numberOption,
    )
    .option(
      "--seed <n>",
      `decides initial weights, order, noise and augmentation${by(({ seed }) => seed)}`,
      numberOption,
    )
    .option("--threads <n>", "threads of one operator (default: one per core)", numberOption)
    .option(
      "--evaluate-every <n>",
      `epochs from one measurement of accuracy and sharpness to the next${by(({ evaluateEvery }) => evaluateEvery)}`,
      numberOption,
    )
    .option("--keep-weights", "keep the weights of every epoch, for lowland landscape --along trajectory")
    .option(
      "--on-non-finite <policy>",
      `what to do about an infinite or undefined loss: stop or skip${by(({ onNonFinite }) => onNonFinite)}`,
    );
}

/** The flags that say what one training step is, beside the optimizer. */
export function addStepFlags(command: Command, defaults?: Defaults): Command {
  const by = defaultsIn(defaults);
  command
    .optionsGroup("Training step:")
    .option("--batch-size <n>", `examples in one step${by(({ batchSize }) => batchSize)}`, numberOption)
    .option(
      "--label-smoothing <s>",
      `share of a label's mass spread over all classes${by(({ labelSmoothing }) => labelSmoothing)}`,
      numberOption,
    )
    .option(
      "--label-smoothing-kind <kind>",
      `uniform: PyTorch's cross entropy; kl: KL divergence, the mass on the other classes${by(() => "uniform")}`,
    )
    .option(
      "--learning-rate-factor <names=factor>",
      "another learning rate for some parameters, e.g. 'backbone.*=0.1'; may be repeated",
      rateFactor,
    )
    .option("--perturb <which>", `parameters to perturb: ${choices(perturbChoices)}${by(() => "all")}`)
    .option("--clip-norm <c>", "shorten longer update directions to this norm", numberOption)
    .option("--micro-batches <m>", `equal parts to compute a mini-batch in${by(() => 1)}`, numberOption)
    .option(
      "--perturbation-per <what>",
      `what a perturbation is computed from: batch or micro-batch${by(() => "batch")}`,
    );
  return addBaseFlags(command);
}

/** Says a setting's default in the help, of a command that has defaults. */
function defaultsIn(defaults: Defaults | undefined) {
  return (of: (settings: Defaults) => unknown) => (defaults ? ` (default: ${of(defaults)})` : "");
}

function rateFactor(text: string, earlier: SettingFlags["learningRateFactor"] = []) {
  const [, names, factor] = /^(.+)=([^=]+)$/.exec(text) ?? [];
  const learningRate = Number(factor);
  if (names === undefined || Number.isNaN(learningRate)) {
    throw new InvalidArgumentError("It has to be a pattern and a factor, as in backbone.*=0.1.");
  }
  return [...earlier, { names, learningRate }];
}

/** `step:epochs=30,gamma=0.2` as a name with its settings. */
function namedSettings(text: string): Settings {
  const { name, options } = readNamedOptions(text);
  const numbers = Object.entries(options).map(([key, value]) => [key, Number(value || Number.NaN)] as const);
  if (numbers.some(([, value]) => Number.isNaN(value))) {
    throw new InvalidArgumentError("It has to be a name and numbers, as in step:epochs=30,gamma=0.2.");
  }
  return { name, ...Object.fromEntries(numbers) };
}
