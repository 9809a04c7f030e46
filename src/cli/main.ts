#!/usr/bin/env node
import { createRequire } from "node:module";
import { Command, CommanderError } from "commander";
import { UserError } from "../common/errors.ts";
import { DatasetUnavailable } from "../data/dataset.ts";
import { compareCommand } from "./commands/compare.ts";
import { demoCommand } from "./commands/demo.ts";
import { evaluateCommand } from "./commands/evaluate.ts";
import { exportStepCommand } from "./commands/export-step.ts";
import { figuresCommand } from "./commands/figures.ts";
import { finetuneCommand } from "./commands/finetune.ts";
import { flatnessCommand } from "./commands/flatness.ts";
import { inspectCommand } from "./commands/inspect.ts";
import { landscapeCommand } from "./commands/landscape.ts";
import { optimizersCommand } from "./commands/optimizers.ts";
import { trainCommand } from "./commands/train.ts";
import { interruptedExitCode } from "./interrupt.ts";
import { say } from "./progress.ts";

// Exit codes: 0 done; 1 the run failed; 2 a mistake in what was given; 130 stopped by Ctrl-C.

const { version } = createRequire(import.meta.url)("../../package.json");

const lowland = new Command("lowland")
  .description("Train neural networks into flat minima, on ONNX Runtime.")
  .version(version);
for (const command of [
  trainCommand(),
  compareCommand(),
  evaluateCommand(),
  flatnessCommand(),
  landscapeCommand(),
  inspectCommand(),
  finetuneCommand(),
  exportStepCommand(),
  figuresCommand(),
  optimizersCommand(),
  demoCommand(),
]) {
  lowland.addCommand(command);
}
for (const command of [lowland, ...lowland.commands]) {
  command
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(oneSentence(text)) })
    .configureHelp({ minWidthToWrap: 24 });
}

try {
  await lowland.parseAsync();
} catch (error) {
  process.exitCode = explain(error);
}

/** commander's message as this program's: `error: … is invalid. It has to be a number.` has two sentences. */
function oneSentence(text: string): string {
  return text
    .trim()
    .replace(/^error: /, "lowland: ")
    .replace(/\s+\(Did you mean (.*)\?\)$/, "; did you mean $1?")
    .replace(/\. ([A-Z])/, (_, letter: string) => `: ${letter.toLowerCase()}`)
    .replace(/\.?$/, "\n");
}

function explain(error: unknown): number {
  // commander has said what is wrong itself.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof UserError) {
    say(`lowland: ${error.message}`);
    return 2;
  }
  if (error instanceof DatasetUnavailable) {
    say(`lowland: ${error.message}`);
    return 1;
  }
  if (error instanceof Error && error.name === "AbortError") return interruptedExitCode;
  say(`lowland: something went wrong that should not have: ${error instanceof Error ? error.stack : error}`);
  return 1;
}
