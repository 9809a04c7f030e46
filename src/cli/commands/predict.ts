import { basename, extname, join } from "node:path";
import { type Command, InvalidArgumentError, Option } from "commander";
import { UserError } from "../../common/errors.ts";
import { replaceFile } from "../../common/files.ts";
import { encodePng } from "../../data/image-file.ts";
import type { DecodedImage } from "../../data/image-form.ts";
import { encodeIndices } from "../../data/png-indices.ts";
import type { Box } from "../../data/sets/coco-keypoints.ts";
import { readModelFile } from "../../import/load.ts";
import type { InPicture } from "../../model-files/picture-files.ts";
import { type PictureOptions, type PredictOptions, predictPictures } from "../../model-files/predict.ts";
import { maskPalette, predictMasks } from "../../model-files/predict-masks.ts";
import { type FoundJoint, predictPoses } from "../../model-files/predict-poses.ts";
import type { ModelProto } from "../../onnx/onnx_pb.ts";
import { makeFolder } from "../../runs/run-folder.ts";
import { findModel, importedModelOf, type TrainedModel } from "../../runs/trained-model.ts";
import type { TaskName } from "../../tasks/index.ts";
import { statedTask } from "../../tasks/model-metadata.ts";
import { addFileFlags } from "../measuring-options.ts";
import { printJson } from "../output.ts";
import { say, withProgress } from "../progress.ts";
import { settingsOf } from "../put-flags.ts";
import { fileSettings, type SettingFlags } from "../setting-flags.ts";
import { numberOption } from "../settings.ts";

const examples = `
Examples:
  $ lowland predict runs/photos holiday/*.jpg
  $ lowland predict classifier.onnx cat.png --top 1 --json
  $ lowland predict runs/poses person.jpg --out drawn
  $ lowland predict runs/scenes street.jpg --out drawn --fit pad
  $ lowland predict resnet18.onnx cat.png --normalization imagenet --image-size 224

A model for poses that Lowland trained draws a skeleton over each picture, which shows one person.
A model for segmentation, one that gives [batch, classes, height, width], writes each picture with the colors of its classes
over it, and the class numbers as a PNG mask with a palette, 255 where --fit crop cuts the picture off.

Pictures (JPEG, PNG, WebP, GIF, TIFF, AVIF) are scaled and cropped to the size that the model takes. A model that Lowland
wrote says how its pixels are scaled and what its classes are called.`;

interface PredictFlags extends SettingFlags {
  top?: number;
  imageSize?: [number, number];
  fit?: PredictOptions["fit"];
  box?: Box;
  out?: string;
  threads?: number;
  json?: boolean;
}

/** Flags that models for some tasks only take. */
const taskFlags = {
  top: ["classification"],
  imageSize: ["classification", "segmentation"],
  fit: ["classification", "segmentation"],
  box: ["pose"],
  out: ["segmentation", "pose"],
} as const satisfies Partial<Record<keyof PredictFlags, readonly TaskName[]>>;

/** `lowland predict`: what a run's model, or any ONNX classifier or segmentation network, sees in picture files. */
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
    .option(
      "--out <folder>",
      "for poses and segmentation: folder for what is drawn (default: NAME.poses, NAME.masks)",
    )
    .option("--threads <n>", "threads of one operator (default: one per core)", numberOption)
    .option("--json", "print the result as JSON and nothing else on standard output")
    .addHelpText("after", examples)
    .action(async (place: string, files: string[], flags: PredictFlags) => {
      const found = await findModel(place);
      const task = taskOf(await readModelFile(found.path));
      requireOwnFlags(place, task, flags);
      return predictors[task](found, files, flags);
    });
}

/** What is shown for models for each task that something is shown for. */
const predictors = {
  classification: nameClasses,
  segmentation: drawMasks,
  pose: drawPoses,
} as const satisfies Partial<
  Record<TaskName, (found: TrainedModel, files: string[], flags: PredictFlags) => Promise<void>>
>;

type PredictedTask = keyof typeof predictors;

/**
 * The task that a file states, or else the one that its output is for: maps are taken for those of classes. Models for other
 * tasks are refused as classifiers.
 */
function taskOf(model: ModelProto): PredictedTask {
  const stated = statedTask(model);
  if (stated !== undefined)
    return Object.hasOwn(predictors, stated) ? (stated as PredictedTask) : "classification";
  const type = model.graph?.output.length === 1 ? model.graph.output[0].type?.value : undefined;
  const axes = type?.case === "tensorType" ? (type.value.shape?.dim.length ?? 0) : 0;
  const last = type?.case === "tensorType" ? type.value.shape?.dim.at(-1)?.value : undefined;
  const isMap = axes === 4 && !(last?.case === "dimValue" && last.value === 1n);
  return isMap ? "segmentation" : "classification";
}

/** @throws UserError for a flag that has no meaning for a model */
function requireOwnFlags(place: string, task: PredictedTask, flags: PredictFlags): void {
  for (const [name, tasks] of Object.entries(taskFlags))
    if (flags[name as keyof typeof taskFlags] !== undefined && !(tasks as readonly TaskName[]).includes(task))
      throw new UserError(
        `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)} has no meaning for ${place}, which is a model for ${task}; leave it out`,
      );
}

/** How pictures are brought to a model, by what its run and the flags say. */
function pictureSettings(
  found: TrainedModel,
  { imageSize, fit, threads, ...flags }: PredictFlags,
): PictureOptions {
  const given = settingsOf(fileSettings, flags);
  const { output, dimensions } = { ...importedModelOf(found), ...given };
  const { normalization } = given;
  if (found.run && (found.run.format ?? 1) < 2 && normalization === undefined) {
    throw new UserError(
      `the run in ${found.run.folder} is from a version whose models do not say how their pixels are scaled; say it with --normalization, or train again`,
    );
  }
  return { ...{ normalization, output, dimensions, imageSize, fit, threads }, onNote: say };
}

/** The classes that a classifier sees. */
async function nameClasses(
  found: TrainedModel,
  files: readonly string[],
  flags: PredictFlags,
): Promise<void> {
  const { top, json } = flags;
  const options = { ...pictureSettings(found, flags), top };
  const predictions = await withProgress("pictures", (onProgress) =>
    predictPictures(found.path, files, { ...options, onProgress }),
  );
  tell(predictions, { model: found.path, json }, ({ classes }) =>
    classes.map(({ class: name, probability }) => `${name} ${(100 * probability).toFixed(1)} %`).join(", "),
  );
}

/** The class of each pixel, as colors over the pictures and as masks. */
async function drawMasks(found: TrainedModel, files: readonly string[], flags: PredictFlags): Promise<void> {
  const { out = `${found.name.replace(/\.onnx$/, "")}.masks`, json } = flags;
  const options = pictureSettings(found, flags);
  const predictions = await withProgress("pictures", (onProgress) =>
    predictMasks(found.path, files, { ...options, onProgress }),
  );
  const pictures = await drawn(predictions, out, async ({ classes, mask, drawn: picture }, path) => {
    const maskFile = `${path}-mask.png`;
    await replaceFile(maskFile, encodeIndices(mask, maskPalette(classes)));
    return { classes, picture: await writePicture(`${path}.png`, picture), mask: maskFile };
  });
  tell(pictures, { model: found.path, json }, ({ classes, picture, mask }) => {
    const shares = classes.map(
      ({ class: name, share, color }) => `${name} ${(100 * share).toFixed(1)} %${color ? ` (${color})` : ""}`,
    );
    return `${shares.join(", ")}; drawn in ${picture}, class numbers in ${mask}`;
  });
}

/** The joints that a model for poses sees, as skeletons over the pictures. */
async function drawPoses(
  { name, path: model }: TrainedModel,
  files: readonly string[],
  { box, out = `${name.replace(/\.onnx$/, "")}.poses`, threads, json }: PredictFlags,
): Promise<void> {
  const predictions = await withProgress("pictures", (onProgress) =>
    predictPoses(model, files, { box, threads, onProgress }),
  );
  const pictures = await drawn(predictions, out, async ({ joints, drawn: picture }, path) => ({
    ...{ joints, picture: await writePicture(`${path}.png`, picture) },
  }));
  tell(
    pictures,
    { model, json },
    ({ joints, picture }) => `drawn in ${picture}, mean score ${meanScore(joints).toFixed(2)}`,
  );
}

/**
 * Writes what is drawn of each picture into a folder.
 * @param write gets the path of a picture's files without their ends
 */
async function drawn<Found extends object, Written>(
  predictions: readonly InPicture<Found>[],
  out: string,
  write: (found: Found, path: string) => Promise<Written>,
): Promise<InPicture<Written>[]> {
  if (predictions.some((prediction) => !("error" in prediction))) await makeFolder(out);
  const written: InPicture<Written>[] = [];
  for (const [index, prediction] of predictions.entries()) {
    const { file } = prediction;
    if ("error" in prediction) written.push({ file, error: String(prediction.error) });
    // Files of several folders may have one name.
    else {
      const path = join(out, `${index + 1}-${basename(file, extname(file))}`);
      written.push({ file, ...(await write(prediction, path)) });
    }
  }
  return written;
}

async function writePicture(path: string, picture: DecodedImage): Promise<string> {
  await replaceFile(path, await encodePng(picture, Math.max(picture.height, picture.width)));
  return path;
}

/**
 * Prints a line for each picture, or all as JSON.
 * @throws UserError that counts the files that are no pictures, and names the first
 */
function tell<Found extends object>(
  pictures: readonly InPicture<Found>[],
  { model, json }: { model: string; json?: boolean },
  textOf: (found: Found) => string,
): void {
  if (json) printJson({ model, pictures });
  else
    for (const picture of pictures)
      process.stdout.write(
        "error" in picture
          ? `${picture.file}: not read (${picture.error})\n`
          : `${picture.file}: ${textOf(picture)}\n`,
      );
  const unread = pictures.filter((picture) => "error" in picture);
  if (unread.length === 0) return;
  const [{ file, error }] = unread;
  const others = unread.length > 1 ? `, and ${unread.length - 1} more` : "";
  throw new UserError(
    `${unread.length} of ${pictures.length} pictures cannot be read: ${file} (${error})${others}`,
  );
}

function meanScore(joints: readonly FoundJoint[]): number {
  return joints.reduce((sum, { score }) => sum + score, 0) / joints.length;
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
