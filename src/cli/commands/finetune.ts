import type { Command } from "commander";
import { UserError } from "../../common/errors.ts";
import { isObject } from "../../common/objects.ts";
import { parseRun, runSchema } from "../../runs/configuration.ts";
import { importedModel } from "../../runs/network-settings.ts";
import { findStartingModel } from "../../runs/starting-model.ts";
import { withStatedPictures } from "../../runs/stated-pictures.ts";
import { addFlags } from "../add-flags.ts";
import { camelCase, type Flag } from "../flags.ts";
import { readConfiguration } from "../options.ts";
import { putFlags } from "../put-flags.ts";
import {
  addPlaceFlags,
  dryRunFlag,
  flagsBeside,
  flagsBut,
  flagsFor,
  importFlags,
  type PlaceFlags,
  runFlags,
  type SettingFlags,
} from "../setting-flags.ts";
import type { Settings } from "../settings.ts";

const examples = `
Examples:
  $ lowland finetune model.onnx --data photos
  $ lowland finetune detector.onnx --frozen 'backbone.*' --dimension height=64 --dimension width=64
  $ lowland finetune model.onnx --data photos --new-head --train last:2 --optimizer sam --rho 0.1 --out runs/tuned
  $ lowland finetune model.onnx --out runs/tuned --resume
  $ lowland finetune runs/photos --data holiday --train head
  $ lowland finetune runs/photos --data photos --quantize w4a4 --optimizer sam --out runs/small
  $ lowland finetune resnet18-imagenet --weights resnet18.safetensors --normalization imagenet --data photos --image-size 224
  $ lowland finetune resnet18-imagenet --weights resnet18.safetensors --normalization imagenet --data photos --layer-decay 0.7

The head, which is the last stage, is re-initialized if its number of classes differs from the data's, or if --new-head,
--classes or --head ask for it. Stages that --train leaves out keep their values, and their BatchNorm uses and keeps its
running statistics. Their output for an image is computed once, unless images are augmented (--flip, --crop, --cutout).
The run folder holds what train writes; its model.onnx is the whole network. With --quantize it computes in integers.`;

const defaults = { learningRate: 0.01, epochs: 5, batchSize: 32 };

/** The settings of a file's model. Its `batchNormalization` has none: that of the run's parameters overrides it. */
const fileFlags = flagsBut(importFlags, "batchNormalization");
/** The run's settings; the model is the argument. */
const settingFlags = flagsBut(runFlags, "model");
const weightsFlags = flagsBeside(flagsFor(settingFlags, "weights"), fileFlags);
const otherFlags = flagsBeside(flagsBut(settingFlags, "weights"), fileFlags);

/** `lowland finetune`: train a network on from its weights. */
export function finetuneCommand(command: Command): Command {
  addFlags(addPlaceFlags(command).addOption(dryRunFlag()), fileFlags);
  // A network by name does not start without them, so they have no default.
  addFlags(command, weightsFlags, "unknown");
  addFlags(command, otherFlags, defaults).addHelpText("after", examples);
  return command.action(async (text: string, flags: SettingFlags & PlaceFlags) => {
    const document = { ...defaults, ...(flags.config ? await readConfiguration(flags.config) : {}) };
    const source = await findStartingModel(text);
    const settings =
      "file" in source
        ? fileSettings(source.file, document, flags)
        : networkSettings(source.network, document, flags);
    const configuration = parseRun(await withStatedPictures(settings));
    const { trainAndPresent } = await import("../train-run.ts");
    process.exitCode = await trainAndPresent(configuration, flags);
  });
}

/** A flag that both a file and a network by name have a setting for sets that of the source. */
function fileSettings(file: string, document: Settings, flags: SettingFlags): Settings {
  const misplaced = firstGiven(weightsFlags, flags);
  if (misplaced !== undefined) {
    throw new UserError(`${file} has weights of its own; --${misplaced} is for networks by name`);
  }
  const earlier = isObject(document.model) ? document.model : {};
  const model = putFlags(importedModel, { ...earlier, file }, flags, fileFlags);
  return putFlags(runSchema, { ...document, model }, flags, otherFlags);
}

function networkSettings(model: string, document: Settings, flags: SettingFlags): Settings {
  const misplaced = firstGiven(flagsBeside(fileFlags, settingFlags), flags);
  if (misplaced !== undefined) {
    throw new UserError(
      `--${misplaced} is for ONNX files; ${model} is a network by name, which takes its options after a colon`,
    );
  }
  const { weights: given = {}, ...others } = document;
  const weights = typeof given === "string" ? { file: given } : given;
  const settings = putFlags(runSchema, { ...others, model, weights }, flags, settingFlags);
  if (!isObject(settings.weights)) return settings;
  if (settings.weights.file === undefined) {
    throw new UserError(
      `${model} needs weights to start from (--weights file.safetensors); lowland train --model ${model} trains it from the start`,
    );
  }
  return { ...settings, weights: { otherHead: true, ...settings.weights } };
}

/** The first of some flags that was given, as it was written. */
function firstGiven(flags: readonly Flag[], given: SettingFlags): string | undefined {
  const found = flags.find(({ name }) => given[camelCase(name)] !== undefined);
  return found && (given[camelCase(found.name)] === false ? `no-${found.name}` : found.name);
}
