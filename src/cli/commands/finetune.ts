import { Command } from "commander";
import { parseRun } from "../../runs/configuration.ts";
import { normalizations } from "../../tasks/image-input.ts";
import { addImportFlags, type ImportFlags, importSettings } from "../import-options.ts";
import { addOptimizerFlags } from "../optimizer-options.ts";
import { applyFlags, readConfiguration } from "../options.ts";
import { addPlaceFlags, addSettingFlags, type PlaceFlags, type SettingFlags } from "../setting-flags.ts";
import { choices, defined, isObject, merged, numberOption } from "../settings.ts";
import { trainAndPresent } from "../train-run.ts";

const examples = `
Examples:
  $ lowland finetune model.onnx --data digits
  $ lowland finetune resnet18.onnx --normalization imagenet --learning-rate-factor 'layer*=0.1' --flip
  $ lowland finetune detector.onnx --frozen 'backbone.*' --dimension height=64 --dimension width=64
  $ lowland finetune model.onnx --classes 10 --optimizer sam --rho 0.1 --epochs 3 --out runs/tuned
  $ lowland finetune model.onnx --out runs/tuned --resume

The last linear layer starts anew where it has another number of classes than the data, or where --classes or --head
ask for it. The run folder holds what train writes; its model.onnx is the model that came in, with new weights.`;

const defaults = { learningRate: 0.01, epochs: 5, batchSize: 32 };

interface Flags extends SettingFlags, PlaceFlags, ImportFlags {
  classes?: number;
  head?: string;
  normalization?: string;
}

/** `lowland finetune`: train on from an ONNX file of anybody's. */
export function finetuneCommand(): Command {
  const command = new Command("finetune")
    .description("train any ONNX image classifier on from its weights, and write it back")
    .argument("<model>", "an ONNX file");
  addPlaceFlags(command)
    .optionsGroup("Network:")
    .option("--classes <n>", "start the last linear layer anew with so many classes", numberOption)
    .option("--head <node>", "that layer, where it is not found; it starts anew")
    .option(
      "--normalization <name>",
      `scale of the pixels: ${choices(normalizations)} (default: as the file's metadata say, or dataset, by its mean and deviation)`,
    );
  addOptimizerFlags(addImportFlags(command));
  addSettingFlags(command, parseRun(defaults)).addHelpText("after", examples);
  return command.action(async (file: string, flags: Flags) => {
    const document = flags.config ? await readConfiguration(flags.config) : {};
    const { classes, head, normalization } = flags;
    const own = defined({ file, classes, head, normalization, ...importSettings(flags) });
    const model = merged(isObject(document.model) ? document.model : undefined, own);
    const configuration = parseRun(applyFlags({ ...defaults, ...document, model }, flags));
    process.exitCode = await trainAndPresent(configuration, flags);
  });
}
