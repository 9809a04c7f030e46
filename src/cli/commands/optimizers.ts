import Table from "cli-table3";
import type { Command } from "commander";
import { UserError } from "../../common/errors.ts";
import { bilateralSamVariants } from "../../optim/bilateral-sam.ts";
import { parseRun } from "../../runs/configuration.ts";
import { networkName } from "../../runs/network.ts";
import { optimizerNames } from "../../runs/optimizer-settings.ts";
import { createOptimizer } from "../../runs/optimizers.ts";
import { measureStepCosts, type StepCost } from "../../runs/step-cost.ts";
import { randomBatch } from "../../tasks/classification/random-batch.ts";
import { addFlags } from "../add-flags.ts";
import { interruptedExitCode, interruptSignal } from "../interrupt.ts";
import { applyFlags } from "../options.ts";
import { printJson } from "../output.ts";
import { say } from "../progress.ts";
import { flagsFor, networkHelp, runFlags, type SettingFlags } from "../setting-flags.ts";

const examples = `
Examples:
  $ lowland optimizers
  $ lowland optimizers --model cnn --batch-size 64 --json
  $ lowland optimizers --model resnet18 --image 3x32x32 --batch-size 16`;

/** What the table shows, by the ids that the JSON has: every method by its name, variants and the cheaper forms. */
const shown: Readonly<Record<string, object>> = {
  ...Object.fromEntries(optimizerNames.map((method) => [method, { method }])),
  ...Object.fromEntries(
    bilateralSamVariants
      .slice(1)
      .map((variant) => [`bilateral-sam-${variant}`, { method: "bilateral-sam", variant }]),
  ),
  "bilateral-sam-adaptive": { method: "bilateral-sam", adaptive: true, rhoMax: 0.5, rhoMin: 0.5 },
  "bilateral-sam-every-4": { method: "bilateral-sam", every: 4 },
  "bilateral-sam-reuse-4": { method: "bilateral-sam", reuse: 4 },
  "bilateral-sam-adamw": { method: "bilateral-sam", base: { name: "adamw" } },
};

interface Flags extends SettingFlags {
  image: string;
  json?: boolean;
}

/** `lowland optimizers`: what there is, and what a step of each costs on this machine. */
export function optimizersCommand(command: Command): Command {
  return addFlags(command, flagsFor(runFlags, "model", "batchSize", "threads"))
    .option("--image <shape>", "channels, height and width of the images", "1x28x28")
    .option("--json", "print the table as JSON and nothing else on standard output")
    .addHelpText("after", `${networkHelp()}\n${examples}`)
    .action(async (flags: Flags) => {
      const configuration = parseRun(applyFlags({}, flags));
      const { batchSize, threads } = configuration;
      const model = networkName(configuration.model);
      const optimizers = Object.fromEntries(
        Object.entries(shown).map(([id, optimizer]) => [
          id,
          createOptimizer(parseRun({ optimizer }).optimizer),
        ]),
      );
      const signal = interruptSignal();
      const [channels, height, width] = imageShape(flags.image);
      const batch = await randomBatch(model, { channels, height, width, classes: 10 }, batchSize);
      let told = performance.now();
      const costs = await measureStepCosts({
        ...batch,
        optimizers,
        threads,
        signal,
        onProgress: (done, total) => {
          if (performance.now() - told < 2000) return;
          told = performance.now();
          say(`timing: round ${done} of ${total}`);
        },
      });
      if (signal.aborted) {
        process.exitCode = interruptedExitCode;
      } else if (flags.json) {
        printJson(costs);
      } else {
        process.stdout.write(
          `${tableOf(costs)}\n\nA step of ${model} on ${batchSize} images of ${channels}×${height}×${width}: median of alternating rounds.\n`,
        );
      }
    });
}

function imageShape(text: string): number[] {
  const sizes = text.split(/[x×]/).map(Number);
  if (sizes.length === 3 && sizes.every((size) => Number.isInteger(size) && size > 0)) return sizes;
  throw new UserError(`--image is ${text}; it has to be channels, height and width, as 3x32x32`);
}

function tableOf(costs: readonly StepCost[]): string {
  const [{ milliseconds: base }] = costs;
  const table = new Table({
    head: ["optimizer", "gradients", "ms", "× sgd", "state"],
    colAligns: ["left", "right", "right", "right", "right"],
    style: { head: [], border: [], compact: true },
  });
  for (const { label, gradientEvaluations, milliseconds, stateBytes } of costs) {
    table.push([
      label,
      String(gradientEvaluations),
      milliseconds.toFixed(milliseconds < 10 ? 2 : 1),
      (milliseconds / base).toFixed(2),
      `${(stateBytes / 2 ** 20).toFixed(2)} MiB`,
    ]);
  }
  return table.toString();
}
