import * as z from "zod";
import { attempt, UserError } from "../../common/errors.ts";
import { parse } from "../../common/schema.ts";

// COCO's annotations of persons and their joints: the text of a file to checked persons. Files and pictures are read
// elsewhere (coco-folder.ts).

/** An id in a COCO file: COCO's are numbers, own files may have texts. */
export type CocoId = number | string;

/** [x, y, width, height] in pixels of the stored picture. */
export type Box = readonly [number, number, number, number];

/** x, y and visibility (0: not labelled, 1: hidden, 2: visible) or score, joint after joint. */
export type Keypoints = readonly number[];

export interface CocoPicture {
  id: CocoId;
  /** As the file writes it. */
  file: string;
  width: number;
  height: number;
}

/** An annotated person, crowds and persons without labelled joints among them: evaluation knows them all. */
export interface CocoPerson {
  /** Of its picture. */
  image: CocoId;
  keypoints: Keypoints;
  /** Labelled joints, as the file counts them. */
  labelled: number;
  box: Box;
  /** Of the outline; where the file has none, of the box. */
  area: number;
  isCrowd: boolean;
}

export interface CocoKeypoints {
  /** What people call the file. */
  name: string;
  category: { id: CocoId; name: string };
  joints: readonly string[];
  /** Joints that a drawing connects, by index. */
  limbs: readonly (readonly [number, number])[];
  pictures: readonly CocoPicture[];
  persons: readonly CocoPerson[];
  /** What is unusual but accepted, a sentence each. */
  warnings: readonly string[];
}

const id = z.union([z.int(), z.string()]);
const finite = z.number();
const pictureSchema = z.object({
  id,
  file_name: z.string().min(1),
  width: z.int().positive(),
  height: z.int().positive(),
});
const categorySchema = z.object({
  id,
  name: z.string(),
  keypoints: z.array(z.string().min(1)).min(1).optional(),
  skeleton: z.array(z.tuple([z.int(), z.int()])).optional(),
});
const annotationSchema = z.object({
  id: id.optional(),
  image_id: id,
  category_id: id,
  iscrowd: z.union([z.boolean(), finite]).optional(),
  num_keypoints: z.int().optional(),
  area: finite.optional(),
  bbox: z.tuple([finite, finite, finite, finite]).optional(),
  keypoints: z.array(finite).optional(),
});
type Annotation = z.infer<typeof annotationSchema>;
const fileSchema = z.object({
  images: z.array(z.unknown()),
  annotations: z.array(z.unknown()),
  categories: z.array(z.unknown()),
});

/**
 * Reads COCO's keypoint annotations: those of the one category that names joints.
 * @param text of the file
 * @param name what the file is called in messages
 * @param category the category's name, where several name joints
 * @throws UserError in one sentence for what is wrong first, with the annotation's id
 */
export function readCocoKeypoints(text: string, name: string, category?: string): CocoKeypoints {
  const given = parseJson(text, name);
  if (Array.isArray(given))
    throw new UserError(
      `${name} is a list, as results are; annotations are an object with images and categories`,
    );
  const document = checked(fileSchema, given, name);
  const pictures = readPictures(document.images, name);
  const chosen = chooseCategory(document.categories, name, category);
  const known = new Map(pictures.map((picture) => [picture.id, picture]));
  const notes = new Notes(name);
  const persons: CocoPerson[] = [];
  for (const [index, entry] of document.annotations.entries()) {
    const called = calledAnnotation(entry, index);
    const annotation = checked(annotationSchema, entry, `${name}: ${called}`);
    if (annotation.category_id !== chosen.id) continue;
    const picture = known.get(annotation.image_id);
    if (picture === undefined)
      throw new UserError(
        `${name}: ${called} belongs to image ${annotation.image_id}, which the file does not have`,
      );
    persons.push(
      readPerson(annotation, picture, chosen.joints, { where: `${name}: ${called}`, called, notes }),
    );
  }
  return {
    name,
    category: { id: chosen.id, name: chosen.name },
    joints: chosen.joints,
    limbs: chosen.limbs,
    pictures,
    persons,
    warnings: notes.sentences(),
  };
}

/** Persons to train on, each with its box cut to the picture, and how many others there are. */
export interface TrainingPersons {
  persons: readonly CocoPerson[];
  /** How many are left out, by the reason that comes first. */
  leftOut: Record<LeftOut, number>;
}
export type LeftOut = "crowd" | "no labelled joint" | "box outside the picture" | "no area";

/** The persons that SimpleBaseline trains on. */
export function trainingPersons({ persons, pictures }: CocoKeypoints): TrainingPersons {
  const sizes = new Map(pictures.map((picture) => [picture.id, picture]));
  const leftOut: TrainingPersons["leftOut"] = {
    crowd: 0,
    "no labelled joint": 0,
    "box outside the picture": 0,
    "no area": 0,
  };
  const kept: CocoPerson[] = [];
  for (const person of persons) {
    const picture = sizes.get(person.image);
    const box = picture && clippedBox(person.box, picture);
    const isLabelled = person.keypoints.some((value, at) => at % 3 === 2 && value > 0);
    if (person.isCrowd) leftOut.crowd++;
    else if (!isLabelled) leftOut["no labelled joint"]++;
    else if (box === undefined) leftOut["box outside the picture"]++;
    else if (!(person.area > 0)) leftOut["no area"]++;
    else kept.push({ ...person, box });
  }
  return { persons: kept, leftOut };
}

/**
 * A box cut to the centers of its picture's outer pixels; undefined where nothing is left. Inside the picture it is what
 * SimpleBaseline makes of it, a pixel less wide and high. A box that begins outside is moved there, and cut here.
 */
export function clippedBox(
  [left, top, width, height]: Box,
  picture: { width: number; height: number },
): Box | undefined {
  const [x, y] = [Math.max(0, left), Math.max(0, top)];
  const right = Math.min(picture.width - 1, left + Math.max(0, width - 1));
  const bottom = Math.min(picture.height - 1, top + Math.max(0, height - 1));
  return right >= x && bottom >= y ? [x, y, right - x, bottom - y] : undefined;
}

/**
 * Requires that a decoded picture has the size that its annotations are for.
 * @param decoded without applying the EXIF orientation: coordinates belong to stored pixels
 * @throws UserError naming both sizes
 */
export function requirePictureSize(
  { file, width, height }: CocoPicture,
  decoded: { width: number; height: number },
  name: string,
): void {
  if (decoded.width === width && decoded.height === height) return;
  throw new UserError(
    `${name} says that ${file} is ${width}×${height}, the picture is ${decoded.width}×${decoded.height}: it was turned or resized, and joints would be misplaced; take the picture that was annotated`,
  );
}

/** A JSON file's content. @throws UserError that says whether it is cut short, or holds what Python writes for NaN */
export function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const end = text.trimEnd().at(-1);
    if (end === undefined) throw new UserError(`${name} is empty`);
    if (end !== "}" && end !== "]")
      throw new UserError(
        `${name} is cut short: it ends in the middle, after ${text.length} characters; copy it again`,
      );
    const number = /[[,:]\s*(NaN|-?Infinity)\b/.exec(text)?.[1];
    if (number !== undefined)
      throw new UserError(`${name} holds ${number}, which JSON does not have; leave out what has no number`);
    throw new UserError(`${name} is not JSON: ${(error as Error).message}`);
  }
}

/** Checks a document; the error names the place. */
export function checked<T>(schema: z.ZodType<T>, document: unknown, where: string): T {
  const { value, error } = attempt(() => ({ parsed: parse(schema, document) }));
  if (value === undefined) throw new UserError(`${where}: ${error?.replace(/^the configuration/, "it")}`);
  return value.parsed;
}

function readPictures(images: readonly unknown[], name: string): CocoPicture[] {
  if (images.length === 0) throw new UserError(`${name} has no images`);
  const seen = new Set<CocoId>();
  return images.map((given, index) => {
    const image = checked(pictureSchema, given, `${name}: image ${index} of the list`);
    if (seen.has(image.id))
      throw new UserError(`${name} has two images with the id ${image.id}; renumber them`);
    seen.add(image.id);
    return { id: image.id, file: image.file_name, width: image.width, height: image.height };
  });
}

function chooseCategory(categories: readonly unknown[], name: string, wanted?: string) {
  const named = categories
    .map((given, index) => checked(categorySchema, given, `${name}: category ${index} of the list`))
    .flatMap(({ keypoints, ...category }) => (keypoints ? [{ ...category, joints: keypoints }] : []));
  if (named.length === 0)
    throw new UserError(
      `${name} is not a file of keypoints: no category names joints in "keypoints"; take the person_keypoints file`,
    );
  const chosen = wanted === undefined ? named : named.filter((category) => category.name === wanted);
  const names = named.map((category) => category.name).join(", ");
  if (chosen.length === 0)
    throw new UserError(`${name} has no category "${wanted}" with joints; choose one of ${names}`);
  if (chosen.length > 1)
    throw new UserError(`${name} has joints of several categories; choose one of ${names}`);
  const [{ joints, skeleton = [], ...category }] = chosen;
  const stray = skeleton.flat().find((joint) => joint < 1 || joint > joints.length);
  if (stray !== undefined)
    throw new UserError(
      `${name}: the skeleton of "${category.name}" connects joint ${stray}; its joints are 1 … ${joints.length}`,
    );
  return { ...category, joints, limbs: skeleton.map(([a, b]) => [a - 1, b - 1] as const) };
}

function calledAnnotation(given: unknown, index: number): string {
  const { id: own } = (given ?? {}) as { id?: unknown };
  return own === undefined ? `annotation number ${index + 1} of the list` : `annotation ${own}`;
}

function readPerson(
  { id: own, image_id, iscrowd = 0, num_keypoints, area, bbox, keypoints }: Annotation,
  picture: CocoPicture,
  joints: readonly string[],
  { where, called, notes }: { where: string; called: string; notes: Notes },
): CocoPerson {
  if (bbox === undefined)
    throw new UserError(`${where} has no bbox; give the person's box as [x, y, width, height]`);
  if (keypoints === undefined)
    throw new UserError(`${where} has no keypoints; leave it out, or give it all 0`);
  if (keypoints.length !== 3 * joints.length)
    throw new UserError(
      `${where} has ${keypoints.length} numbers in keypoints; the category's ${joints.length} joints need ${3 * joints.length}`,
    );
  let labelled = 0;
  for (const [joint, name] of joints.entries()) {
    const [x, y, visibility] = keypoints.slice(3 * joint, 3 * joint + 3);
    if (visibility !== 0 && visibility !== 1 && visibility !== 2)
      throw new UserError(
        `${where}: the visibility of ${name} is ${visibility}; it has to be 0 (not labelled), 1 (hidden) or 2 (visible)`,
      );
    if (visibility === 0) continue;
    labelled++;
    if (x < 0 || y < 0 || x > picture.width || y > picture.height)
      notes.add("joint outside", `${name} of ${called} at ${x}, ${y}`);
  }
  const isCrowd = Boolean(iscrowd);
  if (own === undefined || own === 0 || typeof own === "string") notes.add("id", called);
  if (!isCrowd && labelled === 0) notes.add("unlabelled", called);
  if (area === undefined) notes.add("area", called);
  if (clippedBox(bbox, picture) === undefined)
    notes.add("box outside", `that of ${called}, [${bbox.join(", ")}] in ${picture.width}×${picture.height}`);
  return {
    image: image_id,
    keypoints,
    labelled: num_keypoints ?? labelled,
    box: bbox,
    area: area ?? bbox[2] * bbox[3],
    isCrowd,
  };
}

const noted = {
  id: (count, first) =>
    `annotations without a number above 0 as id: ${count}, the first is ${first}; other tools lose them, Lowland numbers them itself`,
  unlabelled: (count, first) =>
    `persons without a labelled joint: ${count}, the first is ${first}; they are left out of training`,
  area: (count, first) =>
    `annotations without an area: ${count}, the first is ${first}; that of the box counts instead, which makes OKS higher`,
  "joint outside": (count, first) =>
    `labelled joints outside their picture: ${count}, the first is ${first}; they count where a part of their heat map is seen`,
  "box outside": (count, first) =>
    `boxes outside their picture: ${count}, the first is ${first}; their persons are left out of training`,
} satisfies Record<string, (count: number, first: string) => string>;

/** What is unusual: counted, with the first of a kind. */
class Notes {
  readonly #name: string;
  readonly #found = new Map<keyof typeof noted, { count: number; first: string }>();

  constructor(name: string) {
    this.#name = name;
  }

  add(kind: keyof typeof noted, what: string): void {
    const found = this.#found.get(kind) ?? { count: 0, first: what };
    found.count++;
    this.#found.set(kind, found);
  }

  sentences(): string[] {
    return [...this.#found].map(([kind, { count, first }]) => `${this.#name}: ${noted[kind](count, first)}`);
  }
}
