import { basename, join } from "node:path";
import type { Command } from "commander";
import { UserError } from "../../common/errors.ts";
import { compare } from "../../runs/compare.ts";
import { type NamedRun, parseComparison, type RunConfiguration } from "../../runs/configuration.ts";
import { optimizerLabel } from "../../runs/optimizer-label.ts";
import { createOptimizer, evaluationsPerStep } from "../../runs/optimizers.ts";
import { withStatedPictures } from "../../runs/stated-pictures.ts";
import type { DataPair } from "../../tasks/task.ts";
import { addFlags } from "../add-flags.ts";
import { loadWithProgress } from "../data.ts";
import { interruptedExitCode, interruptSignal } from "../interrupt.ts";
import { type SummaryWithIntegers, withIntegers } from "../keep-quantization.ts";
import { applyFlags, existingRun, readConfiguration } from "../options.ts";
import { freshFolder, outcomeLine, present, printJson, sayHowToResume } from "../output.ts";
import { ProgressDisplay, say } from "../progress.ts";
import {
  addPlaceFlags,
  comparisonFlags,
  dryRunFlag,
  networkHelp,
  type PlaceFlags,
  type SettingFlags,
} from "../setting-flags.ts";

const examples = `
The configuration holds settings of a run, shared by all, and
  "runs": [{ "name": …, "optimizer": { "method": … } }, …]
A run may have its own "quantization": { "weights": 4, "activations": 4 }, or "float". Of runs with integers the table also
shows what the written file gives in integer kernels, the bits and the size.

Examples:
  $ lowland compare --config comparison.json
  $ lowland compare --config comparison.json --dry-run
  $ lowland compare --config comparison.json --only sgd,sam-0.1 --seed 2 --out runs/seed-2`;

/** `lowland compare`: several optimizers on the same data, weights and order. */
export function compareCommand(command: Command): Command {
  addPlaceFlags(command)
    .addOption(dryRunFlag())
    .option("--only <names>", "only these runs, separated by commas");
  addFlags(command, comparisonFlags, "unknown").addHelpText("after", `${networkHelp()}\n${examples}`);
  return command.action(async (flags: SettingFlags & PlaceFlags & { only?: string }) => {
    if (!flags.config)
      throw new UserError("compare needs --config FILE; `lowland compare --help` shows what is in it");
    const document = await withStatedPictures(applyFlags(await readConfiguration(flags.config), flags));
    const runs = chooseRuns(parseComparison(document), flags.only);
    const signal = interruptSignal();
    const [{ configuration: shared }] = runs;
    const data = await loadWithProgress(shared.data, {
      ...flags,
      task: shared.task,
      images: shared.images,
      signal,
    });
    if (flags.dryRun) {
      const { printRunCosts } = await import("../dry-run.ts");
      process.exitCode = await printRunCosts(runs, data, { ...flags, signal });
      return;
    }
    const out = flags.out ?? freshFolder(basename(flags.config, ".json"));
    process.exitCode = await compareAndPresent({ runs, data, out, flags, signal });
  });
}

/** The runs of the given names (all when none are named). */
export function chooseRuns(runs: readonly NamedRun[], only: string | undefined): readonly NamedRun[] {
  if (only === undefined) return runs;
  const wanted = only.split(",").map((name) => name.trim());
  const missing = wanted.find((name) => !runs.some((run) => run.name === name));
  if (missing !== undefined) {
    throw new UserError(
      `there is no run "${missing}"; choose from ${runs.map(({ name }) => name).join(", ")}`,
    );
  }
  return runs.filter(({ name }) => wanted.includes(name));
}

interface CompareRequest {
  runs: readonly NamedRun[];
  data: DataPair;
  out: string;
  flags: PlaceFlags;
  signal: AbortSignal;
}

/** Trains all runs, shows how they go, writes the report and prints the table. Returns the exit code. */
export async function compareAndPresent({ runs, data, out, flags, signal }: CompareRequest): Promise<number> {
  const evaluations = ({ configuration }: NamedRun) =>
    evaluationsPerStep(configuration, stepsPerEpoch(configuration, data));
  const progress = new ProgressDisplay({
    totalWork: runs.reduce((sum, run) => {
      const { epochs } = run.configuration;
      return sum + epochs * stepsPerEpoch(run.configuration, data) * evaluations(run);
    }, 0),
  });
  const labelOf = (run: NamedRun, index: number) =>
    `[${index + 1}/${runs.length}] ${optimizerLabel(createOptimizer(run.configuration.optimizer).config)}`;
  const summaries: SummaryWithIntegers[] = [];
  let failed = false;
  let finished: boolean;
  try {
    finished = await compare({
      name: basename(out),
      runs,
      data,
      out,
      existing: existingRun(flags),
      signal,
      onRun: (run, index) => progress.follow(labelOf(run, index), evaluations(run)),
      onRunEnd: async (run, result) => {
        failed ||= result.failure !== undefined;
        progress.done(outcomeLine(labelOf(run, runs.indexOf(run)), result));
        const { configuration } = run;
        const summary = await withIntegers(result, { folder: join(out, run.name), configuration, data });
        if (summary) summaries.push(summary);
      },
    });
  } finally {
    progress.close();
  }
  if (summaries.length > 0) await present(out, flags);
  else say(`Nothing to report; what there is so far is in ${out}`);
  if (flags.json) printJson(summaries);
  if (!finished) sayHowToResume(out);
  return !finished ? interruptedExitCode : failed ? 1 : 0;
}

function stepsPerEpoch({ limit, batchSize }: RunConfiguration, data: DataPair): number {
  return Math.floor((limit ?? data.train.count) / batchSize);
}
