import { Command } from "commander";
import { importedModel, parseRun } from "../../runs/configuration.ts";
import { addFlags } from "../add-flags.ts";
import { applyFlags, readConfiguration } from "../options.ts";
import { putFlags } from "../put-flags.ts";
import {
  addPlaceFlags,
  flagsBut,
  importFlags,
  type PlaceFlags,
  runFlags,
  type SettingFlags,
} from "../setting-flags.ts";
import { isObject } from "../settings.ts";
import { trainAndPresent } from "../train-run.ts";

const examples = `
Examples:
  $ lowland finetune model.onnx --data digits
  $ lowland finetune resnet18.onnx --normalization imagenet --learning-rate-factor 'layer*=0.1' --flip
  $ lowland finetune detector.onnx --frozen 'backbone.*' --dimension height=64 --dimension width=64
  $ lowland finetune model.onnx --classes 10 --optimizer sam --rho 0.1 --epochs 3 --out runs/tuned
  $ lowland finetune model.onnx --out runs/tuned --resume

The last linear layer is re-initialized if its number of classes differs from the data's, or if --classes or --head
ask for it. The run folder holds what train writes; its model.onnx is the model that came in, with new weights.`;

const defaults = { learningRate: 0.01, epochs: 5, batchSize: 32 };

/** `lowland finetune`: train on from an ONNX file of anybody's. */
export function finetuneCommand(): Command {
  const command = new Command("finetune")
    .description("train any ONNX image classifier on from its weights, and write it back")
    .argument("<model>", "an ONNX file");
  addFlags(addPlaceFlags(command), importFlags);
  // The model is the argument, and has its weights.
  addFlags(command, flagsBut(runFlags, "model", "weights"), defaults).addHelpText("after", examples);
  return command.action(async (file: string, flags: SettingFlags & PlaceFlags) => {
    const document = flags.config ? await readConfiguration(flags.config) : {};
    const given = isObject(document.model) ? document.model : {};
    const model = putFlags(importedModel, { ...given, file }, flags);
    const configuration = parseRun(applyFlags({ ...defaults, ...document, model }, flags));
    process.exitCode = await trainAndPresent(configuration, flags);
  });
}
