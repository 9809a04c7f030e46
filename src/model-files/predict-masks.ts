import { decodeImage } from "#image-file";
import { openEngine } from "#platform";
import { UserError } from "../common/errors.ts";
import { readOptions } from "../common/options.ts";
import type { DecodedImage, ImageForm } from "../data/image-form.ts";
import { type ImageMasks, ignoredClass } from "../data/masks.ts";
import { readModelFile } from "../import/load.ts";
import type { TensorData } from "../onnx/tensor.ts";
import type { TaskData } from "../runs/model-file.ts";
import { statedClasses, statedTask } from "../tasks/model-metadata.ts";
import { pictureForm } from "../tasks/picture-form.ts";
import { classColors, colorText } from "../tasks/segmentation/class-colors.ts";
import { segmentationTask } from "../tasks/segmentation/mask-task.ts";
import { withClasses } from "../tasks/segmentation/overlay.ts";
import { type InPicture, loadForPictures, overPictures } from "./picture-files.ts";
import { type PictureOptions, pictureOptions, requireOwnScale } from "./predict.ts";

/** The kind of problem that these models are for. */
const taskName = "segmentation";

/** A class that a model sees in a picture. */
export interface ClassShare {
  /** Its name, or its number where the model does not say names. */
  class: string;
  /** Its place in the model's output, and the value of its pixels in the mask. */
  index: number;
  /** Of the pixels that the model sees. */
  share: number;
  /** What it is painted with, as `#rrggbb`; `null`: it is left as it is. */
  color: string | null;
}

/** The palette of a mask's PNG file: the colors of classes, and of 255. */
export function maskPalette(classes: readonly ClassShare[]): Uint8Array {
  const palette = new Uint8Array(768);
  palette.set(ignoredColor, 3 * ignoredClass);
  for (const { index, color } of classes)
    if (color)
      palette.set(
        [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16)),
        3 * index,
      );
  return palette;
}

/** As in Pascal VOC's palette. */
const ignoredColor = [224, 224, 192];

/** The class of each pixel of a picture. */
export interface PictureMask {
  height: number;
  width: number;
  /** [height, width]: class numbers, and 255 for what the model does not see. */
  data: Uint8Array;
}

/** What a model sees in a picture file, or why the file cannot be read. */
export type MaskPrediction = InPicture<{
  /** Those with pixels, the largest first. */
  classes: readonly ClassShare[];
  mask: PictureMask;
  /** The picture with the colors of its classes over it. */
  drawn: DecodedImage;
}>;

/** Pictures that are decoded at a time, at their own size. */
const batchSize = 4;

/**
 * The class of each pixel of picture files, by an ONNX network that gives a map for each class. Pictures are decoded to
 * the size and channels that it takes, as `predictPictures` does; its maps are then scaled (linear) to each picture's
 * own size before the largest decides. A file that is not a picture has the reason in its place.
 *
 * @param model path of the file, or its bytes
 * @throws UserError if it is no ONNX model, gives no maps of classes, or leaves the size of its images open
 */
export async function predictMasks(
  model: string | Uint8Array,
  files: readonly string[],
  options: PictureOptions = {},
): Promise<MaskPrediction[]> {
  readOptions("predictMasks", options, pictureOptions);
  const { name = typeof model === "string" ? model : "the model", threads, onProgress } = options;
  requireOwnScale(options);
  const proto = await readModelFile(model, name);
  const task = statedTask(proto) ?? taskName;
  if (task !== taskName)
    throw new UserError(`${name} is a model for ${task}; predictMasks takes models for ${taskName}`);
  const form = pictureForm(proto, options);
  const names = options.classNames ?? statedClasses(proto);
  const engine = openEngine({ threads });
  try {
    const data = formAsData(form);
    const { valuesOf } = await loadForPictures(engine, model, proto, { ...options, data, form, name });
    return await overPictures(files, {
      ...{ atOnce: batchSize, onProgress },
      read: async (file) => ({ own: await decodeImage(file), taken: await decodeImage(file, form) }),
      look: async (pictures) => {
        const found: ReturnType<typeof seenIn>[] = [];
        for await (const { values, pictures: count } of valuesOf(pictures.map(({ taken }) => taken)))
          for (let index = 0; index < count; index++) {
            const { own } = pictures[found.length];
            found.push(seenIn(own, mapsOf(values, index), form, names));
          }
        return found;
      },
    });
  } finally {
    await engine.close();
  }
}

/** A map for each class. */
interface Maps {
  classes: number;
  height: number;
  width: number;
  /** [classes, height, width] */
  data: Float32Array;
}

function mapsOf({ shape, data }: TensorData, index: number): Maps {
  const [, classes, height, width] = shape;
  if (shape.length !== 4 || classes < 2 || classes > ignoredClass)
    throw new UserError(
      `the model gives [${shape.join(", ")}]; a model for segmentation gives [batch, classes, height, width] with 2 to ${ignoredClass} classes`,
    );
  const size = classes * height * width;
  return { classes, height, width, data: (data as Float32Array).subarray(index * size, (index + 1) * size) };
}

function seenIn(picture: DecodedImage, maps: Maps, form: ImageForm, names: readonly string[] | undefined) {
  const { height, width } = picture;
  const data = largestAt(maps, form, picture);
  const pixels = new Float64Array(256);
  for (const value of data) pixels[value]++;
  const seen = data.length - pixels[ignoredClass];
  const classNames = Array.from({ length: maps.classes }, (_, index) => names?.[index] ?? String(index));
  const colors = classColors(classNames);
  const classes = classNames.map((own, index): ClassShare => {
    const color = colors[index];
    return { class: own, index, share: pixels[index] / seen, color: color ? colorText(color) : null };
  });
  return {
    classes: classes.filter(({ share }) => share > 0).sort((a, b) => b.share - a.share || a.index - b.index),
    mask: { height, width, data },
    drawn: withClasses(picture, data, colors),
  };
}

/** The class with the largest value at each pixel of a picture, whose maps are of the picture in a form. */
function largestAt(
  { classes, height, width, data }: Maps,
  form: ImageForm,
  picture: DecodedImage,
): Uint8Array {
  const scale = scalesOf(form, picture);
  const rows = places(picture.height, { form: form.height, maps: height, scale: scale.rows });
  const columns = places(picture.width, { form: form.width, maps: width, scale: scale.columns });
  const plane = height * width;
  const result = new Uint8Array(picture.height * picture.width).fill(ignoredClass);
  for (const [y, row] of rows.entries()) {
    if (!row) continue;
    for (const [x, column] of columns.entries()) {
      if (!column) continue;
      const corners = [row.low * width, row.high * width].flatMap((start) => [
        start + column.low,
        start + column.high,
      ]);
      const [top, bottom] = [1 - row.share, row.share];
      const [left, right] = [1 - column.share, column.share];
      let [largest, best] = [Number.NEGATIVE_INFINITY, 0];
      for (let own = 0, at = 0; own < classes; own++, at += plane) {
        const value =
          top * (left * data[at + corners[0]] + right * data[at + corners[1]]) +
          bottom * (left * data[at + corners[2]] + right * data[at + corners[3]]);
        if (value > largest) [largest, best] = [value, own];
      }
      result[y * picture.width + x] = best;
    }
  }
  return result;
}

/** Pixels of the form for a pixel of the picture, along each axis. */
function scalesOf(
  { height, width, fit }: ImageForm,
  picture: DecodedImage,
): { rows: number; columns: number } {
  const [rows, columns] = [height / picture.height, width / picture.width];
  if (fit === "stretch") return { rows, columns };
  const both = fit === "crop" ? Math.max(rows, columns) : Math.min(rows, columns);
  return { rows: both, columns: both };
}

/**
 * Where the centers of a picture's pixels lie between those of maps along an axis; nothing outside the form.
 * @param form its pixels
 * @param maps elements of the maps
 * @param scale pixels of the form for a pixel of the picture
 */
function places(count: number, { form, maps, scale }: { form: number; maps: number; scale: number }) {
  const start = (form - count * scale) / 2;
  return Array.from({ length: count }, (_, pixel) => {
    const inForm = start + (pixel + 0.5) * scale;
    if (inForm < 0 || inForm > form) return undefined;
    const at = Math.min(maps - 1, Math.max(0, (inForm * maps) / form - 0.5));
    const low = Math.floor(at);
    return { low, high: Math.min(maps - 1, low + 1), share: at - low };
  });
}

/** Pictures of a form with masks, as far as opening a file asks for data. */
function formAsData({ channels, height, width }: ImageForm): TaskData {
  const train: ImageMasks = {
    ...{ name: "pictures", fingerprint: "pictures", count: batchSize, channels, height, width },
    // Any number of classes will do; masks are not read.
    ...{ classNames: ["", ""], classShare: 1, maximum: 255 },
    mean: new Array<number>(channels).fill(0),
    deviation: new Array<number>(channels).fill(1),
    read: () => ({
      image: {
        type: "uint8",
        shape: [channels, height, width],
        data: new Uint8Array(channels * height * width),
      },
      mask: { type: "uint8", shape: [height, width], data: new Uint8Array(height * width) },
    }),
  };
  return { task: segmentationTask(train), train };
}
