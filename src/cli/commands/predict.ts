import { basename, extname, join } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { UserError } from "../../common/errors.ts";
import { replaceFile } from "../../common/files.ts";
import { encodePng } from "../../data/image-file.ts";
import type { Box } from "../../data/sets/coco-keypoints.ts";
import { readModelFile } from "../../import/load.ts";
import { type PicturePrediction, type PredictOptions, predictPictures } from "../../model-files/predict.ts";
import { type FoundJoint, type PosePrediction, predictPoses } from "../../model-files/predict-poses.ts";
import { makeFolder } from "../../runs/run-folder.ts";
import { findModel, importedModelOf, type TrainedModel } from "../../runs/trained-model.ts";
import { statedTask } from "../../tasks/model-metadata.ts";
import { pose } from "../../tasks/pose/pose.ts";
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
  $ lowland predict runs/poses person.jpg --out drawn
  $ lowland predict resnet18.onnx cat.png --normalization imagenet --image-size 224

A model for poses that Lowland trained draws a skeleton over each picture, which shows one person.

Pictures (JPEG, PNG, WebP, GIF, TIFF, AVIF) are scaled and cropped to the size that the model takes. A model that Lowland
wrote says how its pixels are scaled and what its classes are called.`;

interface PredictFlags extends SettingFlags {
  top?: number;
  imageSize?: [number, number];
  fit?: PredictOptions["fit"];
  /** Of models for poses. */
  box?: Box;
  out?: string;
  threads?: number;
  json?: boolean;
}

/** `lowland predict`: what a run's model, or any ONNX classifier, sees in picture files. */
export function predictCommand(command: Command): Command {
  command
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
    .option(
      "--box <x,y,w,h>",
      "for poses: where the person is, in pixels (default: all of each picture)",
      boxOption,
    )
    .option("--out <folder>", "for poses: folder for the pictures with skeletons (default: NAME.poses)")
    .option("--threads <n>", "threads of one operator (default: one per core)", numberOption)
    .option("--json", "print the result as JSON and nothing else on standard output")
    .addHelpText("after", examples)
    .action(async (place: string, files: string[], flags: PredictFlags) => {
      const found = await findModel(place);
      if (statedTask(await readModelFile(found.path)) === pose.name) return drawPoses(found, files, flags);
      const meaningless = (["out", "box"] as const).find((name) => flags[name] !== undefined);
      if (meaningless)
        throw new UserError(
          `--${meaningless} has no meaning for ${place}, which is no model for poses; leave it out`,
        );
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
      requireRead(predictions);
    });
}

/** The joints that a model for poses sees, as skeletons over the pictures. */
async function drawPoses(
  { name, path }: TrainedModel,
  files: readonly string[],
  { box, out = `${name.replace(/\.onnx$/, "")}.poses`, threads, json }: PredictFlags,
): Promise<void> {
  const predictions = await predictPoses(path, files, { box, threads });
  await makeFolder(out);
  const pictures = [];
  for (const [index, prediction] of predictions.entries()) {
    if ("error" in prediction) {
      pictures.push(prediction);
      continue;
    }
    const { file, joints, drawn } = prediction;
    // Files of several folders may have one name.
    const picture = join(out, `${index + 1}-${basename(file, extname(file))}.png`);
    await replaceFile(picture, await encodePng(drawn, Math.max(drawn.height, drawn.width)));
    pictures.push({ file, joints, picture });
  }
  if (json) printJson({ model: path, pictures });
  else
    for (const told of pictures)
      process.stdout.write(
        "error" in told
          ? `${told.file}: not read (${told.error})\n`
          : `${told.file}: drawn in ${told.picture}, mean score ${meanScore(told.joints).toFixed(2)}\n`,
      );
  requireRead(predictions);
}

function meanScore(joints: readonly FoundJoint[]): number {
  return joints.reduce((sum, { score }) => sum + score, 0) / joints.length;
}

/** @throws UserError that counts the files that are no pictures, and names the first */
function requireRead(predictions: readonly (PicturePrediction | PosePrediction)[]): void {
  const unread = predictions.filter((prediction) => "error" in prediction);
  if (unread.length === 0) return;
  const [{ file, error }] = unread;
  const others = unread.length > 1 ? `, and ${unread.length - 1} more` : "";
  throw new UserError(
    `${unread.length} of ${predictions.length} pictures cannot be read: ${file} (${error})${others}`,
  );
}

function line(prediction: PicturePrediction): string {
  if ("error" in prediction) return `${prediction.file}: not read (${prediction.error})\n`;
  const classes = prediction.classes.map(
    ({ class: name, probability }) => `${name} ${(100 * probability).toFixed(1)} %`,
  );
  return `${prediction.file}: ${classes.join(", ")}\n`;
}

function boxOption(text: string): Box {
  const [left, top, width, height, ...more] = text
    .split(",")
    .map((part) => (part === "" ? Number.NaN : Number(part)));
  if (more.length > 0 || ![left, top, width, height].every(Number.isFinite) || !(width > 0 && height > 0))
    throw new InvalidArgumentError(
      "It has to be left, top, width and height in pixels, such as 10,20,80,160.",
    );
  return [left, top, width, height];
}

function sizeOption(text: string): [number, number] {
  const [, height, width = height] = /^(\d+)(?:x(\d+))?$/.exec(text) ?? [];
  if (height === undefined || Number(height) < 1 || Number(width) < 1)
    throw new InvalidArgumentError("It has to be a size such as 224, or height and width such as 192x256.");
  return [Number(height), Number(width)];
}
