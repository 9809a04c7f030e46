import { Command, InvalidArgumentError, Option } from "commander";
import { UserError } from "../../common/errors.ts";
import { type PicturePrediction, type PredictOptions, predictPictures } from "../../model-files/predict.ts";
import { findModel, importedModelOf } from "../../runs/trained-model.ts";
import { addFileFlags } from "../measuring-options.ts";
import { printJson } from "../output.ts";
import { say } from "../progress.ts";
import { settingsOf } from "../put-flags.ts";
import { fileSettings, type SettingFlags } from "../setting-flags.ts";
import { numberOption } from "../settings.ts";

const examples = `
Examples:
  $ lowland predict runs/photos holiday/*.jpg
  $ lowland predict classifier.onnx cat.png --top 1 --json
  $ lowland predict resnet18.onnx cat.png --normalization imagenet --image-size 224

Pictures (JPEG, PNG, WebP, GIF, TIFF, AVIF) are scaled and cropped to the size that the model takes. A model that Lowland
wrote says how its pixels are scaled and what its classes are called.`;

interface PredictFlags extends SettingFlags {
  top?: number;
  imageSize?: [number, number];
  fit?: PredictOptions["fit"];
  threads?: number;
  json?: boolean;
}

/** `lowland predict`: what a run's model, or any ONNX classifier, sees in picture files. */
export function predictCommand(): Command {
  const command = new Command("predict")
    .description("say what a run's model, or any ONNX classifier, sees in pictures")
    .argument("<run or model>", "a run folder, or an ONNX file")
    .argument("<pictures...>", "picture files")
    .option(
      "--top <n>",
      "classes to name for each picture, the most probable first (default: 5)",
      numberOption,
    )
    .option(
      "--image-size <size>",
      "size of the model's images where its file leaves it open: 224, or 192x256",
      sizeOption,
    )
    .addOption(
      new Option(
        "--fit <how>",
        "how pictures become images of that size (default: as in training, or crop)",
      ).choices(["crop", "stretch", "pad"]),
    );
  return addFileFlags(command)
    .option("--threads <n>", "threads of one operator (default: one per core)", numberOption)
    .option("--json", "print the result as JSON and nothing else on standard output")
    .addHelpText("after", examples)
    .action(async (place: string, files: string[], flags: PredictFlags) => {
      const found = await findModel(place);
      const given = settingsOf(fileSettings, flags);
      const { output, dimensions } = { ...importedModelOf(found), ...given };
      const { normalization } = given;
      if (found.run && (found.run.format ?? 1) < 2 && normalization === undefined) {
        throw new UserError(
          `the run in ${place} is from a version whose models do not say how their pixels are scaled; say it with --normalization, or train again`,
        );
      }
      const { top, imageSize, fit, threads } = flags;
      const predictions = await predictPictures(found.path, files, {
        ...{ normalization, output, dimensions, top, imageSize, fit, threads },
        onNote: say,
      });
      if (flags.json) printJson({ model: found.path, pictures: predictions });
      else for (const prediction of predictions) process.stdout.write(line(prediction));
      const unread = predictions.filter((prediction) => "error" in prediction);
      if (unread.length > 0) {
        const [{ file, error }] = unread;
        const others = unread.length > 1 ? `, and ${unread.length - 1} more` : "";
        throw new UserError(
          `${unread.length} of ${files.length} pictures cannot be read: ${file} (${error})${others}`,
        );
      }
    });
}

function line(prediction: PicturePrediction): string {
  if ("error" in prediction) return `${prediction.file}: not read (${prediction.error})\n`;
  const classes = prediction.classes.map(
    ({ class: name, probability }) => `${name} ${(100 * probability).toFixed(1)} %`,
  );
  return `${prediction.file}: ${classes.join(", ")}\n`;
}

function sizeOption(text: string): [number, number] {
  const [, height, width = height] = /^(\d+)(?:x(\d+))?$/.exec(text) ?? [];
  if (height === undefined || Number(height) < 1 || Number(width) < 1)
    throw new InvalidArgumentError("It has to be a size such as 224, or height and width such as 192x256.");
  return [Number(height), Number(width)];
}
