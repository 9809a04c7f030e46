import { stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { UserError } from "../../common/errors.ts";
import { replaceFile } from "../../common/files.ts";
import { randomStream } from "../../common/random.ts";
import { selected } from "../../data/source.ts";
import { openTaskOf } from "../../measure/measured-model.ts";
import { evaluateFile } from "../../model-files/evaluate.ts";
import { type LayerSensitivity, layersWithin, sensitivities } from "../../model-files/layer-choice.ts";
import { effectNumbers, quantizationEffect } from "../../model-files/quantization-effect.ts";
import { FileQuantizer, type QuantizeFileOptions } from "../../model-files/quantize.ts";
import { activationMethods } from "../../quantization/activation-ranges.ts";
import { type LayerChoices, layerChoiceOf } from "../../quantization/choices.ts";
import { weightRanges } from "../../quantization/quantize.ts";
import { weightMethods } from "../../quantization/weight-scales.ts";
import { quantizationText, sensitivityText } from "../../report/quantization.ts";
import { writeQuantizationPage } from "../../report/quantization-page.ts";
import type { QuantizationRecord } from "../../report/quantization-record.ts";
import { findModel, importedModelOf, type TrainedModel } from "../../runs/trained-model.ts";
import { integersSaturate } from "../../runtime/saturation.ts";
import type { DataPair, TaskKind } from "../../tasks/task.ts";
import { addDataFlags, addFileFlags, loadNamedData } from "../measuring-options.ts";
import { outputStyle, printJson } from "../output.ts";
import { say, withProgress } from "../progress.ts";
import { settingsOf } from "../put-flags.ts";
import { fileSettings, type SettingFlags } from "../setting-flags.ts";
import { numberOption } from "../settings.ts";

const examples = `
Examples:
  $ lowland quantize runs/mine
  $ lowland quantize classifier.onnx --data photos --weight-range 7bit
  $ lowland quantize runs/mine --weights 4 --activations 8 --layer 'layer1*=8' --correct-biases
  $ lowland quantize runs/mine --weights 4 --activations 4 --max-drop 0.5

Ranges are measured on training examples, and what is lost on the test set. The first and the last layer have 8 bits unless
--layer says otherwise. A layer has the name of its weights: conv1 has conv1.weight. A layer takes the bits given for its own
name, or else for the last pattern that fits. ONNX Runtime computes with 8-bit integers: fewer bits are fewer values, stored
in bytes. A model loses little at 8 bits; at 4 bits and fewer, training it on as integers loses less (lowland finetune RUN
--quantize w4a4).`;

interface QuantizeFlags extends SettingFlags {
  data?: string;
  dataDir?: string;
  weights: number;
  activations: number;
  layer?: LayerChoices;
  weightRange: QuantizeFileOptions["weightRange"];
  weightMethod: QuantizeFileOptions["weightMethod"];
  activationMethod: QuantizeFileOptions["activationMethod"];
  percentile: number;
  perChannel: boolean;
  equalize?: boolean;
  correctBiases?: boolean;
  calibration: number;
  sensitivity?: boolean;
  maxDrop?: number;
  seed: number;
  threads?: number;
  out?: string;
  overwrite?: boolean;
  json?: boolean;
}

/** `lowland quantize`: a trained file to one of small integers. */
export function quantizeCommand(command: Command): Command {
  addDataFlags(command)
    .optionsGroup("Integers:")
    .option(
      "--weights <bits>",
      "bits of weights, 2 to 8; the first and the last layer have 8",
      numberOption,
      8,
    )
    .option(
      "--activations <bits>",
      "bits of what layers read, 2 to 8; of the first and the last layer 8",
      numberOption,
      8,
    )
    .option(
      "--layer <pattern=bits>",
      "layers that differ: conv1=8, 'layer4.*=w4a8', fc=float (can be repeated)",
      layerOption,
    )
    .addOption(
      new Option("--weight-range <range>", "7bit: weights of 8 bits within ±63, exact in every kernel")
        .choices(weightRanges)
        .default("8bit"),
    )
    .addOption(
      new Option("--weight-method <name>", "how the scale of weights is chosen")
        .choices(weightMethods)
        .default("min-max"),
    )
    .addOption(
      new Option("--activation-method <name>", "how the range of activations is chosen")
        .choices(activationMethods)
        .default("min-max"),
    )
    .option(
      "--percentile <p>",
      "for the methods of that name: values beyond it are cut off",
      numberOption,
      99.99,
    )
    .option("--no-per-channel", "one scale for all of a layer's weights")
    .option(
      "--equalize",
      "equalize the ranges of the channels between two layers, for depthwise convolutions above all",
    )
    .option(
      "--correct-biases",
      "correct the shift of the mean that rounding causes, for 6 bits and fewer above all",
    )
    .option("--calibration <n>", "training examples that ranges are measured on", numberOption, 256)
    .option("--sensitivity", "print what each layer costs alone, on up to 1,000 further training examples")
    .option(
      "--max-drop <points>",
      "keep the most sensitive layers at 8 bits, or as float, until the first metric drops by at most this on those examples",
      numberOption,
    );
  return addFileFlags(command)
    .optionsGroup("Options:")
    .option("--seed <n>", "decides which training examples", numberOption, 1)
    .option("--threads <n>", "threads of one operator (default: one per core)", numberOption)
    .option(
      "--out <file>",
      "the file to write, with a report page beside it (default: model.w8a8.onnx beside the model)",
    )
    .option("--overwrite", "replace the file if it exists")
    .option("--json", "print the result as JSON and nothing else on standard output")
    .addHelpText("after", examples)
    .action(quantize);
}

async function quantize(place: string, flags: QuantizeFlags): Promise<void> {
  if (flags.maxDrop !== undefined && !(flags.maxDrop >= 0))
    throw new UserError(`--max-drop is ${flags.maxDrop}; choose 0 or more points`);
  const found = await findModel(place);
  const out = flags.out ?? found.path.replace(/(\.onnx)?$/, `.w${flags.weights}a${flags.activations}.onnx`);
  if (resolve(out) === resolve(found.path))
    throw new UserError(`${out} is the model itself; name another file with --out`);
  if (!(await stat(dirname(out)).catch(() => undefined))?.isDirectory())
    throw new UserError(`${dirname(out)} is not a folder; make it, or name another file with --out`);
  if (!flags.overwrite && (await stat(out).catch(() => undefined)))
    throw new UserError(
      `${out} exists already; replace it with --overwrite, or name another file with --out`,
    );
  const { name, data, kind } = await loadNamedData(found, flags);
  const { opened } = await openTaskOf(found, data, { kind });
  for (const note of opened.notes ?? []) say(note);
  const file = { ...importedModelOf(found), ...settingsOf(fileSettings, flags) };
  const { normalization, output, dimensions } = file;
  const options = { normalization, output, dimensions, threads: flags.threads };
  const quantizer = await FileQuantizer.open(found.path, opened, { ...flags, ...options, onNote: say });
  try {
    let layers = flags.layer;
    let order: LayerSensitivity[] | undefined;
    if (flags.sensitivity || flags.maxDrop !== undefined) {
      const settings = withoutEvaluationSettings(found, kind);
      const { opened: held } = await openTaskOf(found, heldOut(data, flags), { settings, kind });
      const measure = (model: string | Uint8Array) =>
        evaluateFile(model, held, { ...options, name: "the model" });
      const choosing = { quantizer, measure, float: await measure(found.path), leading: kind.metrics[0] };
      const measured = await withProgress("sensitivity of layers", (onProgress) =>
        sensitivities({ ...choosing, onProgress }),
      );
      order = measured;
      if (flags.maxDrop !== undefined) {
        const most = flags.maxDrop / (kind.metrics[0].unit === "%" ? 100 : 1);
        const chosen = await withProgress("choice of layers", (onProgress) =>
          layersWithin(most, measured, { ...choosing, given: layers, onProgress }),
        );
        if (!chosen)
          throw new UserError(
            `the drop exceeds ${flags.maxDrop} even where every layer but the least sensitive is float or as --layer says; allow more (--max-drop) or use more bits`,
          );
        layers = chosen.choices;
      }
    }
    const { bytes, ...made } = await quantizer.quantize(layers);
    const effect = await withProgress("float and quantized network", (onProgress) =>
      quantizationEffect(found.path, bytes, opened, { ...options, onProgress }),
    );
    await replaceFile(out, bytes);
    const size = { float: (await stat(found.path)).size, quantized: bytes.length };
    const saturates = await integersSaturate();
    const record: QuantizationRecord = {
      ...{ model: found.path, quantized: out, data: name, task: kind.name, size, saturates, ...made },
      ...(order && { sensitivity: order }),
      ...effectNumbers(effect),
    };
    const page = `${out.replace(/\.onnx$/, "")}.html`;
    await writeQuantizationPage(page, record, kind);
    if (flags.json) printJson(record);
    else {
      const style = outputStyle();
      if (order) process.stdout.write(`${sensitivityText(order, kind.metrics[0], style)}\n\n`);
      process.stdout.write(`${quantizationText(record, kind, style)}\nReport: ${page}\n`);
    }
    if (saturates && made.layers.some(({ bits }) => bits?.weights === 8) && flags.weightRange === "8bit")
      say(
        "This processor's fastest kernels saturate for weights of 8 bits; Lowland runs exact ones. For files that run elsewhere use --weight-range 7bit.",
      );
  } finally {
    await quantizer.close();
  }
}

/** Training examples as the test part: up to 1,000, none of those that ranges are measured on where there are enough. */
function heldOut(data: DataPair, { calibration, seed }: QuantizeFlags): DataPair {
  const order = randomStream(seed, "calibration").permutation(data.train.count);
  const start = Math.max(0, Math.min(calibration, data.train.count - 1000));
  return { ...data, test: selected(data.train, order.subarray(start, start + 1000)) };
}

/** Settings of the run's task without those of evaluation alone: a file of detected boxes is of the test pictures. */
function withoutEvaluationSettings(
  { run }: TrainedModel,
  { evaluationSettings: paths = [] }: TaskKind,
): Record<string, unknown> {
  const groups = new Set(paths.map((path) => path.split(".")[0]));
  const document: Record<string, unknown> = { ...run?.configuration };
  return Object.fromEntries(
    Array.from(groups, (group) => [
      group,
      Object.fromEntries(
        Object.entries(document[group] ?? {}).filter(([name]) => !paths.includes(`${group}.${name}`)),
      ),
    ]),
  );
}

/** A choice of layers beside earlier ones. */
function layerOption(text: string, earlier: LayerChoices = {}): LayerChoices {
  const choice = layerChoiceOf(text);
  if (!choice)
    throw new InvalidArgumentError(
      "It has to be a pattern and bits, as in conv1=8, conv1=w4a8 or conv1=float.",
    );
  return { ...earlier, ...choice };
}
