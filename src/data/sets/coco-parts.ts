import { join } from "node:path";
import type { BadFile } from "../bad-files.ts";
import { decodeImage } from "../image-file.ts";
import type { DecodedImage } from "../image-form.ts";
import { type CacheOptions, packFiles } from "../packed-files.ts";
import type { PersonSample } from "../persons.ts";
import type { CocoPart } from "./coco-folder.ts";
import { type Box, type CocoPerson, requirePictureSize } from "./coco-keypoints.ts";

// The parts of pictures around persons: what of a picture is kept, and kept where.

/** How much of a picture is kept around a person: a square of so many times the longer side of the box. */
const enlargement = 2;

/** How much larger than the box the part is that networks see, as far as it matters for the resolution that is kept. */
const seen = 1.25;

/** Persons whose pictures could be read, and the parts of pictures around them. */
export interface PackedParts {
  persons: readonly CocoPerson[];
  bad: readonly BadFile[];
  read(index: number): PersonSample;
  close(): void;
}

/**
 * Cuts persons out of their pictures, each picture decoded once, into one file in the cache.
 * @param size height of the network's input
 * @throws UserError for a picture of another size than the annotations say, and when the cache's disk has no room
 */
export async function packParts(
  { keypoints: { pictures, name }, pictures: folder }: CocoPart,
  persons: readonly CocoPerson[],
  { size, ...options }: CacheOptions & { size: number },
): Promise<PackedParts> {
  const numbers = new Map(pictures.map(({ id }, number) => [id, number]));
  /** The persons of each picture that has some, by its number. */
  const together = new Map<number, CutPerson[]>();
  const cut = persons.flatMap((person): CutPerson[] => {
    const number = numbers.get(person.image);
    if (number === undefined) return [];
    const own = { person, number, part: partOf(pictures[number], person.box, size) };
    together.set(number, [...(together.get(number) ?? []), own]);
    return [own];
  });
  const files = [...together];
  const packed = await packFiles(
    files.map(([number]) => [join(folder, pictures[number].file)]),
    {
      ...options,
      form: { persons: 1, parts: files.map(([, own]) => own.map(({ part }) => Object.values(part))) },
      decode: async ([path], place) => {
        const [number, own] = files[place];
        const picture = await decodeImage(path, { orientation: "ignore" });
        requirePictureSize(pictures[number], picture, name);
        return own.map(({ part }) => ({ bytes: shrunk(picture, part), facts: null }));
      },
      bytes: cut.reduce((sum, { part }) => sum + 3 * part.rows * part.columns, 0),
    },
  );
  const bad = new Set(packed.bad.map(({ path }) => path));
  /** Pieces of the file by person. */
  const pieces = new Map<CutPerson, number>();
  let next = 0;
  for (const [number, own] of files) {
    if (bad.has(join(folder, pictures[number].file))) continue;
    for (const each of own) pieces.set(each, next++);
  }
  const readable = cut.flatMap((each) => {
    const piece = pieces.get(each);
    return piece === undefined ? [] : [{ ...each, piece }];
  });
  return {
    persons: readable.map(({ person }) => person),
    bad: packed.bad,
    read: (index) => personOf(readable[index], packed.read(readable[index].piece)),
    close: packed.close,
  };
}

/** A person of a picture, by its number, and what of the picture is kept around it. */
interface CutPerson {
  person: CocoPerson;
  number: number;
  part: Part;
}

function personOf({ person, number, part }: CutPerson, data: Uint8Array<ArrayBuffer>): PersonSample {
  const [left, top, width, height] = person.box;
  const { first, above, factor, rows, columns } = part;
  const inPart = (value: number, start: number) => (value - start + 0.5) / factor - 0.5;
  const joints = person.keypoints.length / 3;
  const keypoints = Float32Array.from(person.keypoints, (value, at) => {
    const visibility = person.keypoints[at - (at % 3) + 2];
    if (visibility === 0 || at % 3 === 2) return visibility;
    return inPart(value, at % 3 === 0 ? first : above);
  });
  const box = [inPart(left, first), inPart(top, above), width / factor, height / factor];
  return {
    image: { type: "uint8", shape: [3, rows, columns], data },
    place: placeOf(part),
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
  box: Box,
  size: number,
): Pick<PersonSample, "image" | "place"> {
  const part = partOf(picture, box, size);
  const shape = [picture.channels, part.rows, part.columns];
  return { image: { type: "uint8", shape, data: shrunk(picture, part) }, place: placeOf(part) };
}

/** Which pixels these are. */
function partOf(
  picture: { width: number; height: number },
  [left, top, width, height]: Box,
  size: number,
): Part {
  const longer = Math.max(width, height);
  const factor = Math.max(1, Math.floor((seen * longer) / size));
  const half = (enlargement * longer) / 2;
  const [x, y] = [left + width / 2, top + height / 2];
  // A box may lie outside the picture: then a pixel of its border is left.
  const first = within(Math.floor(x - half), picture.width);
  const above = within(Math.floor(y - half), picture.height);
  const across = (start: number, middle: number, length: number) =>
    Math.max(1, Math.floor((Math.min(length, Math.ceil(middle + half) + 1) - start) / factor));
  const columns = across(first, x, picture.width);
  return { first, above, rows: across(above, y, picture.height), columns, factor };
}

function placeOf({ first, above, factor }: Part): PersonSample["place"] {
  return { type: "float32", shape: [3], data: Float32Array.of(first, above, factor) };
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
