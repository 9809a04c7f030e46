#!/usr/bin/env node
import { createRequire } from "node:module";
import { Command } from "commander";
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
import { predictCommand } from "./commands/predict.ts";
import { trainCommand } from "./commands/train.ts";
import { explain, oneSentence } from "./explain.ts";
import { guardOutputs } from "./output.ts";
import { say } from "./progress.ts";

const { version } = createRequire(import.meta.url)("../../package.json");

const lowland = new Command("lowland")
  .description("Train neural networks into flat minima, on ONNX Runtime.")
  .version(version);
for (const command of [
  trainCommand(),
  compareCommand(),
  evaluateCommand(),
  predictCommand(),
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

guardOutputs();
try {
  await lowland.parseAsync();
} catch (error) {
  const { code, text } = explain(error);
  if (text !== undefined) say(`lowland: ${text}`);
  process.exitCode = code;
}
