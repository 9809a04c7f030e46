import { statSync } from "node:fs";
import { basename, dirname } from "node:path";
import { type Command, Option } from "commander";
import { UserError } from "../../common/errors.ts";
import { elementCount } from "../../graph/graph.ts";
import { loadModel } from "../../import/load.ts";
import { exportStep, type StepDescription, writeExportedStep } from "../../model-files/exported-step.ts";
import { resolveGroups } from "../../optim/parameter-groups.ts";
import { parseRun, runSchema } from "../../runs/configuration.ts";
import { optimizerLabel } from "../../runs/optimizer-label.ts";
import { createOptimizer } from "../../runs/optimizers.ts";
import { makeFolder } from "../../runs/run-folder.ts";
import { addFlags } from "../add-flags.ts";
import { size } from "../model-text.ts";
import { printJson } from "../output.ts";
import { say } from "../progress.ts";
import { putFlags, settingsOf } from "../put-flags.ts";
import {
  flagsBeside,
  flagsFor,
  importFlags,
  loadSettings,
  runFlags,
  type SettingFlags,
} from "../setting-flags.ts";

const examples = `
Examples:
  $ lowland export-step model.onnx -o step.onnx
  $ lowland export-step model.onnx --optimizer sam --rho 0.1 --base adamw --batch-size 64 -o step.onnx
  $ lowland export-step model.onnx --loss cross-entropy --label-smoothing 0.1 --label-smoothing-kind kl \\
      --optimizer bilateral-sam --momentum 0.9 --weight-decay 1e-3 --batch-size 32 -o step.onnx
  $ lowland export-step detector.onnx --frozen 'backbone.*' --output scores --dimension height=64 -o step.onnx

Writes step.onnx, the training step in operators of ONNX alone; step.safetensors, what it starts from; and step.json,
which says of every input and output what it is. examples/train-exported-step.py trains with them.`;

const defaults = { batchSize: 32, labelSmoothing: 0 };

const modelFlags = flagsFor(importFlags, "output", ...Object.keys(loadSettings.shape));
/** What of a run is a matter of its training step. */
const stepFlags = flagsBeside(
  flagsFor(
    runFlags,
    ...["optimizer", "batchSize", "labelSmoothing", "labelSmoothingKind"],
    ...["parameters.perturb", "parameters.groups", "clipNorm", "microBatches", "perturbationPer"],
  ),
  modelFlags,
);

interface Flags extends SettingFlags {
  out: string;
  output?: string;
  json?: boolean;
}

/** `lowland export-step`: a training step as a file that any program with ONNX Runtime can run. */
export function exportStepCommand(command: Command): Command {
  command
    .requiredOption("-o, --out <file>", "the file to write, x.onnx; x.json and x.safetensors go beside it")
    .addOption(
      new Option("--loss <name>", "what is minimized").choices(["cross-entropy"]).default("cross-entropy"),
    );
  command.option("--json", "print step.json and nothing else on standard output");
  addFlags(command, modelFlags);
  addFlags(command, stepFlags, defaults).addHelpText("after", examples);
  return command.action(async (path: string, flags: Flags) => {
    if (!flags.out.endsWith(".onnx")) {
      throw new UserError(`the file to write is ${flags.out}; its name has to end in .onnx`);
    }
    const configuration = parseRun(putFlags(runSchema, defaults, flags, stepFlags));
    const { batchSize, labelSmoothing, labelSmoothingKind, parameters, ...step } = configuration;
    const { clipNorm, microBatches, perturbationPer } = step;
    const model = await loadModel(path, settingsOf(loadSettings, flags));
    const exported = exportStep(model, createOptimizer(configuration.optimizer), {
      batchSize,
      output: flags.output,
      labelSmoothing,
      labelSmoothingKind,
      clipNorm,
      microBatches,
      perturbationPer,
      settings: resolveGroups(model.trainable, parameters.groups, parameters.perturb),
    });
    await makeFolder(dirname(flags.out));
    const files = await writeExportedStep(exported, flags.out);
    const description = exported.describe(basename(flags.out));
    if (flags.json) printJson(description);
    else process.stdout.write(`${summaryOf(description, files)}\n`);
  });
}

function summaryOf({ steps, optimizer, batchSize }: StepDescription, files: readonly string[]): string {
  say(`A step of ${optimizerLabel(optimizer)} on ${batchSize} examples:`);
  const about = [
    ...steps.map(({ when, gradientEvaluations }) => `${gradientEvaluations} gradients; ${when}`),
    keptIn(steps[0].inputs),
    "what every input and output is",
  ];
  const width = Math.max(...files.map((file) => file.length));
  return files
    .map((file, index) => `${file.padEnd(width)}  ${size(statSync(file).size).padStart(9)}  ${about[index]}`)
    .join("\n");
}

function keptIn(inputs: StepDescription["steps"][number]["inputs"]): string {
  const count = (role: string) => inputs.filter((input) => input.role === role);
  const numbers = count("parameter").reduce((sum, { shape }) => sum + elementCount(shape), 0);
  return [
    `${count("parameter").length} parameters (${numbers.toLocaleString("en")} numbers)`,
    `${count("state").length} of state`,
    `${count("buffer").length} buffers`,
  ].join(", ");
}
