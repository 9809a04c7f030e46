import type { Command } from "commander";
import { compareCommand } from "./commands/compare.ts";
import { dataCommand } from "./commands/data.ts";
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

/** All commands, in the order of the help. */
export function allCommands(): Command[] {
  return [
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
    dataCommand(),
    demoCommand(),
  ];
}
