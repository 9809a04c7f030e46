import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { UserError } from "../../common/errors.ts";
import { fileError } from "../../common/files.ts";
import { type DecodedImage, decodeImage, UnreadableImage } from "../image-file.ts";
import { KeptSamples } from "../kept-samples.ts";
import { measuredPersonsOf, type PersonSample, type Persons } from "../persons.ts";
import { type CocoPart, readCocoFolder } from "./coco-folder.ts";
import {
  type Box,
  type CocoKeypoints,
  type CocoPerson,
  requirePictureSize,
  type TrainingPersons,
} from "./coco-keypoints.ts";
import { type DetectedBox, readDetectedBoxes } from "./coco-results.ts";

// Persons of a folder in COCO's format as samples: of each the part of its picture around its box.

/** How much of a picture is kept around a person: a square of so many times the longer side of the box. */
const enlargement = 2;

/** How much larger than the box the part is that networks see, as far as it matters for the resolution that is kept. */
const seen = 1.25;

export interface CocoPersonsOptions {
  /** Height of the network's input: parts are shrunk by a whole factor while they stay as large. Default 64. */
  size?: number;
  /** Gets a sentence for what is unusual in the annotations, and one for persons that are left out. */
  log?: (line: string) => void;
}

/**
 * The persons of a folder that there are to train and to test on. Pictures are decoded when a person of theirs is first
 * read, without applying the EXIF orientation.
 * @throws UserError naming the folder or file that cannot be used (`readCocoFolder`); reading throws one for a picture
 *   that is damaged or has another size than the annotations say
 */
export async function loadCocoPersons(
  folder: string,
  { size = 64, log = () => {} }: CocoPersonsOptions = {},
): Promise<Record<"train" | "test", Persons>> {
  const { train, test } = await readCocoFolder(folder);
  for (const { keypoints, training } of [train, test]) {
    for (const warning of keypoints.warnings) log(warning);
    const left = leftOutOf(training);
    if (left !== undefined) log(`${keypoints.name}: ${left}`);
  }
  const [training, testing] = [train, test].map((part) => readerOf(part, part.training.persons, size));
  const statistics = await measuredPersonsOf({ count: train.training.persons.length, read: training });
  const part = (coco: CocoPart, read: Persons["read"]): Persons => {
    const { keypoints } = coco;
    const { joints, limbs, pictures, category, persons } = keypoints;
    const of = (cut: readonly CocoPerson[]) => ({
      ...{ name: folder, count: cut.length, size, joints, limbs, ...statistics },
      annotated: { category: category.id, pictures: pictures.map(({ id }) => id), persons },
      fingerprint: createHash("sha256")
        .update(JSON.stringify([size, joints, pictures, cut]))
        .digest("hex")
        .slice(0, 32),
    });
    return {
      ...of(coco.training.persons),
      read,
      withBoxes: (file) => {
        const boxes = detectedBoxes(file, keypoints);
        const cut = boxes.map((found) => unlabelled(found, joints.length));
        return { ...of(cut), read: readerOf(coco, cut, size), scores: boxes.map(({ score }) => score) };
      },
    };
  };
  return { train: part(train, training), test: part(test, testing) };
}

/** @throws UserError for a file that cannot be read, and one without boxes of the category */
function detectedBoxes(file: string, keypoints: CocoKeypoints): DetectedBox[] {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") throw new UserError(`there is no file ${file}`);
    throw fileError(error, `${file} could not be read`);
  }
  const boxes = readDetectedBoxes(text, file, keypoints);
  if (boxes.length > 0) return boxes;
  const { id, name } = keypoints.category;
  throw new UserError(`${file} has no box of the category ${id} (${name}); name the results of a detector`);
}

/** A box as SimpleBaseline takes those of a detector: not cut to its picture. */
function unlabelled({ image, box }: DetectedBox, joints: number): CocoPerson {
  return {
    ...{ image, box, labelled: 0, isCrowd: false, area: box[2] * box[3] },
    keypoints: new Array(3 * joints).fill(0),
  };
}

function leftOutOf({ leftOut }: TrainingPersons): string | undefined {
  const reasons = Object.entries(leftOut).filter(([, count]) => count > 0);
  if (reasons.length === 0) return undefined;
  return `persons that are left out: ${reasons.map(([reason, count]) => `${count} (${reason})`).join(", ")}`;
}

/** Reads persons by index; those of one picture are cut out together. */
function readerOf(
  { keypoints: { pictures, name }, pictures: folder }: CocoPart,
  persons: readonly CocoPerson[],
  size: number,
): (index: number) => PersonSample | Promise<PersonSample> {
  const kept = new KeptSamples<PersonSample>();
  const numbers = new Map(pictures.map(({ id }, number) => [id, number]));
  const numberOf = ({ image }: CocoPerson) => numbers.get(image) ?? 0;
  const together = new Map<number, number[]>();
  for (const [index, person] of persons.entries()) {
    const number = numberOf(person);
    together.set(number, [...(together.get(number) ?? []), index]);
  }
  const decoded = async (index: number): Promise<PersonSample> => {
    const number = numberOf(persons[index]);
    const path = join(folder, pictures[number].file);
    const picture = await decodeImage(path, { orientation: "ignore" }).catch((error) => {
      if (error instanceof UnreadableImage) throw new UserError(`${path} cannot be read: ${error.message}`);
      throw fileError(error, `${path} could not be read`);
    });
    requirePictureSize(pictures[number], picture, name);
    for (const other of together.get(number) ?? [])
      kept.keep(other, personOf(persons[other], picture, number, size));
    return kept.get(index) ?? personOf(persons[index], picture, number, size);
  };
  return (index) => kept.get(index) ?? decoded(index);
}

function personOf(person: CocoPerson, picture: DecodedImage, number: number, size: number): PersonSample {
  const [left, top, width, height] = person.box;
  const { image, place } = partAround(picture, person.box, size);
  const [first, above, factor] = place.data;
  const inPart = (value: number, start: number) => (value - start + 0.5) / factor - 0.5;
  const joints = person.keypoints.length / 3;
  const keypoints = Float32Array.from(person.keypoints, (value, at) => {
    const visibility = person.keypoints[at - (at % 3) + 2];
    if (visibility === 0 || at % 3 === 2) return visibility;
    return inPart(value, at % 3 === 0 ? first : above);
  });
  const box = [inPart(left, first), inPart(top, above), width / factor, height / factor];
  return {
    ...{ image, place },
    keypoints: { type: "float32", shape: [joints, 3], data: keypoints },
    box: { type: "float32", shape: [4], data: Float32Array.from(box) },
    area: { type: "float32", shape: [], data: Float32Array.of(person.area / factor ** 2) },
    picture: { type: "int32", shape: [], data: Int32Array.of(number) },
  };
}

/**
 * The part of a picture around a box, shrunk by the largest whole factor that keeps the resolution.
 * @param size height of the network's input
 */
export function partAround(
  picture: DecodedImage,
  [left, top, width, height]: Box,
  size: number,
): Pick<PersonSample, "image" | "place"> {
  const longer = Math.max(width, height);
  const factor = Math.max(1, Math.floor((seen * longer) / size));
  const half = (enlargement * longer) / 2;
  const [x, y] = [left + width / 2, top + height / 2];
  // A box may lie outside the picture: then a pixel of its border is left.
  const first = within(Math.floor(x - half), picture.width);
  const above = within(Math.floor(y - half), picture.height);
  const columns = Math.max(
    1,
    Math.floor((Math.min(picture.width, Math.ceil(x + half) + 1) - first) / factor),
  );
  const rows = Math.max(1, Math.floor((Math.min(picture.height, Math.ceil(y + half) + 1) - above) / factor));
  const data = shrunk(picture, { first, above, rows, columns, factor });
  return {
    image: { type: "uint8", shape: [picture.channels, rows, columns], data },
    place: { type: "float32", shape: [3], data: Float32Array.of(first, above, factor) },
  };
}

/** The pixel of a line that is next to a place. */
function within(place: number, length: number): number {
  return Math.min(length - 1, Math.max(0, place));
}

interface Part {
  first: number;
  above: number;
  rows: number;
  columns: number;
  factor: number;
}

/** Means over squares of `factor` × `factor` pixels. Those that reach beyond the picture end at its border. */
function shrunk(
  { channels, height, width, data }: DecodedImage,
  { first, above, rows, columns, factor }: Part,
): Uint8Array<ArrayBuffer> {
  const result = new Uint8Array(channels * rows * columns);
  for (let channel = 0, at = 0; channel < channels; channel++) {
    for (let row = 0; row < rows; row++) {
      const [top, bottom] = [above + row * factor, Math.min(height, above + (row + 1) * factor)];
      for (let column = 0; column < columns; column++, at++) {
        const [left, right] = [first + column * factor, Math.min(width, first + (column + 1) * factor)];
        let sum = 0;
        for (let y = top; y < bottom; y++) {
          const start = (channel * height + y) * width;
          for (let x = start + left; x < start + right; x++) sum += data[x];
        }
        result[at] = Math.round(sum / ((bottom - top) * (right - left)));
      }
    }
  }
  return result;
}
