import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { UserError } from "../../common/errors.ts";
import { openFigures, trainFigures } from "../../tasks/figure-runs.ts";
import {
  type FigureRun,
  type FiguresConfiguration,
  parseFigures,
} from "../../tasks/figures-configuration.ts";
import { createOptimizer, evaluationsPerStep, optimizerLabel } from "../../tasks/optimizers.ts";
import { loadWithProgress } from "../data.ts";
import { interruptedExitCode, interruptSignal } from "../interrupt.ts";
import { readConfiguration } from "../options.ts";
import { outcomeLine } from "../output.ts";
import { ProgressDisplay, say } from "../progress.ts";
import { defined, numberOption } from "../settings.ts";

const examples = `
Examples:
  $ lowland figures
  $ lowland figures --config figures.json --out runs/figures`;

interface FiguresFlags {
  config?: string;
  dataDir?: string;
  out?: string;
  seeds?: string;
  threads?: number;
}

/** `lowland figures`: the paper's figures 2 to 5 for a network and data. */
export function figuresCommand(): Command {
  return new Command("figures")
    .description("train what is missing of the runs behind the paper's figures 2 to 5")
    .option("--config <file>", "JSON file with the settings (default: cnn on Fashion-MNIST)")
    .option("--data-dir <folder>", "folder with the data set's files")
    .option("--out <folder>", "folder of the runs (default: runs/ and the configuration's name)")
    .option("--seeds <list>", "these seeds, separated by commas, in place of the configuration's")
    .option("--threads <n>", "threads of one operator (default: the configuration's)", numberOption)
    .addHelpText("after", examples)
    .action(async (flags: FiguresFlags) => {
      const path =
        flags.config ??
        fileURLToPath(new URL("../../../assets/configurations/figures.json", import.meta.url));
      const { threads, seeds } = flags;
      const given = defined({ threads, seeds: seeds?.split(",").map(Number) });
      const configuration = parseFigures({ ...(await readConfiguration(path)), ...given });
      const out = flags.out ?? `runs/${basename(path, ".json")}`;
      process.exitCode = await makeFigures(configuration, out, flags);
    });
}

async function makeFigures(
  configuration: FiguresConfiguration,
  out: string,
  flags: FiguresFlags,
): Promise<number> {
  const signal = interruptSignal();
  const data = await loadWithProgress(configuration.data, { ...flags, signal });
  const runs = await openFigures(configuration, data, out);
  const images = configuration.limit ?? data.train.count;
  if (images > data.train.count)
    throw new UserError(`limit is ${images}, but there are ${data.train.count} images`);
  const stepsPerEpoch = Math.floor(images / configuration.batchSize);
  const evaluations = (run: FigureRun) => evaluationsPerStep(run.configuration, stepsPerEpoch);
  const missing = runs.filter(({ ended }) => !ended);
  say(`${runs.length} runs of ${configuration.epochs} epochs in ${out}, ${missing.length} of them to train`);
  const progress = new ProgressDisplay({
    totalWork: missing.reduce((sum, run) => sum + configuration.epochs * stepsPerEpoch * evaluations(run), 0),
  });
  const labelOf = (run: FigureRun, index: number) =>
    `[${index + 1}/${runs.length}] seed ${run.seed} ${optimizerLabel(createOptimizer(run.configuration.optimizer).config)}`;
  let finished: boolean;
  try {
    finished = await trainFigures({
      runs,
      data,
      signal,
      onRun: (run, index) => progress.follow(labelOf(run, index), evaluations(run)),
      onRunEnd: (run, result) =>
        progress.done(outcomeLine(labelOf(run, runs.indexOf(run as (typeof runs)[number])), result)),
    });
  } finally {
    progress.close();
  }
  if (finished) return 0;
  say(`The same command goes on from here.`);
  return interruptedExitCode;
}
