import { basename } from "node:path";
import { Command } from "commander";
import { parseRun, type RunConfiguration } from "../../tasks/configuration.ts";
import { createOptimizer, optimizerLabel } from "../../tasks/optimizers.ts";
import { runClassification } from "../../tasks/run.ts";
import { loadWithProgress } from "../data.ts";
import { interruptedExitCode, interruptSignal } from "../interrupt.ts";
import {
  addOptimizerFlags,
  addOutputFlags,
  addSettingFlags,
  applyFlags,
  existingRun,
  type OutputFlags,
  readConfiguration,
  type SettingFlags,
} from "../options.ts";
import { freshFolder, outcomeLine, present, printJson } from "../output.ts";
import { ProgressDisplay, say } from "../progress.ts";

const examples = `
Examples:
  $ lowland train --data digits --model mlp --epochs 20
  $ lowland train --model cnn --optimizer sam --rho-max 0.1 --limit 10000 --flip
  $ lowland train --config run.json --seed 2 --out runs/second
  $ lowland train --config run.json --out runs/second --resume`;

/** `lowland train`: one run. */
export function trainCommand(): Command {
  const command = new Command("train").description("train one network and write its run folder");
  addOptimizerFlags(addSettingFlags(addOutputFlags(command), parseRun({}))).addHelpText("after", examples);
  return command.action(async (flags: SettingFlags & OutputFlags) => {
    const document = flags.config ? await readConfiguration(flags.config) : {};
    const configuration = parseRun(applyFlags(document, flags));
    process.exitCode = await trainAndPresent(configuration, flags);
  });
}

async function trainAndPresent(configuration: RunConfiguration, flags: OutputFlags): Promise<number> {
  const signal = interruptSignal();
  const data = await loadWithProgress(configuration.data, { ...flags, signal });
  const optimizer = createOptimizer(configuration.optimizer);
  const label = optimizerLabel(optimizer.config);
  const out =
    flags.out ?? freshFolder(`${configuration.data}-${configuration.model}-${optimizer.config.method}`);
  const progress = new ProgressDisplay({ totalWork: 0 });
  try {
    const result = await runClassification({
      name: basename(out),
      configuration,
      data,
      out,
      existing: existingRun(flags),
      signal,
      ...progress.follow(label, optimizer.gradientEvaluations),
    });
    progress.done(outcomeLine(label, result));
    if (flags.json) printJson(result.summary ?? null);
    else if (result.summary) await present(out);
    else say(`Nothing to report; the steps so far are in ${out}`);
    return signal.aborted ? interruptedExitCode : result.failure ? 1 : 0;
  } finally {
    progress.close();
  }
}
