import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Command, Option } from "commander";
import { UserError } from "../../common/errors.ts";
import { type FiguresConfiguration, figuresSchema, parseFigures } from "../../paper/configuration.ts";
import { figuresLead, paperFigures } from "../../paper/figures.ts";
import { collectResults, currentResults, type FiguresResults } from "../../paper/results.ts";
import { openFigures, type PlacedRun, trainFigures } from "../../paper/runs.ts";
import { type MeasuredSpectrum, measureTestSpectrum, runsWithSpectra } from "../../paper/spectra.ts";
import { figuresTable } from "../../paper/table.ts";
import { type WrittenFigures, writeFigures } from "../../report/figures/write.ts";
import { optimizerLabel } from "../../runs/optimizer-label.ts";
import { createOptimizer, evaluationsPerStep } from "../../runs/optimizers.ts";
import { readJson, writeJson } from "../../runs/run-folder.ts";
import type { DataPair } from "../../tasks/task.ts";
import { addFlags } from "../add-flags.ts";
import { loadWithProgress } from "../data.ts";
import { camelCase } from "../flags.ts";
import { interruptedExitCode, interruptSignal } from "../interrupt.ts";
import { readConfiguration } from "../options.ts";
import { outcomeLine, printJson } from "../output.ts";
import { followParts, ProgressDisplay, say } from "../progress.ts";
import { putFlags } from "../put-flags.ts";
import { figuresFlags, networkHelp, type SettingFlags } from "../setting-flags.ts";

const examples = `
For each seed: the base update, SAM at ρmax, SAM at ρmax + ρmin, bilateral SAM, and bilateral SAM with each constant
ρmin. The same command again trains what is missing and goes on with what was stopped; finished runs are kept.
Without --config: cnn on 10,000 images of Fashion-MNIST, three seeds, which takes an hour or two.

Examples:
  $ lowland figures
  $ lowland figures --config figures.json --out runs/figures --seeds 1
  $ lowland figures --data digits --model mlp --epochs 10 --out runs/digits
  $ lowland figures --results docs/results/flatness/results.json --out pictures`;

interface FiguresFlags extends SettingFlags {
  config?: string;
  dataDir?: string;
  out?: string;
  results?: string;
  json?: boolean;
}

/** `lowland figures`: the paper's figures 2 to 5 for a network and data. */
export function figuresCommand(command: Command): Command {
  command
    .option("--config <file>", "JSON file with the settings (default: cnn on Fashion-MNIST)")
    .option("--data-dir <folder>", "folder with the data set's files")
    .option("--out <folder>", "folder of runs and pictures (default: runs/ and the configuration's name)")
    .addOption(
      new Option("--results <file>", "train nothing: draw what an earlier results.json holds").conflicts([
        ...["config", "dataDir"],
        ...figuresFlags.map(({ name }) => camelCase(name)),
      ]),
    )
    .option("--json", "print the results as JSON and nothing else on standard output");
  return addFlags(command, figuresFlags, "unknown")
    .addHelpText("after", `${networkHelp()}\n${examples}`)
    .action(async (flags: FiguresFlags) => {
      if (flags.results !== undefined) {
        const results = await readResults(flags.results);
        await draw(results, flags.out ?? "pictures", flags);
      } else process.exitCode = await makeFigures(flags);
    });
}

async function makeFigures(flags: FiguresFlags): Promise<number> {
  const path =
    flags.config ?? fileURLToPath(new URL("../../../assets/configurations/figures.json", import.meta.url));
  const configuration = parseFigures(putFlags(figuresSchema, await readConfiguration(path), flags));
  const out = flags.out ?? join("runs", basename(path, ".json"));
  const signal = interruptSignal();
  const data = await loadWithProgress(configuration.data, {
    ...{ ...flags, task: configuration.task, images: configuration.images, signal },
  });
  const runs = await openFigures(configuration, data, out);
  const finished = await train(configuration, runs, data, out, signal);
  const spectra = finished
    ? await measureSpectra(configuration, runs, data, signal).catch(unlessAborted(signal))
    : undefined;
  if (!spectra) {
    say("The same command goes on from here.");
    return interruptedExitCode;
  }
  const results = await collectResults(configuration, runs, spectra);
  await writeJson(join(out, "results.json"), results);
  await draw(results, out, flags);
  return results.runs.some(({ status }) => status === "diverged") ? 1 : 0;
}

/** Nothing for the error of an aborted computation; throws every other. */
function unlessAborted(signal: AbortSignal) {
  return (error: unknown): undefined => {
    if (!signal.aborted) throw error;
  };
}

/** Trains what is missing and shows how it goes. Returns whether all runs were reached. */
async function train(
  { epochs, batchSize, limit }: FiguresConfiguration,
  runs: readonly PlacedRun[],
  data: DataPair,
  out: string,
  signal: AbortSignal,
): Promise<boolean> {
  const stepsPerEpoch = Math.floor((limit ?? data.train.count) / batchSize);
  const evaluations = ({ configuration }: PlacedRun) => evaluationsPerStep(configuration, stepsPerEpoch);
  const missing = runs.filter(({ ended }) => !ended);
  say(`${runs.length} runs of ${epochs} epochs in ${out}, ${missing.length} of them to train`);
  const progress = new ProgressDisplay({
    totalWork: missing.reduce((sum, run) => sum + epochs * stepsPerEpoch * evaluations(run), 0),
  });
  const labelOf = (run: PlacedRun) =>
    `[${runs.indexOf(run) + 1}/${runs.length}] ${optimizerLabel(createOptimizer(run.configuration.optimizer).config)}, seed ${run.seed}`;
  try {
    return await trainFigures({
      runs,
      data,
      signal,
      onRun: (run) => progress.follow(labelOf(run), evaluations(run)),
      onRunEnd: (run, result) => progress.done(outcomeLine(labelOf(run), result)),
    });
  } finally {
    progress.close();
  }
}

/** Measures what figure 5 lacks, with the time left for all of it. Throws the signal's reason after Ctrl-C. */
async function measureSpectra(
  configuration: FiguresConfiguration,
  runs: readonly PlacedRun[],
  data: DataPair,
  signal: AbortSignal,
): Promise<Map<string, MeasuredSpectrum>> {
  const measured = await runsWithSpectra(runs);
  const spectra = new Map<string, MeasuredSpectrum>();
  const parts = followParts();
  try {
    for (const [index, run] of measured.entries()) {
      const others = measured.length - index - 1;
      const spectrum = await measureTestSpectrum(run, data, configuration, {
        ...parts,
        signal,
        onProgress: (progress) => {
          const { seconds, secondsLeft } = progress;
          // Those to come are taken to need as long as this one.
          parts.onProgress?.({ ...progress, secondsLeft: secondsLeft + others * (seconds + secondsLeft) });
        },
      });
      spectra.set(run.folder, spectrum);
    }
    return spectra;
  } finally {
    parts.close();
  }
}

async function readResults(path: string): Promise<FiguresResults> {
  const results = await readJson<FiguresResults>(path).catch((error: Error) => {
    throw new UserError(error.message);
  });
  if (results.type === "figures") return currentResults(results);
  throw new UserError(`${path} holds no results of lowland figures`);
}

async function draw(results: FiguresResults, out: string, { json }: FiguresFlags): Promise<void> {
  const figures = paperFigures(results);
  const content = { title: "Bilateral SAM's figures", lead: figuresLead(results), figures, data: results };
  const written = await writeFigures(out, "figures", content);
  if (json) printJson(results);
  else process.stdout.write(`${figuresTable(results)}\n\n${placesOf(written)}\n`);
}

function placesOf({ page, pictures }: WrittenFigures): string {
  return `Means ± standard deviation over seeds; conflict: steps with cos(g, g⁻) < 0.\nPage:     ${page}\nPictures: ${pictures.length} files in ${join(page, "..", "pictures")}`;
}
