import { basename } from "node:path";
import { Command } from "commander";
import { UserError } from "../../common/errors.ts";
import { parseRun, type RunConfiguration } from "../../tasks/configuration.ts";
import { createOptimizer, optimizerLabel } from "../../tasks/optimizers.ts";
import { runClassification } from "../../tasks/run.ts";
import { loadWithProgress } from "../data.ts";
import { interruptedExitCode, interruptSignal } from "../interrupt.ts";
import { addOptimizerFlags } from "../optimizer-options.ts";
import {
  addOutputFlags,
  addSettingFlags,
  applyFlags,
  existingRun,
  type OutputFlags,
  readConfiguration,
  type SettingFlags,
} from "../options.ts";
import { freshFolder, outcomeLine, present, printJson, sayHowToResume } from "../output.ts";
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
    if ("runs" in document) {
      throw new UserError(
        `${flags.config} holds the runs of a comparison; train them with lowland compare --config ${flags.config}`,
      );
    }
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
      ...progress.follow(label, 1),
    });
    progress.done(outcomeLine(label, result));
    if (result.summary) await present(out, flags);
    else if (!result.failure) say(`Nothing to report; the steps so far are in ${out}`);
    if (flags.json) printJson(result.summary ?? null);
    if (result.failure) return 1;
    const finished = result.summary?.status === "finished";
    if (!finished) sayHowToResume(out);
    return finished ? 0 : interruptedExitCode;
  } finally {
    progress.close();
  }
}
